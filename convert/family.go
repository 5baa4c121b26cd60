package convert

import (
	"math"
	"math/bits"

	"github.com/prometheus/prometheus/model/value"

	"github.com/pushbridge/pushbridge/group"
)

// metric is one metric at work.
type metric struct {
	*group.Metric
	part   *group.Part
	values []uint64
	labels labelSet
	family FamilyInfo
	time   int64
	late   bool
	riders
}

// series returns a sample of x without labels and value.
func (x *metric) series() Series {
	return Series{Time: x.time, Start: x.start, Family: x.family, Late: x.late}
}

// appendMember appends the samples of one family.
func (c *Converter) appendMember(dst []Series, m group.Member, skipped *Skipped) []Series {
	f, shape := m.Of(), m.Part.Shape
	x := metric{part: m.Part, family: FamilyInfo{f.Name, f.Help, f.Unit, f.Type}}
	col := columnsAt(m.Part, f.First())
	metrics := m.Metrics()
	x.time = c.time
	valuesOnly := valuesOnly(m.Part)
	for i := range metrics {
		x.Metric = &metrics[i]
		if !valuesOnly {
			x.time = c.timeOf(m.Part, f.First()+i)
			_, x.late = m.Part.LateOf(uint32(f.First() + i))
			x.riders = col.at(uint32(f.First()+i), f.Type, x.time)
		}
		if x.unsent {
			skipped[DuplicateIdentity] += count(shape.Components(x.Metric), len(shape.Bounds(x.Metric)))
			continue
		}
		if !c.bare {
			c.own = shape.AppendLabels(c.own[:0], x.Metric)
			x.labels = c.labelSetOf(f.Name, c.own)
		}
		x.values = m.Part.ValuesOf(x.Metric)
		dst = c.appendMetric(dst, &x, skipped)
	}
	return dst
}

// valuesOnly says whether no metric of p has anything beside its values.
func valuesOnly(p *group.Part) bool {
	return p.Times == nil && len(p.Late)+len(p.Exemplars)+len(p.Created)+len(p.Unsent) == 0
}

// appendMetric appends the samples of one metric.
func (c *Converter) appendMetric(dst []Series, x *metric, skipped *Skipped) []Series {
	switch x.Form {
	case group.FormSingle:
		return c.appendSingle(dst, x)
	case group.FormSummary:
		return c.appendSummary(dst, x)
	case group.FormHistogram, group.FormFloatHistogram:
		return c.appendHistogram(dst, x, skipped)
	}
	return dst
}

// appendSingle appends the one sample of a counter, gauge or untyped metric (rule F-2). It is
// written where it stays, since copies of it were most of the work.
func (c *Converter) appendSingle(dst []Series, x *metric) []Series {
	dst = append(dst, Series{})
	s := &dst[len(dst)-1]
	s.Time, s.Start, s.Family, s.Late = x.time, x.start, x.family, x.late
	s.Labels, s.Value = x.labels.all, plain(math.Float64frombits(x.values[0]))
	s.Exemplars = c.exemplarsOf(x, group.SlotMetric)
	return dst
}

// appendSummary appends quantiles, sum and count (rule F-3).
func (c *Converter) appendSummary(dst []Series, x *metric) []Series {
	s, at := x.series(), x.labels.slotOf(quantileLabel)
	for i, q := range c.bounds.spell(x.part.Shape.Bounds(x.Metric)) {
		s.Labels = c.component(x.labels, x.family.Name, at, quantileLabel, q)
		s.Value = plain(math.Float64frombits(x.values[2+i]))
		dst = append(dst, s)
	}
	return c.appendSumCount(dst, x)
}

// appendSumCount appends name_sum and name_count.
func (c *Converter) appendSumCount(dst []Series, x *metric) []Series {
	s, names := x.series(), c.names.of(x.family.Name)
	s.Labels, s.Value = c.renamed(x.labels, names.sum), plain(math.Float64frombits(x.values[0]))
	dst = append(dst, s)
	s.Labels, s.Value = c.renamed(x.labels, names.count), plain(x.Form.Count(x.values[1]))
	return append(dst, s)
}

// appendPushTimes appends what the gateway itself says of the group (rule C-5).
func (c *Converter) appendPushTimes(dst []Series, r *group.Record) []Series {
	if !lives(r.Kind) {
		return dst
	}
	if r.Hide&group.OwnPushTime == 0 {
		dst = append(dst, c.pushTime(group.PushTimeName, group.PushTimeHelp, r.Push))
	}
	if r.Hide&group.OwnFailTime == 0 {
		dst = append(dst, c.pushTime(group.FailTimeName, group.FailTimeHelp, r.Fail))
	}
	if r.ShipsOverdue() {
		dst = append(dst, c.overdue(r))
	}
	return dst
}

// overdue says whether the group should have been pushed to by the time of the
// record: the value changes with the time, and so refreshing brings it about.
func (c *Converter) overdue(r *group.Record) Series {
	s := c.ownSeries(group.OverdueName, group.OverdueHelp)
	if group.Overdue(r.Time*1e6, r.Push, r.Expect) {
		s.Value = 1
	}
	return s
}

func (c *Converter) pushTime(name, help string, ns int64) Series {
	s := c.ownSeries(name, help)
	s.Value = float64(ns) / 1e9
	return s
}

// ownSeries is one that the gateway adds to each group.
func (c *Converter) ownSeries(name, help string) Series {
	s := Series{Time: c.time, Family: FamilyInfo{Name: name, Help: help, Type: group.Gauge}}
	if !c.bare {
		s.Labels = c.labelSetOf(name, nil).all
	}
	return s
}

// lives says whether the group exists after a record of kind k.
func lives(k group.Kind) bool {
	switch k {
	case group.KindPut, group.KindPost, group.KindFail, group.KindRefresh:
		return true
	case group.KindDelete, group.KindClock:
	}
	return false
}

// timeOf is the timestamp of metric number n: its own if it was pushed with one
// (rule S-1).
func (c *Converter) timeOf(p *group.Part, n int) int64 {
	if p.Times != nil && p.Times[n] != group.NoTime {
		return p.Times[n]
	}
	return c.time
}

// count is how many series the components what are, with n bounds.
func count(what group.Component, n int) int {
	if what&group.ComponentBounds == 0 {
		n = 0
	}
	return n + bits.OnesCount8(uint8(what&^group.ComponentBounds))
}

// plain keeps a pushed value from being taken for a stale marker: it turns the
// marker's bits into an ordinary NaN (rule S-5).
func plain(v float64) float64 {
	if value.IsStaleNaN(v) {
		return math.Float64frombits(value.NormalNaN)
	}
	return v
}
