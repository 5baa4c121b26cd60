package group

import (
	"cmp"
	"slices"
)

// Late is a metric whose own timestamp is not newer than a sample that its
// series had before. It is sent apart from others, as a receiver that refuses
// it may refuse everything beside it.
type Late struct {
	Metric uint32 // number among all metrics of the shape
	Newest int64  // newest timestamp of the series so far, in ms
}

// LateOf returns what p knows of metric number n as a late one.
func (p *Part) LateOf(n uint32) (Late, bool) {
	i, ok := slices.BinarySearchFunc(p.Late, n, func(l Late, n uint32) int { return cmp.Compare(l.Metric, n) })
	if !ok {
		return Late{}, false
	}
	return p.Late[i], true
}

// newestOf returns the newest timestamp that the series of metric n, which has a
// time of its own, was sent with.
func (p *Part) newestOf(n uint32) int64 {
	l, late := p.LateOf(n)
	if late {
		return max(l.Newest, p.Times[n])
	}
	return p.Times[n]
}

// orderTimed looks at a record that replaces or brings metrics with times of
// their own, before it is stamped. Metrics that are not newer than their series
// are noted as late; metrics without a time, which are stamped, come after what
// they replace; and a series that goes without a marker leaves its time behind,
// for when it comes back. The hasher must have been prepared for the group.
func (s *Store) orderTimed(e *entry, t *transition, r *Record) {
	had := s.timedBefore(t)
	if r.Part != nil {
		s.orderPart(e, t, r.Part, had)
	}
	for _, newest := range had {
		s.floors.raise(r.Labels, newest)
	}
}

// timedBefore returns, by identity at delivery, the newest time of the metrics
// with a time of their own that a transition replaces.
func (s *Store) timedBefore(t *transition) map[uint64]int64 {
	had := map[uint64]int64{}
	for _, m := range t.replaced {
		p, f := m.Part, m.Of()
		if p.Times == nil {
			continue
		}
		s.eachIdentity(p, f, func(n uint32, id uint64) {
			if p.isTimed(n) {
				had[id] = max(had[id], p.newestOf(n))
			}
		})
	}
	return had
}

// orderPart takes what lives on out of had.
func (s *Store) orderPart(e *entry, t *transition, p *Part, had map[uint64]int64) {
	floor := *s.floors.of(t.labels)
	untimed := s.untimedBefore(t)
	for i := range p.Shape.families {
		f := &p.Shape.families[i]
		s.eachIdentity(p, f, func(n uint32, id uint64) {
			before, timed := had[id]
			delete(had, id)
			if !p.isTimed(n) {
				e.last = max(e.last, before)
				return
			}
			switch {
			case timed:
			case untimed[id]:
				before = e.last
			default:
				before = floor // it may have ended here or in another group
			}
			if p.Times[n] <= before {
				p.Late = append(p.Late, Late{Metric: n, Newest: before})
			}
		})
	}
	slices.SortFunc(p.Late, func(a, b Late) int { return cmp.Compare(a.Metric, b.Metric) })
}

// untimedBefore returns the identities of the metrics that a transition replaces
// and that have no time of their own.
func (s *Store) untimedBefore(t *transition) map[uint64]bool {
	had := map[uint64]bool{}
	for _, m := range t.replaced {
		s.eachIdentity(m.Part, m.Of(), func(n uint32, id uint64) {
			if !m.Part.isTimed(n) {
				had[id] = true
			}
		})
	}
	return had
}

// eachIdentity calls f with the number and the identity at delivery of each
// metric of a family.
func (s *Store) eachIdentity(p *Part, fam *Family, f func(n uint32, id uint64)) {
	h := &s.index.hash
	h.use(p.Shape)
	name := h.string(fam.Name)
	for i, metrics := 0, p.Shape.Metrics(fam); i < len(metrics); i++ {
		_, sum := h.sums(&metrics[i])
		f(uint32(fam.First()+i), h.mix(name, sum))
	}
}

// hasTimes reports whether a transition has to do with explicit timestamps.
func (t *transition) hasTimes() bool {
	return t.part != nil && t.part.Times != nil ||
		slices.ContainsFunc(t.replaced, func(m Member) bool { return m.Part.Times != nil })
}
