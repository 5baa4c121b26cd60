package state

import (
	"github.com/pushbridge/pushbridge/group"
)

// plan says what becomes visible when a record that was enqueued is kept.
type plan struct {
	record *group.Record
	entry  *entry       // nil for a clock mark
	next   *group.Group // nil: the group ends
}

// Fold takes in what the log has at seq, whoever made it: every record in order, once
// it is durable, at the start or while the state is in use. There is no other way in.
//
// A record of this state, which was passed to enqueue, was checked and indexed when it
// was made, and becomes visible. Any other, of another writer or read back, is beyond
// refusing: it becomes visible and what later changes are checked against, with its
// timestamp, time to live and what else follows from it. What is pending then was
// checked against a state that is no more. It is taken back, as Abort does it; the log
// has to refuse it, or its records come in as those of anybody else. The timestamps of
// a foreign clock mark are taken to be given out to every group.
func (s *Store) Fold(r *group.Record, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, own := s.plannedLocked(r); own {
		s.commitLocked(p, seq)
		return
	}
	if len(s.plans) > 0 || s.large != nil {
		s.takeBackLocked()
	}
	s.clock.saw(r.Time)
	if r.Kind == group.KindClock || r.Kind == group.KindRefresh {
		s.clock.raise(r.Time)
		s.showLocked(nil, nil, seq)
		return
	}
	s.foldLocked(r, seq)
}

// plannedLocked returns what becomes of r, if it is the next one that was enqueued.
func (s *Store) plannedLocked(r *group.Record) (p plan, own bool) {
	if len(s.plans) == 0 || s.plans[0].record != r {
		return plan{}, false
	}
	p = s.plans[0]
	s.plans[0] = plan{}
	s.plans = s.plans[1:]
	return p, true
}

func (s *Store) commitLocked(p plan, seq uint64) {
	s.showLocked(p.entry, p.next, seq)
	e := p.entry
	if e == nil {
		return
	}
	if e.inFlight--; e.inFlight > 0 {
		return
	}
	delete(s.dirty, e)
	s.dropIfAbsentLocked(p.record.Labels.ID(), e)
}

// showLocked makes g, which is not visible yet, the visible version of e's group as of
// seq. Without an entry the visible state is only as of seq.
func (s *Store) showLocked(e *entry, g *group.Group, seq uint64) {
	if g != nil {
		g.Seq = seq
	}
	if e != nil {
		e.committed = g
	}
	switch t := s.state.Load(); {
	case s.bulk != nil:
		s.bulk.seq = seq
	case e == nil:
		same := *t
		same.seq = seq
		s.state.Store(&same)
	default:
		s.state.Store(t.with(e.slot, g, seq))
	}
}

// foldLocked takes in a record that was not made here.
func (s *Store) foldLocked(r *group.Record, seq uint64) {
	if p := r.Part; p != nil {
		if shape := s.shapes.Share(p.Shape); shape != p.Shape {
			p.Shape = shape
		}
		if p.Pushed != r.Push {
			p.Pushed = r.Push
		}
	}
	id := r.Labels.ID()
	e := s.entryLocked(id)
	next, conflicts := e.pending.Next(r, &s.shapes), s.index.conflicts()
	if s.bulk == nil {
		s.followLocked(e, r)
	}
	e.last = max(e.last, r.Time)
	s.setPendingLocked(e, next)
	s.showLocked(e, next, seq)
	if s.bulk == nil && s.o.CheckConsistency && s.index.conflicts() > conflicts {
		s.settleIndexLocked()
	}
	s.tidyLocked()
	s.dropIfAbsentLocked(id, e)
}

// followLocked brings index and floors in step with a record that was not made here.
func (s *Store) followLocked(e *entry, r *group.Record) {
	s.changes++
	h, old := &s.checker.hash, e.pending
	t := newTransition(h.of(r.Labels), r.Kind, old, r.Part)
	t.slot, t.hide = e.slot, r.Hide
	switch {
	case r.Kind == group.KindDelete:
		t = transition{hash: t.hash}
		if old != nil {
			t.replaced = old.Members
		}
		s.index.changeGroup(h, e.slot, old, goes)
	case r.Hide != 0 || r.Part != nil && r.Part.Unsent != nil || !sameSeries(old, r):
		s.index.apply(&t, r, comes)
	}
	if t.hasTimes() {
		s.clock.floors.raise(r.Labels, t.orderTimed(s.clock.last(e), s.clock.floor(r.Labels)).left)
	}
	if len(r.Ended) > 0 || r.Kind == group.KindDelete {
		s.clock.floors.raise(r.Labels, r.Time)
	}
}

// dropIfAbsentLocked removes an entry that stands for nothing any more.
func (s *Store) dropIfAbsentLocked(id string, e *entry) {
	held := s.large != nil && s.large.entry == e
	if e.pending == nil && e.committed == nil && e.inFlight == 0 && !held && s.entries[id] == e {
		s.dropLocked(id, e)
	}
}
