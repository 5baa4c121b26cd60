package gateway

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue/disk"
)

// worker is a job that pushes the same series again and again, with values as they are: a
// third are counters that grow, a third gauges that jitter and are given with one to three
// digits behind the point, a sixth durations measured in nanoseconds, a twelfth ratios with
// all digits that a float has, and a twelfth do not change.
type worker struct {
	rng    *rand.Rand
	part   *group.Part
	values []float64
}

func newWorker(t testing.TB, rng *rand.Rand, samples int) *worker {
	var text strings.Builder
	for i := range samples {
		if i%10 == 0 {
			fmt.Fprintf(&text, "# HELP work_step_%d How the step went.\n# TYPE work_step_%d gauge\n", i/10, i/10)
		}
		fmt.Fprintf(&text, "work_step_%d{step=\"part-%d\",region=\"eu-west-1\"} 0\n", i/10, i)
	}
	w := &worker{rng: rng, part: partOf(t, text.String()), values: make([]float64, samples)}
	for i := range w.values {
		w.values[i] = math.Floor(math.Pow(10, 1+6*rng.Float64()))
	}
	return w
}

// next returns the part of the next push.
func (w *worker) next() *group.Part {
	p := &group.Part{Shape: w.part.Shape, Values: make([]uint64, len(w.values))}
	for i := range w.values {
		v := &w.values[i]
		switch i % 12 {
		case 0, 1, 2, 3:
			*v += float64(w.rng.IntN(1000))
		case 4, 5, 6, 7:
			digits := math.Pow(10, float64(1+i%3))
			*v = math.Round((40+20*w.rng.Float64())*digits) / digits
		case 8, 9:
			*v = time.Duration(w.rng.IntN(5e9)).Seconds()
		case 10:
			*v = w.rng.Float64()
		}
		p.Values[i] = math.Float64bits(*v)
	}
	return p
}

// TestQueueBytesPerSample: pushes that come again take no more of the disk than this for
// each sample of the push, all included.
func TestQueueBytesPerSample(t *testing.T) {
	for _, row := range []struct {
		samples, pushes int
		most            float64
	}{{21, 2000, 8}, {1_000, 200, 5}, {10_000, 300, 5}} {
		t.Run(fmt.Sprint(row.samples), func(t *testing.T) {
			dir := t.TempDir()
			g := newRigOn(t, disk.New(disk.Options{Dir: dir, Fsync: disk.Off}))
			workers := []*worker{}
			for i := range 10 {
				workers = append(workers, newWorker(t, rand.New(rand.NewPCG(uint64(i), 7)), row.samples))
			}
			for i := range row.pushes {
				n := i % len(workers)
				g.at.Add(1_234_567_890)
				c := group.Change{Kind: group.KindPut, Labels: key(fmt.Sprint("worker-", n)), Part: workers[n].next()}
				if _, err := g.Do(t.Context(), c, g.now()); err != nil {
					t.Fatal(err)
				}
			}
			g.end()
			r, err := disk.Inspect(dir)
			if err != nil {
				t.Fatal(err)
			}
			bytes := int64(0)
			for _, s := range r.Segments {
				bytes += s.Bytes
			}
			got := float64(bytes) / float64(row.samples*row.pushes)
			t.Logf("%.2f bytes for each sample", got)
			if r.Records != uint64(row.pushes) || got > row.most {
				t.Errorf("%d records, %.2f bytes for each sample, want %d, and %v at most", r.Records, got, row.pushes, row.most)
			}
		})
	}
}

// BenchmarkWriteAndRead says what a sample costs the log, whole and as a difference: made
// into bytes and compressed, and read back.
func BenchmarkWriteAndRead(b *testing.B) {
	for _, samples := range []int{21, 1_000, 10_000} {
		w := newWorker(b, rand.New(rand.NewPCG(1, 7)), samples)
		record := func() *group.Record {
			p := w.next()
			return &group.Record{Kind: group.KindPut, Labels: key("worker"), Time: 1_700_000_000_000, Push: 1_700_000_000e9, Part: p, Members: p.Members()}
		}
		base, r := record(), record()
		whole, diff := group.EncodeRecord(nil, r), group.AppendDiff(nil, base, r)
		var buf, packed []byte
		for _, row := range []struct {
			name string
			f    func() error
		}{
			{"write/whole", func() error {
				buf = group.EncodeRecord(buf[:0], r)
				packed = snappy.Encode(packed[:cap(packed)], buf)
				return nil
			}},
			{"write/difference", func() error {
				buf = group.AppendDiff(buf[:0], base, r)
				packed = snappy.Encode(packed[:cap(packed)], buf)
				return nil
			}},
			{"read/whole", func() error { _, err := group.DecodeRecord(whole); return err }},
			{"read/difference", func() error { _, err := group.Patch(diff, base); return err }},
		} {
			b.Run(fmt.Sprintf("samples=%d/%s", samples, row.name), func(b *testing.B) {
				for b.Loop() {
					if err := row.f(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*samples), "ns/sample")
			})
		}
	}
}
