package remotewrite

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/group"
)

// Intake counts what comes in, once for all destinations: what Prometheus' own
// metrics without a destination's labels say.
type Intake struct {
	samples, histograms, exemplars prometheus.Counter

	mu     sync.Mutex
	newest int64 // ms
}

// NewIntake makes the counters and registers them.
func NewIntake(reg prometheus.Registerer) (*Intake, error) {
	mk := &maker{}
	n := &Intake{
		samples:    mk.counter("samples_in_total", "Number of samples that came in for all destinations."),
		histograms: mk.counter("histograms_in_total", "Number of native histograms that came in for all destinations."),
		exemplars:  mk.counter("exemplars_in_total", "Number of exemplars that came in for all destinations."),
	}
	mk.all = append(mk.all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: promNamespace, Subsystem: promSubsystem, Name: "highest_timestamp_in_seconds",
		Help: "Newest timestamp that came in.",
	}, func() float64 { return float64(n.Newest()) / 1000 }))
	_, err := (&metrics{all: mk.all}).register(reg)
	return n, err
}

// Observe notes a record that is durable, before destinations see it.
func (n *Intake) Observe(r *group.Record) {
	if n == nil {
		return
	}
	var natives, exemplars int
	if r.Part != nil {
		natives, exemplars = len(r.Part.Natives), len(r.Part.Exemplars)
	}
	samples := r.Samples()
	if samples == 0 {
		return
	}
	n.samples.Add(float64(samples - natives))
	n.histograms.Add(float64(natives))
	n.exemplars.Add(float64(exemplars))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.newest = max(n.newest, r.Time)
}

// Newest returns the newest timestamp seen, in ms, and 0 before the first.
func (n *Intake) Newest() int64 {
	if n == nil {
		return 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.newest
}
