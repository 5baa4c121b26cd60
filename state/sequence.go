package state

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pushbridge/pushbridge/group"
)

// emptyShape is that of a push without metrics.
var emptyShape = group.NewBuilder().Part().Shape

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
	id := c.Labels.ID()
	if c.Part != nil {
		c.Part.Shape = s.shapes.Share(c.Part.Shape)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.tidyLocked()
	return s.retryLocked(func() error {
		if s.admitLocked(id, func() int { return s.weightLocked(id, &c) }) {
			return s.applyLarge(id, c, now, enqueue)
		}
		return s.applyLocked(id, c, now, enqueue)
	})
}

func (s *Store) applyLocked(id string, c group.Change, now time.Time, enqueue func(*group.Record)) error {
	switch c.Kind {
	case group.KindPut, group.KindPost:
		return s.pushLocked(id, c, now, enqueue)
	case group.KindFail:
		return s.failLocked(id, c, now, enqueue)
	case group.KindDelete:
		e := s.entries[id]
		if e == nil || e.pending == nil {
			return group.ErrAbsent
		}
		s.deleteLocked(e, s.clock.stamp(e, c.Labels, now, stamp{ends: true}), enqueue)
		return nil
	case group.KindClock, group.KindRefresh:
	}
	panic("group: a change of a kind that clients cannot ask for")
}

// checkKey refuses grouping keys that no view could show.
func checkKey(l group.Labels) error {
	if l.Job() == "" {
		return &group.InvalidError{Family: "", Err: errors.New("the job name is empty")}
	}
	for i, p := range l {
		switch {
		case p.Name == "" || strings.HasPrefix(p.Name, "__") || !utf8.ValidString(p.Name):
			return &group.InvalidError{Err: fmt.Errorf("invalid name %q of a grouping label", group.Brief(p.Name))}
		case !utf8.ValidString(p.Value):
			return &group.InvalidError{Err: fmt.Errorf("the value of grouping label %q is not valid UTF-8", group.Brief(p.Name))}
		case i > 0 && l[i-1].Name >= p.Name:
			panic("group: grouping labels that NewLabels has not seen")
		}
	}
	return nil
}

func (s *Store) pushLocked(id string, c group.Change, now time.Time, enqueue func(*group.Record)) error {
	old := s.pendingLocked(id)
	r := s.pushRecordLocked(id, old, &c, now)
	r.Members = r.Part.Members()
	if err := errors.Join(s.checkGroupsLocked(old), s.checkSize(old, r)); err != nil {
		return err
	}
	return s.transitLocked(id, old, r, now, enqueue)
}

// pushRecordLocked begins the record of a push. Its members are for the caller to add.
func (s *Store) pushRecordLocked(id string, old *group.Group, c *group.Change, now time.Time) *group.Record {
	if c.Part == nil {
		c.Part = &group.Part{Shape: emptyShape}
	}
	r := &group.Record{Kind: c.Kind, Labels: c.Labels, Push: cmp.Or(c.Push, now.UnixNano()), TTL: int64(c.TTL), Part: c.Part}
	if old != nil {
		r.Labels, r.Fail, r.Hide = old.Labels, old.Fail, old.Hide
	}
	r.Fail = cmp.Or(c.Fail, r.Fail)
	r.Expect = s.expectLocked(id, r.Labels)
	return r
}

func (s *Store) failLocked(id string, c group.Change, now time.Time, enqueue func(*group.Record)) error {
	old := s.pendingLocked(id)
	r := &group.Record{Kind: group.KindFail, Labels: c.Labels, Fail: cmp.Or(c.Fail, now.UnixNano())}
	if old != nil {
		r.Labels, r.Push, r.TTL, r.Expect, r.Hide = old.Labels, old.Push, old.TTL, old.Expect, old.Hide
	} else {
		r.Expect = s.expectLocked(id, r.Labels)
	}
	if err := s.checkGroupsLocked(old); err != nil {
		return err
	}
	if err := s.transitLocked(id, old, r, now, enqueue); err != nil {
		return err
	}
	s.metrics.refused.Inc()
	return nil
}

// expectLocked returns how often the rules expect the group to be pushed.
func (s *Store) expectLocked(id string, l group.Labels) int64 {
	r := s.rules.Load()
	if r == nil {
		return 0
	}
	if e := s.entries[id]; e != nil && e.pending != nil {
		return int64(s.policyLocked(e, r).Expect)
	}
	return int64(r.Of(l).Expect)
}

func (s *Store) pendingLocked(id string) *group.Group {
	if e := s.entries[id]; e != nil {
		return e.pending
	}
	return nil
}

// checkGroupsLocked refuses a group too many. A group that a large change is about to
// make counts once it is there.
func (s *Store) checkGroupsLocked(old *group.Group) error {
	limit := s.o.MaxGroups
	if limit == 0 || old != nil || len(s.entries) < limit {
		return nil
	}
	if s.large != nil && s.large.old == nil {
		return errUnderWay
	}
	return fmt.Errorf("%w: there are %d groups already", group.ErrLimit, limit)
}

// checkSize refuses a group that would be too large.
func (s *Store) checkSize(old *group.Group, r *group.Record) error {
	limit := s.o.MaxSeriesPerGroup
	if limit == 0 || r.Part == nil {
		return nil
	}
	n := r.Part.Shape.Samples()
	if old != nil && r.Kind == group.KindPost {
		n = old.Samples()
		for _, m := range r.Members {
			n += m.Samples()
			if o, ok := old.Member(m.Of().Name); ok {
				n -= o.Samples()
			}
		}
	}
	if n > limit {
		return fmt.Errorf("%w: the group would have %d series, at most %d are allowed", group.ErrLimit, n, limit)
	}
	return nil
}

// transitLocked checks r, completes it and makes it pending.
func (s *Store) transitLocked(id string, old *group.Group, r *group.Record, now time.Time, enqueue func(*group.Record)) error {
	adds := false
	var t transition
	same := !s.index.names.hides() && sameSeries(old, r)
	c := s.checker
	if !same {
		t = newTransition(c.hash.of(r.Labels), r.Kind, old, r.Part)
		t.slot = s.slotOfLocked(id)
		if err := c.check(&t); err != nil {
			return err
		}
		r.Hide = t.hide
		if r.Part != nil {
			r.Part.Unsent = t.unsent
		}
		r.Ended, adds = c.diff(&t, r.Expect)
	}
	if r.Kind == group.KindFail && old == nil {
		s.makeRoomLocked(now, enqueue)
	}
	e := s.entryLocked(id)
	if !same && t.hasTimes() {
		s.timeLocked(e, r, t.orderTimed(s.clock.last(e), s.clock.floor(r.Labels)))
	}
	s.stampRecordLocked(e, r, now, adds)
	if !same {
		t.slot = e.slot
		come := comes
		if s.o.CheckConsistency {
			come = comesUnlike
		}
		s.index.apply(&t, r, come)
	}
	s.enqueueLocked(e, r, old.Next(r, &s.shapes), enqueue)
	return nil
}

// slotOfLocked returns the slot of a group, noSlot when there is none.
func (s *Store) slotOfLocked(id string) uint32 {
	if e := s.entries[id]; e != nil {
		return e.slot
	}
	return noSlot
}

func (s *Store) stampRecordLocked(e *entry, r *group.Record, now time.Time, adds bool) {
	r.Time = s.clock.stamp(e, r.Labels, now, stamp{adds: adds, ends: len(r.Ended) > 0})
	if r.Part != nil {
		r.Part.Time, r.Part.Pushed = r.Time, r.Push
	}
}

// noSlot is the owner number of a group that is not there yet.
const noSlot = math.MaxUint32

// sameSeries reports whether r leaves every series of the group as it is, shown
// and delivered, and only changes values: the usual push.
func sameSeries(old *group.Group, r *group.Record) bool {
	if old == nil || old.Hide != 0 || (old.Expect > 0) != (r.Expect > 0) {
		return false
	}
	if r.Kind == group.KindFail {
		return true
	}
	if r.Kind == group.KindPut && len(r.Members) != len(old.Members) || r.Part.Times != nil {
		return false
	}
	i := 0
	for _, m := range r.Members {
		name := m.Of().Name
		for i < len(old.Members) && old.Members[i].Of().Name < name {
			i++
		}
		if i == len(old.Members) {
			return false
		}
		o := old.Members[i]
		if o.Part.Shape != m.Part.Shape || o.Family != m.Family || o.Part.Unsent != nil || o.Part.Times != nil {
			return false
		}
	}
	return true
}

// diff returns what a transition ends, and whether it adds anything.
func (k *checker) diff(t *transition, expect int64) (ended []group.Ended, adds bool) {
	c := &k.components
	c.begin(t.hash)
	if t.part != nil {
		c.addLive(t.part, t.unsent)
	}
	for _, o := range ownSeries {
		if t.hide&o.own == 0 {
			c.addOwn(o.name)
		}
	}
	if group.ShipsOverdue(expect, t.hide) {
		c.addOwn(group.OverdueName)
	}
	c.seal()
	ended = c.appendEnded(nil, t.replaced)
	if t.old == nil {
		return ended, true
	}
	for _, o := range ownSeries {
		if t.old.Hide&o.own == 0 && !c.meets(c.ownIdentity(o.name)) {
			ended = append(ended, ownEnded(o.name))
		}
	}
	if t.old.ShipsOverdue() && !c.meets(c.ownIdentity(group.OverdueName)) {
		ended = append(ended, ownEnded(group.OverdueName))
	}
	return ended, c.added()
}

func ownEnded(name string) group.Ended {
	return group.Ended{Family: name, Type: group.Gauge, What: group.ComponentValue}
}

// apply brings the index in step with a transition.
func (x *index) apply(t *transition, r *group.Record, come move) {
	h := &t.hash
	x.change(h, t.slot, t.replaced, goes)
	if t.old == nil {
		x.changeOwn(h, t.slot, t.shows, t.hide, come)
	} else if shows := t.old.Shows(); shows != t.shows || t.old.Hide != t.hide {
		x.changeOwn(h, t.slot, shows, t.old.Hide, goes)
		x.changeOwn(h, t.slot, t.shows, t.hide, come)
	}
	x.change(h, t.slot, r.Members, come)
}

// deleteLocked ends a group at time ts.
func (s *Store) deleteLocked(e *entry, ts int64, enqueue func(*group.Record)) {
	g, c := e.pending, s.checker
	t := transition{hash: c.hash.of(g.Labels), replaced: g.Members}
	r := &group.Record{Kind: group.KindDelete, Labels: g.Labels, Time: ts, Ended: c.endAll(t.hash, g)}
	if t.hasTimes() {
		s.timeLocked(e, r, t.orderTimed(s.clock.last(e), 0))
	}
	s.index.changeGroup(&c.hash, e.slot, g, goes)
	s.enqueueLocked(e, r, nil, enqueue)
}

// endAll returns what the end of a group ends.
func (k *checker) endAll(of groupHash, g *group.Group) []group.Ended {
	c := &k.components
	c.begin(of)
	c.seal()
	ended := c.appendEnded(nil, g.Members)
	for _, o := range ownSeries {
		if g.Hide&o.own == 0 {
			ended = append(ended, ownEnded(o.name))
		}
	}
	if g.ShipsOverdue() {
		ended = append(ended, ownEnded(group.OverdueName))
	}
	return ended
}

// enqueueLocked makes a complete record pending, after which the group is next, and
// passes it on.
func (s *Store) enqueueLocked(e *entry, r *group.Record, next *group.Group, enqueue func(*group.Record)) {
	s.changes++
	if len(r.Ended) > 0 || r.Kind == group.KindDelete {
		s.clock.floors.raise(r.Labels, r.Time)
	}
	if next != nil {
		r.Labels = next.Labels // not the request's memory
	}
	r.Generation = s.generation
	s.plans = append(s.plans, plan{record: r, entry: e, next: next})
	s.setPendingLocked(e, next)
	e.inFlight++
	s.dirty[e] = struct{}{}
	enqueue(r)
}

// tidyLocked ends a change: it publishes the number of conflicts, and lets go of
// scratch space that only a huge push needs.
func (s *Store) tidyLocked() {
	s.countConflictsLocked()
	if c := s.checker; max(cap(c.view), cap(c.components.live), cap(c.hash.last.hashes)) > maxScratch {
		s.checker = newChecker(s, c.hash.fresh())
	}
}

// maxScratch is the largest scratch space, in elements, that is kept.
const maxScratch = 1 << 16

// countConflictsLocked publishes the number of conflicts. While a large change is
// under way the index holds more than there is.
func (s *Store) countConflictsLocked() {
	if s.large == nil {
		s.conflicts.Store(int64(s.index.conflicts()))
	}
}
