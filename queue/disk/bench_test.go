package disk

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/queue"
)

// benchBody is like a push of about 20 samples: half compressible.
func benchBody(rng *rand.Rand) string {
	var b strings.Builder
	for range 20 {
		fmt.Fprintf(&b, "name_of_a_metric_%d ", rng.IntN(30))
		for range 8 {
			b.WriteByte(byte(rng.Uint32()))
		}
	}
	return b.String()
}

// BenchmarkAppend measures durable appends on the file system of the temporary
// directory: TMPDIR decides what disk that is.
func BenchmarkAppend(b *testing.B) {
	for _, appenders := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("appenders=%d", appenders), func(b *testing.B) {
			reg := prometheus.NewRegistry()
			l, stop := start(b, options{Dir: b.TempDir(), MinFreeBytes: -1, Registerer: reg})
			r := rec{Samples: 20, Body: benchBody(rand.New(rand.NewPCG(1, 5)))}
			var left atomic.Int64
			left.Store(int64(b.N))
			b.SetBytes(int64(len(r.Body)))
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range appenders {
				wg.Go(func() {
					done := make(chan error, 1)
					for left.Add(-1) >= 0 {
						err := l.Append(r, 0, func(_ uint64, err error) { done <- err })
						if err := errors.Join(err, <-done); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
			b.ReportMetric(value(b, reg, "pushbridge_queue_fsyncs_total")/float64(b.N), "fsyncs/op")
			b.ReportMetric(value(b, reg, "pushbridge_queue_appended_bytes_total")/float64(20*b.N), "B/sample")
			stop()
		})
	}
}

func value(b *testing.B, reg *prometheus.Registry, name string) float64 {
	families, err := reg.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	b.Fatalf("no metric %s", name)
	return 0
}

// BenchmarkRead measures reading back 64 MiB of records, decoded.
func BenchmarkRead(b *testing.B) {
	for _, from := range []string{"ring", "segments"} {
		b.Run("from="+from, func(b *testing.B) {
			o := options{Dir: b.TempDir(), Fsync: Off, MaxQueuedBytes: 1 << 40, MaxBytes: -1, MinFreeBytes: -1, RingBytes: 1}
			if from == "ring" {
				o.RingBytes = 1 << 30
			}
			l, stop := start(b, o)
			defer stop()
			rng := rand.New(rand.NewPCG(1, 5))
			n, bytes := 0, 0
			for bytes < 64*mib {
				r := rec{Samples: 20, Body: benchBody(rng)}
				n, bytes = n+1, bytes+len(r.Body)
				push(b, l, r, nil)
			}
			add(b, l, rec{})
			if it, err := next(b, l.NewReader(uint64(n))); err != nil || it.Seq != uint64(n)+1 {
				b.Fatal(it.Seq, err)
			}
			b.SetBytes(int64(bytes))
			b.ReportAllocs()
			for b.Loop() {
				r := l.NewReader(0)
				for range n {
					if _, ok, err := r.TryNext(); err != nil || !ok {
						b.Fatal(ok, err)
					}
				}
				_ = r.Close()
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkOpen measures a start behind a long backlog: sealed segments are not
// read, only their headers and footers are.
func BenchmarkOpen(b *testing.B) {
	o := options{Dir: b.TempDir(), Fsync: Off, MaxQueuedBytes: 1 << 40, MaxBytes: -1, MinFreeBytes: -1, SegmentBytes: 4 * mib}
	l, stop := start(b, o)
	rng := rand.New(rand.NewPCG(1, 5))
	for bytes := 0; bytes < 256*mib; {
		r := rec{Samples: 20, Body: benchBody(rng)}
		bytes += len(r.Body)
		push(b, l, r, nil)
	}
	stop()
	b.ReportAllocs()
	for b.Loop() {
		l, err := open(osFS{}, o)
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSnapshot measures writing and reading a snapshot of 64 MiB.
func BenchmarkSnapshot(b *testing.B) {
	l, err := open(osFS{}, options{Dir: b.TempDir(), MinFreeBytes: -1})
	if err != nil {
		b.Fatal(err)
	}
	state := make([]byte, 64*mib)
	b.SetBytes(int64(len(state)))
	for seq := uint64(1); b.Loop(); seq++ {
		err := l.WriteSnapshot(seq, 0, func(w io.Writer) error { _, err := w.Write(state); return err })
		_, _, rerr := l.ReadSnapshot(func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err })
		if err := errors.Join(err, rerr); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCursor notes what a destination with four shards has sent and has
// settled.
func BenchmarkCursor(b *testing.B) {
	l, err := open(osFS{}, options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	c, _, err := l.OpenCursor("dest", 4)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		seq := uint64(i + 1)
		if err := errors.Join(c.Sent(i%4, seq), c.Settle(i%4, seq, seq, queue.Outcome{1})); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}
