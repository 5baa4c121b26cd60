package state

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	refused prometheus.Counter
	expired prometheus.Counter

	repeated prometheus.Counter
}

func newMetrics(s *Store, r prometheus.Registerer) *metrics {
	m := &metrics{
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pushbridge_group_refused_pushes_total",
			Help: "Pushes that were refused and set the failure time of their group.",
		}),
		expired: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pushbridge_group_expired_total",
			Help: "Groups that ended because their time was over.",
		}),
		repeated: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pushbridge_group_repeated_pushes_total",
			Help: "Pushes to aggregated groups that had been added already, by their Idempotency-Key, and were not added again.",
		}),
	}
	if r == nil {
		return m
	}
	r.MustRegister(m.refused, m.expired, m.repeated)
	gauge := func(name, help string, f func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	gauge("pushbridge_group_groups", "Groups stored.", func() float64 { return float64(s.shown.size()) })
	gauge("pushbridge_group_series", "Series of all groups, those not yet on disk included.",
		func() float64 { return float64(s.pending.samples.Load()) })
	gauge("pushbridge_group_conflicts", "Inconsistencies among the groups; above 0, /metrics answers 500.",
		func() float64 { return float64(s.conflicts.Load()) }) // LiveConflicts may be what gathers this
	gauge("pushbridge_group_clock_ahead_seconds", "How far the newest timestamp given out is ahead of the clock.",
		func() float64 { return max(0, float64(s.clock.highest.Load()-s.o.Now().UnixMilli())/1000) })
	gauge("pushbridge_group_push_keys", "Pushes to aggregated groups that are known again when they are repeated.",
		func() float64 { return float64(s.known()) })
	gauge("pushbridge_group_aggregate_known_metrics", "Metrics of the shapes that are remembered for aggregation.",
		func() float64 { return float64(s.aggregates.Known() + s.pending.shapes.Placed()) })
	return m
}
