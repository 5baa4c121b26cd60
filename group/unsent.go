package group

import "slices"

// findUnsent finds the metrics of a push whose delivery identity another series
// owns already (rule L-6): they are shown, but not sent.
func (s *Store) findUnsent(t *transition) {
	c := &s.checker
	if s.o.CheckConsistency && s.index.claims.first.len() == 0 && !c.empties {
		return // no series anywhere has an empty label: the usual case
	}
	twice := c.repeatedClaims()
	for n := range c.unsent {
		c.unsent[n] = c.unsent[n] || s.claimed(t, n) || s.claimedBefore(t, n, twice)
		if c.unsent[n] {
			t.unsent = append(t.unsent, uint32(n))
		}
	}
}

// claimed reports whether another group owns the delivery identity of metric n.
func (s *Store) claimed(t *transition, n int) bool {
	c := &s.checker
	has := func(slot uint32) bool { return s.slotHas(slot, t, n, true) }
	if s.index.claims.any(c.claim[n], t.slot, has) {
		return true
	}
	if !c.empty[n] && s.o.CheckConsistency {
		return false // checkSeries has looked
	}
	return s.index.series.any(c.claim[n], t.slot, has)
}

// repeatedClaims returns the metrics of the push by claim, for those claims that
// occur twice.
func (c *checker) repeatedClaims() map[uint64][]int {
	c.sorted = append(c.sorted[:0], c.claim...)
	slices.Sort(c.sorted)
	var twice map[uint64][]int
	for i := 1; i < len(c.sorted); i++ {
		if c.sorted[i] == c.sorted[i-1] {
			if twice == nil {
				twice = map[uint64][]int{}
			}
			twice[c.sorted[i]] = nil
		}
	}
	for n, h := range c.claim {
		if _, ok := twice[h]; ok {
			twice[h] = append(twice[h], n)
		}
	}
	return twice
}

// claimedBefore reports whether an earlier metric of the push, which is sent,
// has the delivery identity of metric n.
func (s *Store) claimedBefore(t *transition, n int, twice map[uint64][]int) bool {
	for _, o := range twice[s.checker.claim[n]] {
		if o >= n {
			break
		}
		if !s.checker.unsent[o] && s.sameMetric(t, n, o, true) {
			return true
		}
	}
	return false
}

// slotHas reports whether the pending group of a slot has metric n of the push:
// shows it, or delivers it.
func (s *Store) slotHas(slot uint32, t *transition, n int, delivered bool) bool {
	c, shape := &s.checker, t.part.Shape
	c.a = appendIdentity(c.a[:0], t.labels, shape, &shape.metrics[n], delivered)
	return s.slotHasSeries(slot, shape.familyOf(n).Name, c.a, delivered)
}

// slotHasSeries is slotHas for a name and labels; labels are sorted, and may be
// checker.a.
func (s *Store) slotHasSeries(slot uint32, name string, labels []Label, delivered bool) bool {
	if slot == gatewaySlot {
		return s.gatewayHas(name, labels, delivered)
	}
	g := s.slots[slot].pending
	c := &s.checker
	if o := ownNamed(name) & g.Shows(); o != 0 {
		if delivered && g.Hide&o != 0 {
			return false
		}
		c.b = appendIdentity(c.b[:0], g.Labels, nil, &Metric{}, delivered)
		return slices.Equal(c.b, labels)
	}
	m, ok := g.Member(name)
	if !ok {
		return false
	}
	for _, n := range s.look(slot, g, m, labels, delivered) {
		if delivered && m.Part.IsUnsent(n) {
			continue
		}
		c.b = appendIdentity(c.b[:0], g.Labels, m.Part.Shape, &m.Part.Shape.metrics[n], delivered)
		if slices.Equal(c.b, labels) {
			return true
		}
	}
	return false
}

func ownNamed(name string) Own {
	for _, o := range ownSeries {
		if o.name == name {
			return o.own
		}
	}
	return 0
}

// checkOwn refuses a group whose own series another group has, and finds those
// whose delivery identity another group owns. Groups that differ in an empty
// label only meet here.
func (s *Store) checkOwn(t *transition) error {
	t.hide = (OwnPushTime | OwnFailTime) &^ t.shows
	x := &s.index
	for _, o := range ownSeries {
		if t.shows&o.own == 0 || t.ownStays(o.own) {
			continue
		}
		name := x.hash.string(o.name)
		view, claim := x.keys(name, x.hash.view, x.hash.series)
		if err := s.checkOwnView(t, o.name, view); err != nil {
			return err
		}
		c := &s.checker
		has := func(slot uint32) bool {
			c.a = appendIdentity(c.a[:0], t.labels, nil, &Metric{}, true)
			return s.slotHasSeries(slot, o.name, c.a, true)
		}
		if x.claims.any(claim, t.slot, has) || (x.hash.view != x.hash.series || !s.o.CheckConsistency) && x.series.any(claim, t.slot, has) {
			t.hide |= o.own
		}
	}
	return nil
}

// ownStays reports whether the group had that series before and delivered it.
func (t *transition) ownStays(o Own) bool {
	return t.old != nil && t.old.Shows()&o != 0 && t.old.Hide&o == 0
}

func (s *Store) checkOwnView(t *transition, name string, view uint64) error {
	c := &s.checker
	if !s.o.CheckConsistency {
		return nil
	}
	c.a = appendIdentity(c.a[:0], t.labels, nil, &Metric{}, false)
	owner := uint32(0)
	if s.index.series.any(view, t.slot, func(o uint32) bool { owner = o; return s.slotHasSeries(o, name, c.a, false) }) {
		return &ConflictError{
			Family: name, Metric: metricString(name, c.a), Other: s.labelsOf(owner),
			Reason: "of this group exists already with the same labels",
		}
	}
	return nil
}

// gatewayHas reports whether the gateway itself exposes a series. It is scraped,
// not delivered, so it owns no delivery identity.
func (s *Store) gatewayHas(name string, labels []Label, delivered bool) bool {
	if delivered {
		return false
	}
	return slices.ContainsFunc(s.own, func(f OwnFamily) bool {
		return f.Name == name && slices.ContainsFunc(f.Series, func(l Labels) bool { return slices.Equal(withInstance(l), labels) })
	})
}

// withInstance returns l as a view identifies it: with an instance label.
func withInstance(l Labels) []Label { return l.AppendView(nil, nil, &Metric{}) }

// lookup finds the metrics of one family by a hash of their labels, so that a
// push that meets another group's family in every series looks at it once.
type lookup map[uint64][]uint32

type lookupKey struct {
	slot      uint32
	family    string
	delivered bool
}

// look returns the numbers of the metrics of m that may have these labels.
func (s *Store) look(slot uint32, g *Group, m Member, labels []Label, delivered bool) []uint32 {
	c, f := &s.checker, m.Of()
	k := lookupKey{slot, f.Name, delivered}
	found, ok := c.looked[k]
	if !ok {
		found = lookup{}
		for i, metrics := 0, m.Metrics(); i < len(metrics); i++ {
			c.b = appendIdentity(c.b[:0], g.Labels, m.Part.Shape, &metrics[i], delivered)
			h := s.index.hash.labelsHash(c.b)
			found[h] = append(found[h], uint32(f.First()+i))
		}
		if c.looked == nil {
			c.looked = map[lookupKey]lookup{}
		}
		c.looked[k] = found
	}
	return found[s.index.hash.labelsHash(labels)]
}
