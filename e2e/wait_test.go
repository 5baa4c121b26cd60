package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkOthersWait says how long the push of one gauge waits for its answer while a
// large change of another group goes on in the same gateway, and while none does. Run it
// with -benchtime 5x or so: the longest wait is the median of the longest of each round, so
// that what else the machine does counts less.
func BenchmarkOthersWait(b *testing.B) {
	var wide, long strings.Builder
	for i := range 300_000 {
		fmt.Fprintf(&wide, "family_%d 1\n", i)
	}
	for i := range 600_000 {
		fmt.Fprintf(&long, "m{series=\"%d\"} 1\n", i)
	}
	for _, row := range []struct{ name, method, before, body string }{
		{"none", "", "", ""},
		{"PUT/families=300000", http.MethodPut, "", wide.String()},
		{"DELETE/families=300000", http.MethodDelete, wide.String(), ""},
		{"PUT/series=600000", http.MethodPut, "", long.String()},
		{"DELETE/series=600000", http.MethodDelete, long.String(), ""},
	} {
		b.Run(row.name, func(b *testing.B) {
			var w othersWait
			for b.Loop() {
				w.round(b, row.method, row.before, row.body)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(milliseconds(quantile(w.all, 0.5)), "ms-p50")
			b.ReportMetric(milliseconds(quantile(w.all, 0.99)), "ms-p99")
			b.ReportMetric(milliseconds(quantile(w.longest, 0.5)), "ms-longest")
			b.ReportMetric(milliseconds(quantile(w.large, 0.5)), "ms-large")
		})
	}
}

// othersWait has the waits of small pushes, the longest of each round, and what the large
// change took.
type othersWait struct{ all, longest, large []time.Duration }

// round measures one change in a gateway of its own. Without a method nothing happens
// for a second and a half.
func (w *othersWait) round(b *testing.B, method, before, body string) {
	g := startPushbridge(b)
	if before != "" {
		g.put(b, "large", before)
	}
	g.put(b, "small/n/0", "small 1\n") // its connection is there
	var stop atomic.Bool
	waited := make(chan []time.Duration)
	go func() { waited <- waits(b, g, &stop) }()
	began := time.Now()
	switch method {
	case "":
		time.Sleep(1500 * time.Millisecond)
	case http.MethodDelete:
		g.delete(b, "large")
	default:
		g.put(b, "large", body)
	}
	w.large = append(w.large, time.Since(began))
	stop.Store(true)
	all := <-waited
	w.all = append(w.all, all...)
	w.longest = append(w.longest, slices.Max(all))
	g.stop(b)
}

func waits(b *testing.B, g *gateway, stop *atomic.Bool) (took []time.Duration) {
	for i := 0; !stop.Load(); i++ {
		began := time.Now()
		g.put(b, fmt.Sprintf("small/n/%d", i%7), fmt.Sprintf("small %d\n", i))
		took = append(took, time.Since(began))
	}
	return took
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
