package deadletter

import "github.com/prometheus/client_golang/prometheus"

// Metrics shows a store.
type Metrics struct {
	s                                   *Store
	samples, redeemed, evicted          *prometheus.Desc
	bytes, maxBytes, failures, damagedR *prometheus.Desc
}

// NewMetrics returns the metrics of s.
func NewMetrics(s *Store) *Metrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("pushbridge_deadletter_"+name, help, labels, nil)
	}
	return &Metrics{
		s:        s,
		samples:  desc("samples", "Samples that were refused for good and are kept.", "destination"),
		redeemed: desc("redeemed_samples_total", "Samples of dead letters that were delivered after all, over all restarts.", "destination"),
		evicted:  desc("evicted_samples_total", "Samples of dead letters that went because of the bound, over all restarts.", "destination"),
		bytes:    desc("bytes", "What dead letters take on disk."),
		maxBytes: desc("max_bytes", "What they may take."),
		failures: desc("write_failures_total", "How often dead letters could not be written."),
		damagedR: desc("damaged_ranges_total", "Parts of files with dead letters that could not be read at the start."),
	}
}

// Describe sends the descriptions.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.samples, m.redeemed, m.evicted, m.bytes, m.maxBytes, m.failures, m.damagedR} {
		ch <- d
	}
}

// Collect sends one look.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	for _, s := range m.s.Summaries() {
		var redeemed, samples uint64
		for _, n := range s.Redeemed {
			redeemed += n
		}
		send(m.redeemed, prometheus.CounterValue, float64(redeemed), s.Destination)
		send(m.evicted, prometheus.CounterValue, float64(s.Evicted), s.Destination)
		for _, n := range s.Samples {
			samples += n
		}
		send(m.samples, prometheus.GaugeValue, float64(samples), s.Destination)
	}
	size, failures := m.s.Bytes()
	send(m.bytes, prometheus.GaugeValue, float64(size))
	send(m.maxBytes, prometheus.GaugeValue, float64(m.s.maxBytes))
	send(m.failures, prometheus.CounterValue, float64(failures))
	torn := 0
	for _, r := range m.s.Damage() {
		if r.Torn {
			torn++
		}
	}
	send(m.damagedR, prometheus.CounterValue, float64(len(m.s.Damage())-torn))
}
