package state

import (
	"github.com/pushbridge/pushbridge/aggregate"
	"github.com/pushbridge/pushbridge/group"
)

// prepare makes of a push that is added up what is added, without the lock.
func (s *Store) prepare(c *group.Change) (err error) {
	if c.How == nil || c.Kind != group.KindPut && c.Kind != group.KindPost {
		return nil
	}
	if c.Part == nil {
		c.Part = &group.Part{Shape: emptyShape()}
	}
	c.Part, err = s.aggregates.Prepare(c.Part, c.How)
	return err
}

// repeat answers a change that is kept already, or will be with what is enqueued: by a
// mark behind that, which says nothing and has the same fate.
func (t *turn) repeat() error {
	r := &group.Record{Kind: group.KindClock, Time: t.s.clock.highest.Load()}
	t.s.queue.addMark(r)
	t.enqueue(r)
	t.s.metrics.repeated.Inc()
	return nil
}

// added returns what becomes of old by a push that is added to it, whose record is begun
// as r. hides: see names.hides.
func (t *turn) added(old *group.Group, r group.Record, c *group.Change, hides bool) (group.Record, error) {
	r.Merge = group.Merge{Pushes: 1, Key: c.Key}
	base, when := old, aggregate.When{Now: t.now}
	switch {
	case old == nil:
	case c.Kind == group.KindPut:
		base, when.After = nil, old.Last
	case old.Pushes == 0 && len(old.Members) > 0: // pushed before the rule came, and no sum
		r.Kind, base, when.After = group.KindPut, nil, old.Last
	default:
		r.Merge.Pushes, when.After = old.Pushes+1, old.Last
	}
	merge := aggregate.Merge
	if hides || base != nil && (base.Hide != 0 || (base.Expect > 0) != (r.Expect > 0)) {
		merge = aggregate.MergeWhole // which series are delivered may change
	}
	sum, err := merge(base, c.Part, c.How, when, &t.s.pending.shapes)
	r.Part, r.Merge.Some = sum.Part, sum.Some
	return r, err
}

// addedWeight says how much there is to do to add a push: as much as it has itself, while
// its series are known.
func (t *turn) addedWeight(old *group.Group, c *group.Change) int {
	n := c.Part.Shape.Samples() + len(c.Part.Shape.Families())
	if c.Kind == group.KindPost && old.HoldsAll(&group.Record{Members: c.Part.Members()}, &t.s.pending.shapes) {
		return n
	}
	return n + weight(old)
}

// add is what a large push does first that is added up: what there is to do needs no lock.
func (l *largeChange) add(hides bool) error {
	r, err := l.added(l.old, *l.r, l.push, hides)
	if err != nil {
		return err
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	*l.r = r
	return nil
}
