package state

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/pushbridge/pushbridge/group"
)

// jobFamilies is a push of a batch job: families of one type each, with series
// metrics in all.
func jobFamilies(series int, own ...string) []*dto.MetricFamily {
	var mfs []*dto.MetricFamily
	for i := range max(1, series/5) {
		mf := &dto.MetricFamily{
			Name: new("job_metric_number_" + strconv.Itoa(i)), Help: new("What the job has to say."),
			Type: dto.MetricType_GAUGE.Enum(),
		}
		for j := range min(5, series) {
			m := &dto.Metric{Gauge: &dto.Gauge{Value: new(float64(i * j))}}
			m.Label = append(m.Label, &dto.LabelPair{Name: new("stage"), Value: new("stage-" + strconv.Itoa(j))})
			for k := 0; k < len(own); k += 2 {
				m.Label = append(m.Label, &dto.LabelPair{Name: new(own[k]), Value: new(own[k+1])})
			}
			mf.Metric = append(mf.Metric, m)
		}
		mfs = append(mfs, mf)
	}
	return mfs
}

func benchLabels(i int) group.Labels {
	return group.NewLabels([]group.Label{{Name: "job", Value: "batch-" + strconv.Itoa(i%1000)}, {Name: "instance", Value: "worker-" + strconv.Itoa(i)}})
}

// fill stores groups of 10 series each. With one shape for all, as machines that
// run the same job have, or one for each.
func fill(tb testing.TB, s *Store, groups int, oneShape bool) {
	seq := s.View().Seq
	for i := range groups {
		own := []string{"unit", "u"}
		if !oneShape {
			own = []string{"unit", "unit-number-" + strconv.Itoa(i)}
		}
		p, err := group.FromDTO(jobFamilies(10, own...), group.BuildOptions{})
		if err != nil {
			tb.Fatal(err)
		}
		var r *group.Record
		if err := s.Apply(group.Change{Kind: group.KindPut, Labels: benchLabels(i), Part: p}, time.UnixMilli(int64(i)), func(x *group.Record) { r = x }); err != nil {
			tb.Fatal(err)
		}
		seq++
		s.Fold(r, seq)
	}
}

func BenchmarkApply(b *testing.B) {
	for _, groups := range []int{10, 1000, 100_000} {
		s := New(Options{CheckConsistency: true})
		fill(b, s, groups, true)
		for _, shape := range []string{"same", "changed"} {
			b.Run(fmt.Sprintf("groups=%d/shape=%s", groups, shape), func(b *testing.B) {
				b.ReportAllocs()
				l := benchLabels(7)
				var parts [2]*group.Part
				for i := range parts {
					own := "u"
					if shape == "changed" {
						own = strconv.Itoa(i)
					}
					parts[i], _ = group.FromDTO(jobFamilies(10, "unit", own), group.BuildOptions{})
				}
				i, seq, before := 0, uint64(0), cpuTime(b)
				defer func() { b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op") }()
				for b.Loop() {
					i++
					p := *parts[i%2]
					var r *group.Record
					if err := s.Apply(group.Change{Kind: group.KindPut, Labels: l, Part: &p}, time.UnixMilli(int64(i)), func(x *group.Record) { r = x }); err != nil {
						b.Fatal(err)
					}
					seq++
					s.Fold(r, seq)
				}
			})
		}
	}
}

func BenchmarkFromDTO(b *testing.B) {
	for _, series := range []int{10, 1000} {
		b.Run(fmt.Sprintf("series=%d", series), func(b *testing.B) {
			b.ReportAllocs()
			mfs := jobFamilies(series, "unit", "u")
			for b.Loop() {
				if _, err := group.FromDTO(mfs, group.BuildOptions{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*series)/b.Elapsed().Seconds(), "samples/s")
		})
	}
}

func BenchmarkCodec(b *testing.B) {
	for _, series := range []int{10, 1000} {
		p, err := group.FromDTO(jobFamilies(series, "unit", "u"), group.BuildOptions{})
		if err != nil {
			b.Fatal(err)
		}
		r := &group.Record{Kind: group.KindPut, Labels: benchLabels(1), Time: 1, Push: 2, Part: p, Members: p.Members()}
		enc := group.EncodeRecord(nil, r)
		b.Run(fmt.Sprintf("encode/series=%d", series), func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = group.EncodeRecord(buf[:0], r)
			}
			b.ReportMetric(float64(len(enc))/float64(series), "B/series")
		})
		b.Run(fmt.Sprintf("decode/series=%d", series), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := group.DecodeRecord(enc); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("decode-of-a-group/series=%d", series), func(b *testing.B) {
			s := New(Options{})
			s.Fold(r, 1)
			b.ReportAllocs()
			for b.Loop() {
				shapeOf := func(l group.Labels) *group.Shape { return s.Lookup(l).Members[0].Part.Shape }
				if _, err := group.DecodeRecordOf(enc, shapeOf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func heapBytes() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkHeap reports what a stored series costs, index included.
func BenchmarkHeap(b *testing.B) {
	for _, oneShape := range []bool{true, false} {
		b.Run(fmt.Sprintf("oneshape=%v", oneShape), func(b *testing.B) {
			const groups = 20_000
			for b.Loop() {
				before := heapBytes()
				s := New(Options{CheckConsistency: true})
				fill(b, s, groups, oneShape)
				b.ReportMetric(float64(heapBytes()-before)/(groups*10), "B/series")
				runtime.KeepAlive(s)
			}
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	for _, oneShape := range []bool{true, false} {
		const groups = 100_000
		s := New(Options{CheckConsistency: true})
		fill(b, s, groups, oneShape)
		var buf bytes.Buffer
		if err := group.EncodeSnapshot(&buf, s.View()); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("write/oneshape=%v", oneShape), func(b *testing.B) {
			for b.Loop() {
				buf.Reset()
				if err := group.EncodeSnapshot(&buf, s.View()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(buf.Len())/(groups*10), "B/series")
		})
		s = nil
		b.Run(fmt.Sprintf("load/oneshape=%v", oneShape), func(b *testing.B) {
			before := cpuTime(b)
			defer func() {
				b.ReportMetric(float64((cpuTime(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
			}()
			for b.Loop() {
				s := New(Options{CheckConsistency: true})
				refill(b, s, 0, func() error { return s.Load(bytes.NewReader(buf.Bytes())) })
			}
		})
	}
}
