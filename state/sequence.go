package state

import (
	"cmp"
	"errors"
	"sync"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// emptyShape is that of a push without metrics.
func emptyShape() *group.Shape {
	empty.once.Do(func() { empty.shape = group.NewBuilder().Part().Shape })
	return empty.shape
}

var empty struct {
	once  sync.Once
	shape *group.Shape
}

// Apply checks c, finds what it ends, stamps it, and calls enqueue with the
// record while the order is fixed. enqueue must only queue. When Apply returns
// nil the change is pending: later checks see it, and Fold makes it visible.
// When it returns an error, nothing has changed and nothing was enqueued.
//
// A *ConflictError or *InvalidError calls for a KindFail change. ErrAbsent is the
// answer to the deletion of an absent group. Other errors wrap ErrLimit.
func (s *Store) Apply(c group.Change, now time.Time, enqueue func(*group.Record)) error {
	if !c.Job {
		if err := checkKey(c.Labels); err != nil {
			return err
		}
	}
	s.ownOnce.Do(s.addOwnFamilies)
	t, id := turn{s, now, enqueue}, c.Labels.ID()
	if err := s.prepare(&c); err != nil {
		return err
	}
	if c.Part != nil {
		s.pending.shapes.ShareOf(c.Part)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.tidyLocked()
	return s.gate.retry(func() error {
		large := s.gate.admit(id, func() int { return t.weight(id, &c) })
		switch {
		case c.Key != (group.PushKey{}) && s.keys.has(c.Key, now.UnixMilli()):
			return t.repeat()
		case large:
			return t.applyLarge(id, c)
		}
		return t.apply(id, c)
	})
}

// turn gives changes their place in the order, as of one time: it has them checked
// against what is pending, stamped, put into the queue, and makes them pending, all
// under one hold of the store's lock, which its callers have. A large change has it in
// its last step only.
type turn struct {
	s       *Store
	now     time.Time
	enqueue func(*group.Record)
}

// weight says how much there is to do for a change.
func (t *turn) weight(id string, c *group.Change) int {
	if c.Kind == group.KindFail {
		return 0 // the metrics stay
	}
	if c.How != nil && c.Part != nil {
		return t.addedWeight(t.s.pending.newest(id), c)
	}
	n := weight(t.s.pending.newest(id))
	if c.Part != nil {
		n += c.Part.Shape.Samples() + len(c.Part.Shape.Families())
	}
	return n
}

func (t *turn) apply(id string, c group.Change) error {
	switch c.Kind {
	case group.KindPut, group.KindPost:
		return t.push(id, c)
	case group.KindFail:
		return t.fail(id, c)
	case group.KindDelete:
		e := t.s.pending.entries[id]
		if e == nil || e.pending == nil {
			return group.ErrAbsent
		}
		t.end(e, t.s.clock.stamp(e, c.Labels, t.now, stamp{ends: true}), c.Key)
		return nil
	case group.KindClock, group.KindRefresh:
	}
	panic("group: a change of a kind that clients cannot ask for")
}

func (t *turn) push(id string, c group.Change) error {
	old := t.s.pending.newest(id)
	r := t.pushRecord(id, old, &c)
	if c.How != nil {
		sum, err := t.added(old, *r, &c, t.s.pending.index.names.hides())
		if err != nil {
			return err
		}
		r = &sum
	}
	r.Members = r.Part.Members()
	if err := errors.Join(t.checkGroups(old), t.s.o.checkSize(old, r)); err != nil {
		return err
	}
	return t.transit(id, old, r)
}

// pushRecord begins the record of a push. Its members are for the caller to add.
func (t *turn) pushRecord(id string, old *group.Group, c *group.Change) *group.Record {
	if c.Part == nil {
		c.Part = &group.Part{Shape: emptyShape()}
	}
	r := &group.Record{Kind: c.Kind, Labels: c.Labels, Push: cmp.Or(c.Push, t.now.UnixNano()), TTL: int64(c.TTL), Part: c.Part}
	if old != nil {
		r.Labels, r.Fail, r.Hide = old.Labels, old.Fail, old.Hide
	}
	r.Fail = cmp.Or(c.Fail, r.Fail)
	r.Expect = t.expect(id, r.Labels)
	return r
}

// fail notes that a push was refused.
func (t *turn) fail(id string, c group.Change) error {
	old := t.s.pending.newest(id)
	r := &group.Record{Kind: group.KindFail, Labels: c.Labels, Fail: cmp.Or(c.Fail, t.now.UnixNano())}
	if old != nil {
		r.Merge.Pushes = old.Pushes
		r.Labels, r.Push, r.TTL, r.Expect, r.Hide = old.Labels, old.Push, old.TTL, old.Expect, old.Hide
	} else {
		r.Expect = t.expect(id, r.Labels)
	}
	if err := t.checkGroups(old); err != nil {
		return err
	}
	if err := t.transit(id, old, r); err != nil {
		return err
	}
	t.s.metrics.refused.Inc()
	return nil
}

// expect returns how often the rules expect the group to be pushed.
func (t *turn) expect(id string, l group.Labels) int64 {
	r := t.s.rules.Load()
	if r == nil {
		return 0
	}
	if e := t.s.pending.entries[id]; e != nil && e.pending != nil {
		return int64(e.policyBy(r).Expect)
	}
	return int64(r.Of(l).Expect)
}

// transit checks r, completes it and makes it pending.
func (t *turn) transit(id string, old *group.Group, r *group.Record) error {
	s := t.s
	if !s.pending.index.names.hides() && sameSeries(old, r) {
		e := s.pending.entries[id]
		s.clock.stampRecord(e, r, t.now, false)
		t.sequence(e, r, old.Next(r, &s.pending.shapes))
		return nil
	}
	x := newTransition(s.checker.hash.of(r.Labels), r.Kind, old, r.Part)
	x.slot = s.pending.slotOf(id)
	if err := s.checker.check(&x); err != nil {
		return err
	}
	r.Hide = x.hide
	if r.Part != nil {
		r.Part.Unsent = x.unsent
	}
	var adds bool
	r.Ended, adds = s.checker.diff(&x, r.Expect)
	if r.Kind == group.KindFail && old == nil {
		t.makeRoom()
	}
	e := s.pending.place(id)
	if x.hasTimes() {
		s.clock.follow(e, r, x.orderTimed(s.clock.last(e), s.clock.floor(r.Labels)))
	}
	s.clock.stampRecord(e, r, t.now, adds)
	x.slot = e.slot
	s.pending.index.apply(&x, r, s.pending.comes())
	t.sequence(e, r, old.Next(r, &s.pending.shapes))
	return nil
}

// makeRoom ends the oldest of the groups that exist only because of refused pushes,
// when there are too many.
func (t *turn) makeRoom() {
	p := &t.s.pending
	if len(p.failed) < t.s.o.MaxFailedGroups {
		return
	}
	if e := p.oldestFailed(); e != nil {
		t.end(e, t.s.clock.stamp(e, e.pending.Labels, t.now, stamp{ends: true}), group.PushKey{})
	}
}

// end ends a group at time ts, by the request with that key.
func (t *turn) end(e *entry, ts int64, by group.PushKey) {
	s, g := t.s, e.pending
	x := transition{hash: s.checker.hash.of(g.Labels), replaced: g.Members}
	r := &group.Record{Kind: group.KindDelete, Labels: g.Labels, Time: ts, Ended: s.checker.endAll(x.hash, g), Merge: group.Merge{Key: by}}
	if x.hasTimes() {
		s.clock.follow(e, r, x.orderTimed(s.clock.last(e), 0))
	}
	s.pending.index.changeGroup(s.checker.hash, e.slot, g, goes)
	t.sequence(e, r, nil)
}

// sequence makes a complete record pending, after which the group is next, and passes
// it on.
func (t *turn) sequence(e *entry, r *group.Record, next *group.Group) {
	if len(r.Ended) > 0 || r.Kind == group.KindDelete {
		t.s.clock.floors.raise(r.Labels, r.Time)
	}
	if next != nil {
		r.Labels = next.Labels // not the request's memory
	}
	t.s.queue.add(e, r, next)
	t.s.keys.enqueue(r.Merge.Key)
	t.s.pending.set(e, next)
	t.enqueue(r)
}
