package web

import (
	"io"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/pushbridge/pushbridge/group"
)

// protobuf returns the function that writes one family as a message. Only that
// one family exists as a message at a time.
func (v *view) protobuf(w io.Writer, format expfmt.Format) func(*family) error {
	enc := expfmt.NewEncoder(w, format)
	return func(f *family) error { return enc.Encode(v.message(f)) }
}

// message builds f.
func (v *view) message(f *family) *dto.MetricFamily {
	mf := &dto.MetricFamily{Name: new(f.name), Type: f.kind().Enum()}
	if help, ok := f.help(); ok {
		mf.Help = new(help)
	}
	if f.own != nil {
		mf.Unit = f.own.Unit
		mf.Metric = append(mf.Metric, f.own.Metric...)
	} else if f.header != nil && f.header.Unit != "" {
		mf.Unit = new(f.header.Unit)
	}
	v.eachSeries(f,
		func(g *group.Group, m group.Member) { mf.Metric = append(mf.Metric, untimed(m.DTO(g.Labels))...) },
		func(g *group.Group, ns int64) { mf.Metric = append(mf.Metric, pushTimeMetric(g, ns)) })
	return mf
}

// untimed returns the metrics of a family without times of their own: a scrape
// asks for what holds now, and would refuse an old sample again and again.
func untimed(mf *dto.MetricFamily) []*dto.Metric {
	for _, m := range mf.Metric {
		m.TimestampMs = nil
	}
	return mf.Metric
}

// pushTimeMetric builds a push time of g, with the labels that all its series
// have.
func pushTimeMetric(g *group.Group, ns int64) *dto.Metric {
	m := &dto.Metric{Gauge: &dto.Gauge{Value: new(float64(ns) / 1e9)}}
	instance := false
	add := func(name, value string) {
		m.Label = append(m.Label, &dto.LabelPair{Name: new(name), Value: new(value)})
	}
	for _, l := range g.Labels {
		if !instance && l.Name >= group.InstanceName {
			instance = true
			if l.Name != group.InstanceName {
				add(group.InstanceName, "")
			}
		}
		add(l.Name, l.Value)
	}
	if !instance {
		add(group.InstanceName, "")
	}
	return m
}
