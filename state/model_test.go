package state

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/pushbridge/pushbridge/group"
)

// This file says, in the plainest way and from protobuf only, what the package
// says with indexes and hashes.

// identity prints a delivered series.
func identity(name string, labels []group.Label) string {
	var kept []group.Label
	for _, l := range labels {
		if l.Value != "" {
			kept = append(kept, l)
		}
	}
	slices.SortFunc(kept, func(a, b group.Label) int { return cmp.Compare(a.Name, b.Name) })
	return group.BriefMetric(name, kept)
}

func pairs(m *dto.Metric) []group.Label {
	var out []group.Label
	for _, p := range m.Label {
		out = append(out, group.Label{Name: p.GetName(), Value: p.GetValue()})
	}
	return out
}

// expand returns the delivered series of one metric of a view.
func expand(mf *dto.MetricFamily, m *dto.Metric) []string {
	name, own := mf.GetName(), pairs(m)
	with := func(label string, v float64) []group.Label {
		return append(slices.Clone(own), group.Label{Name: label, Value: labels.FormatOpenMetricsFloat(v)})
	}
	switch {
	case m.Summary != nil:
		out := []string{identity(name+"_sum", own), identity(name+"_count", own)}
		for _, q := range m.Summary.Quantile {
			out = append(out, identity(name, with("quantile", q.GetQuantile())))
		}
		return out
	case m.Histogram != nil:
		return expandHistogram(name, own, m.Histogram, with)
	default:
		return []string{identity(name, own)}
	}
}

func expandHistogram(name string, own []group.Label, h *dto.Histogram, with func(string, float64) []group.Label) []string {
	var out []string
	if isNative(h) {
		out = append(out, identity(name, own))
		if len(h.Bucket) == 0 {
			return out
		}
	}
	out = append(out, identity(name+"_sum", own), identity(name+"_count", own), identity(name+"_bucket", with("le", math.Inf(1))))
	for _, b := range h.Bucket {
		out = append(out, identity(name+"_bucket", with("le", b.GetUpperBound())))
	}
	return out
}

// delivered returns what a group version is delivered as; own timestamps say
// which series have a time of their own.
func delivered(g *group.Group) (series, timed map[string]bool) {
	series, timed = map[string]bool{}, map[string]bool{}
	deliverMembers(g.Members, g.Labels, series, timed)
	for _, o := range ownSeries {
		if g.Hide&o.own == 0 {
			series[identity(o.name, g.Labels)] = true
		}
	}
	return series, timed
}

func deliverMembers(members []group.Member, g group.Labels, series, timed map[string]bool) {
	for _, m := range members {
		mf := m.DTO(g)
		for i, metric := range mf.Metric {
			if m.Part.IsUnsent(uint32(m.Of().First() + i)) {
				continue
			}
			for _, id := range expand(mf, metric) {
				if metric.TimestampMs != nil {
					timed[id] = true
				} else {
					series[id] = true
				}
			}
		}
	}
}

// endedSeries returns what r says has ended.
func endedSeries(r *group.Record) []string {
	var out []string
	for i := range r.Ended {
		e := &r.Ended[i]
		own := slices.Clone(r.Labels)
		for _, l := range e.Labels {
			if _, ok := r.Labels.Lookup(l.Name); !ok {
				own = append(own, l)
			}
		}
		known := *e
		if e.What&group.ComponentNative != 0 && e.What&(group.ComponentInf|group.ComponentBounds) == 0 {
			known.What &^= group.ComponentSum | group.ComponentCount // those that a receiver may have made
		}
		out = append(out, expandEnded(&known, own)...)
	}
	return out
}

func expandEnded(e *group.Ended, own []group.Label) []string {
	var out []string
	add := func(what group.Component, name string, more ...group.Label) {
		if e.What&what != 0 {
			out = append(out, identity(name, append(slices.Clone(own), more...)))
		}
	}
	add(group.ComponentValue, e.Family)
	add(group.ComponentNative, e.Family)
	add(group.ComponentSum, e.Family+"_sum")
	add(group.ComponentCount, e.Family+"_count")
	add(group.ComponentInf, e.Family+"_bucket", group.Label{Name: "le", Value: "+Inf"})
	for _, b := range e.Bounds {
		if e.Type == group.Summary {
			add(group.ComponentBounds, e.Family, group.Label{Name: "quantile", Value: labels.FormatOpenMetricsFloat(b)})
		} else {
			add(group.ComponentBounds, e.Family+"_bucket", group.Label{Name: "le", Value: labels.FormatOpenMetricsFloat(b)})
		}
	}
	return out
}

// receiver is a strict backend.
type receiver struct {
	last  map[string]int64 // newest timestamp of each series
	live  map[string]bool  // newest sample is no marker
	timed map[string]bool
}

func newReceiver() *receiver {
	return &receiver{last: map[string]int64{}, live: map[string]bool{}, timed: map[string]bool{}}
}

// take sends r. It returns what a strict receiver has to complain about.
func (x *receiver) take(r *group.Record) error {
	if r.Kind == group.KindClock {
		return nil
	}
	series, timed := map[string]bool{}, map[string]bool{}
	deliverMembers(r.Members, r.Labels, series, timed)
	if r.Kind != group.KindDelete {
		for _, o := range ownSeries {
			if r.Hide&o.own == 0 {
				series[identity(o.name, r.Labels)] = true
			}
		}
	}
	for id := range timed {
		x.timed[id] = true
		delete(x.live, id)
	}
	for id := range series {
		if last, ok := x.last[id]; ok && last >= r.Time {
			return fmt.Errorf("%s at %d is not newer than %d", id, r.Time, last)
		}
		x.last[id], x.live[id] = r.Time, true
		delete(x.timed, id)
	}
	return x.takeEnded(r, series, timed)
}

func (x *receiver) takeEnded(r *group.Record, series, timed map[string]bool) error {
	for _, id := range endedSeries(r) {
		switch {
		case series[id] || timed[id]:
			continue // it ends only where the other form of a histogram goes; convert leaves it out here
		case !x.live[id]:
			return fmt.Errorf("%s ends at %d, but does not live", id, r.Time)
		case x.last[id] >= r.Time:
			return fmt.Errorf("the marker of %s at %d is not newer than %d", id, r.Time, x.last[id])
		}
		x.last[id] = r.Time
		delete(x.live, id)
	}
	return nil
}

// gathered checks groups as a Pushgateway does: by gathering all of them.
func gathered(groups []*group.Group) error {
	g := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		var mfs []*dto.MetricFamily
		for _, g := range groups {
			for _, m := range g.Members {
				mfs = append(mfs, m.DTO(g.Labels))
			}
			if g.ID != "" || g.Push != 0 { // not the gateway
				mfs = append(mfs, ownDTO(g)...)
			}
		}
		for _, mf := range mfs {
			mf.Help = nil // the view shows one of them
			for _, m := range mf.Metric {
				m.TimestampMs = nil
			}
		}
		return mfs, nil
	})
	_, err := prometheus.Gatherers{g}.Gather()
	return err
}

func ownDTO(g *group.Group) []*dto.MetricFamily {
	b := group.NewBuilder()
	for _, o := range ownSeries {
		if g.Shows()&o.own != 0 {
			b.Family(o.name, group.Gauge)
			b.Metric(group.FormSingle, nil, nil, 0)
		}
	}
	var mfs []*dto.MetricFamily
	for _, m := range b.Part().Members() {
		mfs = append(mfs, m.DTO(g.Labels))
	}
	return mfs
}

// printGroups prints everything about groups that must survive a restart.
func printGroups(groups []*group.Group) string {
	groups = slices.SortedFunc(slices.Values(groups), func(a, b *group.Group) int { return cmp.Compare(a.ID, b.ID) })
	var b strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&b, "%s push=%d fail=%d ttl=%d born=%d seq=%d hide=%d pushes=%d samples=%d\n",
			g.Labels, g.Push, g.Fail, g.TTL, g.Born, g.Seq, g.Hide, g.Pushes, g.Samples())
		for _, m := range g.Members {
			series, timed := map[string]bool{}, map[string]bool{}
			deliverMembers([]group.Member{m}, g.Labels, series, timed)
			fmt.Fprintf(&b, "  %d %d %s\n   %v %v\n", m.Part.Time, m.Part.Pushed, m.DTO(g.Labels), sortedKeys(series), sortedKeys(timed))
		}
	}
	return b.String()
}

// printIndex prints an index by the names of the groups, whatever their slots.
func printIndex(s *Store, x *index) string {
	name := func(slot uint32) string {
		if e := s.pending.slots[slot]; e != nil && e.pending != nil {
			return e.pending.Labels.String()
		}
		return fmt.Sprintf("slot %d", slot)
	}
	var lines []string
	list := func(what string, o *owners) {
		o.first.all(func(h uint64, first uint32) bool {
			all := []string{name(first)}
			for _, slot := range o.more[h] {
				all = append(all, name(slot))
			}
			slices.Sort(all)
			lines = append(lines, fmt.Sprintf("%s %x %v", what, h, all))
			return true
		})
		if o.first.len() < len(o.more) || len(o.more) < len(o.benign) {
			lines = append(lines, what+" keeps what is gone")
		}
	}
	list("series", &x.series)
	list("claim", &x.claims)
	for n, info := range x.names.byName {
		lines = append(lines, fmt.Sprintf("name %s %v %d", n, info.count, info.total))
	}
	for f, n := range x.names.hidden {
		lines = append(lines, fmt.Sprintf("hidden %s %v %d", f.name, f.typ, n))
	}
	lines = append(lines, fmt.Sprint("conflicts ", x.series.extra, x.names.clashes))
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// rebuilt is the index of s made anew from the groups.
func rebuilt(s *Store) *index {
	x := newIndex()
	h := s.checker.hash.fresh()
	if s.o.CheckConsistency {
		x.names.setOwn(s.pending.gateway)
	}
	for _, f := range s.pending.gateway {
		x.addGateway(&h, f)
	}
	for _, e := range s.pending.slots {
		if e != nil {
			x.changeGroup(&h, e.slot, e.pending, comes)
		}
	}
	keep := s.pending.index
	s.pending.index = x
	if s.o.CheckConsistency {
		s.pending.settle()
	}
	x, s.pending.index = s.pending.index, keep
	return &x
}

func pendingGroups(s *Store) []*group.Group {
	var out []*group.Group
	for _, e := range s.pending.slots {
		if e != nil && e.pending != nil {
			out = append(out, e.pending)
		}
	}
	return out
}

// isNative reports whether a histogram has a native form (rule F-6).
func isNative(h *dto.Histogram) bool {
	return len(h.PositiveSpan) > 0 || len(h.NegativeSpan) > 0 ||
		h.GetZeroThreshold() > 0 || h.GetZeroCount() > 0 || h.GetZeroCountFloat() > 0
}
