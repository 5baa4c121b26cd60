package remotewrite

import "github.com/prometheus/client_golang/prometheus"

// bookMetrics show the books, all from one snapshot.
type bookMetrics struct {
	d *Destination

	accepted, delivered, dropped, inDoubt, pending *prometheus.Desc
	refresh, refreshPending, protocol              *prometheus.Desc
	promPending, state, remembered                 *prometheus.Desc
}

func newBookMetrics(d *Destination) *bookMetrics {
	own := prometheus.Labels{"destination": d.config.ID()}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(ownNamespace, ownSubsystem, name), help, labels, own)
	}
	return &bookMetrics{
		d:              d,
		accepted:       desc("samples_accepted_total", "Samples that the destination has to send: delivered, dropped, in doubt and pending together."),
		delivered:      desc("samples_delivered_total", "Samples that the receiver took."),
		dropped:        desc("samples_dropped_total", "Samples that were not delivered and never will be, by reason.", "reason"),
		inDoubt:        desc("samples_in_doubt_total", "Samples that were refused, but that an earlier try has probably stored: before a restart, without an answer, or in a batch that was refused for others."),
		pending:        desc("samples_pending", "Samples in the log or on the way that are not settled."),
		refresh:        desc("refresh_samples_total", "Samples of refreshes and of the first state of a new destination, by outcome.", "outcome"),
		refreshPending: desc("refresh_samples_pending", "Samples of refreshes on the way."),
		state:          desc("destination_state", "1 for the state that the destination is in, 0 for the others.", "state"),
		protocol:       desc("protocol_version", "Remote write version in use: 1 or 2."),
		remembered:     desc("remembered_bytes", "Memory of what became of the newest records, at most 1 MiB."),
		promPending: prometheus.NewDesc(
			prometheus.BuildFQName(promNamespace, promSubsystem, "samples_pending"),
			"Samples that wait to be sent, in the log and in shards.", nil,
			prometheus.Labels{"remote_name": d.config.ID(), "url": d.config.Redacted()}),
	}
}

// Describe sends the descriptions.
func (b *bookMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		b.accepted, b.delivered, b.dropped, b.inDoubt, b.pending, b.refresh, b.refreshPending, b.protocol, b.promPending, b.state,
		b.remembered,
	} {
		ch <- d
	}
}

// Collect sends one snapshot.
func (b *bookMetrics) Collect(ch chan<- prometheus.Metric) {
	s := b.d.ledger.run()
	unstored, skipped := b.d.ledger.ofUnstored()
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v uint64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	counter(b.accepted, s.Accepted)
	counter(b.delivered, s.Delivered)
	for why := range allReasons {
		counter(b.dropped, s.Dropped[why.String()], why.String())
	}
	counter(b.inDoubt, s.InDoubt)
	gauge(b.pending, s.Pending)
	gauge(b.promPending, s.Pending)
	counter(b.refresh, unstored.Delivered, "delivered")
	counter(b.refresh, unstored.Accepted-unstored.Delivered-unstored.Pending, "dropped")
	counter(b.refresh, skipped, "skipped")
	gauge(b.refreshPending, unstored.Pending)
	now, _ := b.d.lookNow()
	for _, s := range States {
		is := 0.0
		if s == now {
			is = 1
		}
		ch <- prometheus.MustNewConstMetric(b.state, prometheus.GaugeValue, is, string(s))
	}
	gauge(b.remembered, uint64(b.d.fates.size()))
	gauge(b.protocol, uint64(b.d.line.negotiation.current()))
}
