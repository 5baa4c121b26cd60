package pgfile

import "github.com/prometheus/client_golang/prometheus"

// metrics tell whether the file can be written. A state that is safe in the log takes
// pushes all the same, so readiness does not depend on it.
type metrics struct {
	successful prometheus.Gauge
	failures   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pushbridge_persistence_last_write_successful",
			Help: "Whether the persistence file was written when it was to be written last; 1 without one.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pushbridge_persistence_write_failures_total",
			Help: "Attempts to write the persistence file that failed.",
		}),
	}
	m.successful.Set(1)
	if reg != nil {
		reg.MustRegister(m.successful, m.failures)
	}
	return m
}

// wrote notes how an attempt has ended.
func (m *metrics) wrote(ok bool) {
	if ok {
		m.successful.Set(1)
		return
	}
	m.successful.Set(0)
	m.failures.Inc()
}
