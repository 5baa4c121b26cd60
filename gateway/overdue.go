package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/state"
)

// overdueCollector exposes pushbridge_group_overdue for the groups that a rule
// expects to be pushed. Its labels are those of each group, so it describes
// nothing beforehand.
type overdueCollector struct {
	store *state.Store
	now   func() time.Time
}

// Describe implements prometheus.Collector.
func (overdueCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c overdueCollector) Collect(out chan<- prometheus.Metric) {
	now := c.now()
	for _, g := range c.store.Groups() {
		if g.Expect <= 0 || g.Hide&group.OwnPushTime != 0 {
			continue
		}
		labels := g.Labels.AppendView(nil, nil, &group.Metric{})
		names, values := make([]string, len(labels)), make([]string, len(labels))
		for i, l := range labels {
			names[i], values[i] = l.Name, l.Value
		}
		overdue := 0.0
		if g.Overdue(now) {
			overdue = 1
		}
		desc := prometheus.NewDesc(group.OverdueName, group.OverdueHelp, names, nil)
		if m, err := prometheus.NewConstMetric(desc, prometheus.GaugeValue, overdue, values...); err == nil {
			out <- m
		}
	}
}
