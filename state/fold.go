package state

import (
	"github.com/pushbridge/pushbridge/group"
)

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
	if p, own := s.queue.take(r); own {
		s.commitLocked(p, seq)
		return
	}
	if !s.queue.empty() || s.gate.large != nil {
		s.takeBackLocked()
	}
	s.clock.saw(r.Time)
	if r.Kind == group.KindClock || r.Kind == group.KindRefresh {
		s.clock.raise(r.Time)
		s.shown.pass(seq)
		return
	}
	s.foldLocked(r, seq)
}

func (s *Store) commitLocked(p plan, seq uint64) {
	if p.entry == nil {
		s.shown.pass(seq)
		return
	}
	s.keys.keep(p.record.Merge.Key, p.record.Time)
	s.shown.show(p.entry, p.next, seq)
	s.pending.drop(p.entry)
}

// foldLocked takes in a record that was not made here.
func (s *Store) foldLocked(r *group.Record, seq uint64) {
	if p := r.Part; p != nil {
		if shape := s.pending.shapes.Share(p.Shape); shape != p.Shape {
			p.Shape = shape
		}
		if p.Pushed != r.Push {
			p.Pushed = r.Push
		}
	}
	e, conflicts := s.pending.place(r.Labels.ID()), s.pending.index.conflicts()
	next := e.pending.Next(r, &s.pending.shapes)
	s.keys.keep(r.Merge.Key, r.Time)
	if !s.shown.bulk {
		s.followLocked(e, r, next)
	}
	e.last = max(e.last, r.Time)
	s.pending.set(e, next)
	s.shown.show(e, next, seq)
	if !s.shown.bulk && s.pending.strict && s.pending.index.conflicts() > conflicts {
		s.pending.settle()
	}
	s.tidyLocked()
	s.pending.drop(e)
}

// followLocked brings index and floors in step with a record that was not made here.
func (s *Store) followLocked(e *entry, r *group.Record, next *group.Group) {
	s.queue.changes++
	p, old := &s.pending, e.pending
	t := newTransition(p.hash.of(r.Labels), r.Kind, old, r.Part)
	t.slot, t.hide = e.slot, r.Hide
	switch {
	case r.Kind == group.KindDelete:
		t = transition{hash: t.hash}
		if old != nil {
			t.replaced = old.Members
		}
		p.index.changeGroup(&p.hash, e.slot, old, goes)
	case r.Merge.Some && !old.HoldsAll(r, &p.shapes): // what brought the others is damaged
		p.index.changeGroup(&p.hash, e.slot, old, goes)
		p.index.changeGroup(&p.hash, e.slot, next, comes)
	case r.Hide != 0 || r.Part != nil && r.Part.Unsent != nil || !sameSeries(old, r):
		p.index.apply(&t, r, comes)
	}
	if t.hasTimes() {
		s.clock.floors.raise(r.Labels, t.orderTimed(s.clock.last(e), s.clock.floor(r.Labels)).left)
	}
	if len(r.Ended) > 0 || r.Kind == group.KindDelete {
		s.clock.floors.raise(r.Labels, r.Time)
	}
}
