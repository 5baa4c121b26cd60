package state

import (
	"cmp"
	"slices"

	"github.com/pushbridge/pushbridge/group"
)

// timing is what explicit timestamps mean for the record of a transition.
type timing struct {
	last, floor int64 // what it follows from: of the group's last record, and of the job

	late  []group.Late // of the part
	after int64        // the record is stamped later than that
	left  int64        // newest time of the series that go without a marker
}

// orderTimed looks at a transition that replaces or brings metrics with times of
// their own, before it is stamped: last is the timestamp of the group's last record,
// floor that of the job. Metrics that are not newer than their series are noted as
// late; metrics without a time, which are stamped, come after what they replace; and
// a series that goes without a marker leaves its time behind, for when it comes back.
func (t *transition) orderTimed(last, floor int64) timing {
	had, x := t.timedBefore(), timing{last: last, floor: floor, after: last}
	if t.part != nil {
		t.orderPart(had, floor, &x)
	}
	for _, newest := range had {
		x.left = max(x.left, newest)
	}
	return x
}

// follow carries out what orderTimed found for a record of e.
func (c *clock) follow(e *entry, r *group.Record, x timing) {
	e.last = max(e.last, x.after)
	c.floors.raise(r.Labels, x.left)
	if r.Part != nil {
		r.Part.Late = x.late
	}
}

// timedBefore returns, by identity at delivery, the newest time of the metrics
// with a time of their own that a transition replaces.
func (t *transition) timedBefore() map[uint64]int64 {
	had := map[uint64]int64{}
	for _, m := range t.replaced {
		p, f := m.Part, m.Of()
		if p.Times == nil {
			continue
		}
		t.eachIdentity(p, f, func(n uint32, id uint64) {
			if p.IsTimed(n) {
				had[id] = max(had[id], newestOf(p, n))
			}
		})
	}
	return had
}

// orderPart takes what lives on out of had.
func (t *transition) orderPart(had map[uint64]int64, floor int64, x *timing) {
	untimed, p := t.untimedBefore(), t.part
	for i := range p.Shape.Families() {
		f := &p.Shape.Families()[i]
		t.eachIdentity(p, f, func(n uint32, id uint64) {
			before, timed := had[id]
			delete(had, id)
			if !p.IsTimed(n) {
				x.after = max(x.after, before)
				return
			}
			switch {
			case timed:
			case untimed[id]:
				before = x.after
			default:
				before = floor // it may have ended here or in another group
			}
			if p.Times[n] <= before {
				x.late = append(x.late, group.Late{Metric: n, Newest: before})
			}
		})
	}
	slices.SortFunc(x.late, func(a, b group.Late) int { return cmp.Compare(a.Metric, b.Metric) })
}

// untimedBefore returns the identities of the metrics that a transition replaces
// and that have no time of their own.
func (t *transition) untimedBefore() map[uint64]bool {
	had := map[uint64]bool{}
	for _, m := range t.replaced {
		t.eachIdentity(m.Part, m.Of(), func(n uint32, id uint64) {
			if !m.Part.IsTimed(n) {
				had[id] = true
			}
		})
	}
	return had
}

// eachIdentity calls f with the number and the identity at delivery of each
// metric of a family.
func (t *transition) eachIdentity(p *group.Part, fam *group.Family, f func(n uint32, id uint64)) {
	h := &t.hash
	name := h.string(fam.Name)
	for i, metrics := 0, p.Shape.Metrics(fam); i < len(metrics); i++ {
		_, sum := h.sums(p.Shape, &metrics[i])
		f(uint32(fam.First()+i), h.mix(name, sum))
	}
}

// hasTimes reports whether a transition has to do with explicit timestamps.
func (t *transition) hasTimes() bool {
	return t.part != nil && t.part.Times != nil ||
		slices.ContainsFunc(t.replaced, func(m group.Member) bool { return m.Part.Times != nil })
}

// newestOf returns the newest timestamp that the series of metric n, which has a
// time of its own, was sent with.
func newestOf(p *group.Part, n uint32) int64 {
	l, late := p.LateOf(n)
	if late {
		return max(l.Newest, p.Times[n])
	}
	return p.Times[n]
}
