package tee

import "github.com/prometheus/client_golang/prometheus"

// Why a push was not copied.
const (
	queueFull   = "queue_full" // the bound
	cutOff      = "cut_off"    // its client went while it was sent, and it was known already
	refusedCopy = "refused"    // by the other gateway
	stopped     = "stopped"    // it waited when the process ended
)

type metrics struct {
	sent    prometheus.Counter
	dropped *prometheus.CounterVec
}

func newMetrics(t *Tee, r prometheus.Registerer) *metrics {
	m := &metrics{
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pushbridge_tee_sent_total",
			Help: "Copies of accepted pushes that the gateway of --tee.url has accepted too.",
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushbridge_tee_dropped_total",
			Help: "Accepted pushes that were not copied to the gateway of --tee.url, by reason.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{queueFull, cutOff, refusedCopy, stopped} {
		m.dropped.WithLabelValues(reason)
	}
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pushbridge_tee_queue_bytes",
		Help: "Memory of copies that wait for the gateway of --tee.url or are being read, bounded by --tee.max-bytes.",
	}, func() float64 {
		t.mu.Lock()
		defer t.mu.Unlock()
		return float64(t.bytes)
	})
	if r != nil {
		r.MustRegister(m.sent, m.dropped, waiting)
	}
	return m
}
