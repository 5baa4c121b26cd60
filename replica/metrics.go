package replica

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	held      prometheus.Gauge
	timeouts  prometheus.Counter
	unknown   prometheus.Counter
	slow      prometheus.Counter
	forwarded *prometheus.CounterVec
}

func newMetrics(x *Replicas, reg prometheus.Registerer) *metrics {
	m := &metrics{
		held: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pushbridge_replica_held_pushes", Help: "Requests that wait for a replica that leads.",
		}),
		timeouts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pushbridge_replica_hold_timeouts_total", Help: "Requests that were answered 503 since no replica led for as long as they are held.",
		}),
		unknown: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pushbridge_replica_unknown_total", Help: "Requests that were answered 503 since it was not to be found out in time whether they were carried out.",
		}),
		slow: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pushbridge_replica_slow_folds_total", Help: "Answers that were given although what they tell of could not be read here yet.",
		}),
		forwarded: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushbridge_replica_forwarded_total", Help: "Requests to the replica that leads, by what came of them.",
		}, []string{"outcome"}),
	}
	for _, o := range outcomes {
		m.forwarded.WithLabelValues(o)
	}
	if reg != nil {
		reg.MustRegister(m.held, m.timeouts, m.unknown, m.slow, m.forwarded, newView(x))
	}
	return m
}

// view shows who leads, and how far each fold is.
type view struct {
	x *Replicas

	epoch, since, leader, behind *prometheus.Desc
}

func newView(x *Replicas) *view {
	return &view{
		x:      x,
		epoch:  prometheus.NewDesc("pushbridge_replica_epoch", "How often a replica has begun to lead.", nil, nil),
		since:  prometheus.NewDesc("pushbridge_replica_leader_since_timestamp_seconds", "Since when the present one leads, 0 for nobody.", nil, nil),
		leader: prometheus.NewDesc("pushbridge_replica_leader", "Whether the replica leads, as far as is known here: 1 for the one that does.", []string{"replica"}, nil),
		behind: prometheus.NewDesc("pushbridge_replica_behind_records", "Records of the log that the replica has not folded in: this one, and where it leads the others that it knows of.", []string{"replica"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (v *view) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{v.epoch, v.since, v.leader, v.behind} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (v *view) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	s := v.x.local()
	since := 0.0
	if s.Leader != nil {
		since = float64(s.Leader.Since.UnixMilli()) / 1000
	}
	gauge(v.epoch, float64(s.Epoch))
	gauge(v.since, since)
	for _, r := range s.Replicas {
		gauge(v.behind, float64(r.Behind), r.ID)
		leads := 0.0
		if r.Leads {
			leads = 1
		}
		gauge(v.leader, leads, r.ID)
	}
}
