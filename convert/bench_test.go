package convert_test

import (
	"fmt"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

// BenchmarkAppend converts one push again and again, as a shard does between two
// resets.
func BenchmarkAppend(b *testing.B) {
	for _, bc := range []struct {
		name string
		mfs  []*dto.MetricFamily
	}{
		{"type=gauge/series=10", gauges(10, 1)},
		{"type=gauge/series=10000", gauges(10, 1000)},
		{"type=histogram/buckets=10", histograms(1, 10)},
		{"type=histogram/buckets=10/series=100", histograms(100, 10)},
	} {
		b.Run(bc.name, func(b *testing.B) {
			r := push(b, bc.mfs...)
			var c convert.Converter
			var dst []convert.Series
			samples := 0
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = c.Append(dst[:0], r, convert.Options{})
				samples += len(dst)
				c.Reset()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(samples), "ns/sample")
		})
	}
}

// BenchmarkMarkers ends half of the series of a push.
func BenchmarkMarkers(b *testing.B) {
	s := newStore()
	labels := group.NewLabels([]group.Label{{Name: "job", Value: "j"}})
	s.apply(b, group.Change{Kind: group.KindPut, Labels: labels, Part: partOfDTO(b, gauges(2, 500)...)})
	r := s.apply(b, group.Change{Kind: group.KindPut, Labels: labels, Part: partOfDTO(b, gauges(1, 500)...)})
	var c convert.Converter
	var live, ended []convert.Series
	b.ReportAllocs()
	for b.Loop() {
		live, _ = c.Append(live[:0], r, convert.Options{})
		ended, _ = c.AppendEnded(ended[:0], r, convert.Options{})
		live = c.Markers(live, ended, live)
		c.Reset()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(live)), "ns/series")
}

func gauges(families, series int) []*dto.MetricFamily {
	var out []*dto.MetricFamily
	for f := range families {
		mf := &dto.MetricFamily{
			Name: new(fmt.Sprintf("batch_job_step_%d_seconds", f)),
			Help: new("How long a step took."), Type: dto.MetricType_GAUGE.Enum(),
		}
		for i := range series {
			mf.Metric = append(mf.Metric, &dto.Metric{
				Label: pairs("host", fmt.Sprintf("host-%d.example.org", i), "step", fmt.Sprint(i%7)),
				Gauge: &dto.Gauge{Value: new(float64(i) * 1.5)},
			})
		}
		out = append(out, mf)
	}
	return out
}

func histograms(series, buckets int) []*dto.MetricFamily {
	mf := &dto.MetricFamily{Name: new("batch_job_request_seconds"), Type: dto.MetricType_HISTOGRAM.Enum()}
	for i := range series {
		h := &dto.Histogram{SampleCount: proto.Uint64(100), SampleSum: new(12.5)}
		for n := range buckets {
			h.Bucket = append(h.Bucket, &dto.Bucket{
				UpperBound: new(0.005 * float64(int(1)<<n)), CumulativeCount: new(uint64(n * 10)),
			})
		}
		mf.Metric = append(mf.Metric, &dto.Metric{Label: pairs("handler", fmt.Sprintf("/api/%d", i), "method", "GET"), Histogram: h})
	}
	return []*dto.MetricFamily{mf}
}

func pairs(kv ...string) []*dto.LabelPair {
	var out []*dto.LabelPair
	for i := 0; i < len(kv); i += 2 {
		out = append(out, &dto.LabelPair{Name: new(kv[i]), Value: new(kv[i+1])})
	}
	return out
}
