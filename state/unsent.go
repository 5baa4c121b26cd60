package state

import (
	"slices"

	"github.com/pushbridge/pushbridge/bigslice"
	"github.com/pushbridge/pushbridge/group"
)

// findUnsent finds the metrics of a push whose delivery identity another series
// owns already (rule L-6): they are shown, but not sent.
func (c *checker) findUnsent(t *transition, from, to int) {
	for n := from; n < to; n++ {
		c.unsent[n] = c.unsent[n] || c.claimed(t, n) || c.claimedBefore(t, n)
		if c.unsent[n] {
			t.unsent = bigslice.Append(t.unsent, uint32(n))
		}
	}
}

// mayBeUnsent is false in the usual case: no series anywhere has an empty label.
func (c *checker) mayBeUnsent() bool {
	return !c.on.strict || c.empties || c.on.index.claims.first.len() > 0
}

// claimed reports whether another group owns the delivery identity of metric n.
func (c *checker) claimed(t *transition, n int) bool {
	has := func(slot uint32) bool { return c.slotHas(slot, t, n, true) }
	if c.on.index.claims.any(c.claim[n], t.slot, has) {
		return true
	}
	if !c.empty[n] && c.on.strict {
		return false // checkSeries has looked
	}
	return c.on.index.series.any(c.claim[n], t.slot, has)
}

// findTwins finds the metrics whose claim the push has twice. There are none when
// the views differ, and say the same as the claims.
func (c *checker) findTwins() {
	c.twins = nil
	if c.on.strict && !c.empties {
		return
	}
	c.sorted = bigslice.AppendAll(c.sorted[:0], c.claim)
	slices.Sort(c.sorted)
	for i := 1; i < len(c.sorted); i++ {
		if c.sorted[i] == c.sorted[i-1] {
			if c.twins == nil {
				c.twins = map[uint64][]int{}
			}
			c.twins[c.sorted[i]] = nil
		}
	}
	for n, h := range c.claim {
		if _, ok := c.twins[h]; ok {
			c.twins[h] = append(c.twins[h], n)
		}
	}
}

// claimedBefore reports whether an earlier metric of the push, which is sent,
// has the delivery identity of metric n.
func (c *checker) claimedBefore(t *transition, n int) bool {
	for _, o := range c.twins[c.claim[n]] {
		if o >= n {
			break
		}
		if !c.unsent[o] && c.sameMetric(t, n, o, true) {
			return true
		}
	}
	return false
}

// slotHas reports whether the pending group of a slot has metric n of the push:
// shows it, or delivers it.
func (c *checker) slotHas(slot uint32, t *transition, n int, delivered bool) bool {
	shape := t.part.Shape
	c.a = appendIdentity(c.a[:0], t.labels(), shape, &shape.All()[n], delivered)
	return c.slotHasSeries(slot, shape.FamilyOf(n).Name, c.a, delivered)
}

// slotHasSeries is slotHas for a name and labels; labels are sorted, and may be
// checker.a. The series of a group that a large change is about are for that change
// to decide.
func (c *checker) slotHasSeries(slot uint32, name string, labels []group.Label, delivered bool) bool {
	if slot == gatewaySlot {
		return c.on.gatewayHas(name, labels, delivered)
	}
	e := c.on.slots[slot]
	if e.held {
		c.underWay = true
		return true
	}
	g := e.pending
	if o := ownNamed(name) & g.Shows(); o != 0 {
		if delivered && g.Hide&o != 0 {
			return false
		}
		c.b = appendIdentity(c.b[:0], g.Labels, nil, &group.Metric{}, delivered)
		return slices.Equal(c.b, labels)
	}
	m, ok := g.Member(name)
	if !ok {
		return false
	}
	for _, n := range c.look(slot, g, m, labels, delivered) {
		if delivered && m.Part.IsUnsent(n) {
			continue
		}
		c.b = appendIdentity(c.b[:0], g.Labels, m.Part.Shape, &m.Part.Shape.All()[n], delivered)
		if slices.Equal(c.b, labels) {
			return true
		}
	}
	return false
}

func ownNamed(name string) group.Own {
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
func (c *checker) checkOwn(t *transition) error {
	t.hide = (group.OwnPushTime | group.OwnFailTime) &^ t.shows
	x := &c.on.index
	for _, o := range ownSeries {
		if t.shows&o.own == 0 || t.ownStays(o.own) {
			continue
		}
		s := t.hash.own(o.name)
		if err := c.checkOwnView(t, o.name, s.view); err != nil {
			return err
		}
		has := func(slot uint32) bool {
			c.a = appendIdentity(c.a[:0], t.labels(), nil, &group.Metric{}, true)
			return c.slotHasSeries(slot, o.name, c.a, true)
		}
		if x.claims.any(s.claim, t.slot, has) || (s.empty || !c.on.strict) && x.series.any(s.claim, t.slot, has) {
			t.hide |= o.own
		}
	}
	return nil
}

func (c *checker) checkOwnView(t *transition, name string, view uint64) error {
	if !c.on.strict {
		return nil
	}
	c.a = appendIdentity(c.a[:0], t.labels(), nil, &group.Metric{}, false)
	owner := uint32(0)
	if c.on.index.series.any(view, t.slot, func(o uint32) bool { owner = o; return c.slotHasSeries(o, name, c.a, false) }) {
		return &group.ConflictError{
			Family: name, Metric: group.BriefMetric(name, c.a), Other: c.on.labelsOf(owner),
			Reason: "of this group exists already with the same labels",
		}
	}
	return nil
}

// lookup finds the metrics of one family by a hash of their labels, so that a
// push that meets another group's family in every series looks at it once.
type lookup map[uint64][]uint32

type lookupKey struct {
	slot      uint32
	family    string
	delivered bool
}

// look returns the numbers of the metrics of m that may have these labels.
func (c *checker) look(slot uint32, g *group.Group, m group.Member, labels []group.Label, delivered bool) []uint32 {
	f := m.Of()
	k := lookupKey{slot, f.Name, delivered}
	found, ok := c.looked[k]
	if !ok {
		found = lookup{}
		for i, metrics := 0, m.Metrics(); i < len(metrics); i++ {
			c.b = appendIdentity(c.b[:0], g.Labels, m.Part.Shape, &metrics[i], delivered)
			h := c.hash.labels(c.b)
			found[h] = append(found[h], uint32(f.First()+i))
		}
		if c.looked == nil {
			c.looked = map[lookupKey]lookup{}
		}
		c.looked[k] = found
	}
	return found[c.hash.labels(labels)]
}
