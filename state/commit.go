package state

import (
	"maps"
	"slices"

	"github.com/pushbridge/pushbridge/group"
)

// addOwnFamilies asks for the gateway's own metrics and puts them into the index.
func (s *Store) addOwnFamilies() {
	if s.o.OwnFamilies == nil {
		return
	}
	own := s.o.OwnFamilies() // may read the store's metrics: not under the lock
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own = own
	s.addGatewayLocked()
	s.countConflictsLocked()
	for _, f := range s.hiddenLocked() {
		s.log.Warn("metric family is not shown: the gateway has metrics of its own that it collides with",
			"family", group.Brief(f.Name), "type", word(f.Type), "groups", f.Groups, "group", f.Group.String())
	}
}

func (s *Store) addGatewayLocked() {
	if s.o.CheckConsistency { // without, a view that is not consistent is what was asked for
		s.index.names.setOwn(s.own)
	}
	for _, f := range s.own {
		s.index.addGateway(&s.checker.hash, f)
	}
}

// tidyLocked ends a change: it publishes the number of conflicts, and lets go of
// scratch space that only a huge push needs.
func (s *Store) tidyLocked() {
	s.countConflictsLocked()
	if c := s.checker; max(cap(c.view), cap(c.components.live), cap(c.hash.symbols)) > maxScratch {
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

// Commit makes r visible. It is called for each record of the log, in sequence
// order, once the record is durable.
func (s *Store) Commit(r *group.Record, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, own := s.plannedLocked(r)
	if !own {
		t := *s.state.Load()
		t.seq = seq
		s.state.Store(&t)
		return
	}
	e := p.entry
	if p.next != nil {
		p.next.Seq = seq
	}
	e.committed = p.next
	s.state.Store(s.state.Load().with(e.slot, p.next, seq))
	if e.inFlight--; e.inFlight > 0 {
		return
	}
	delete(s.dirty, e)
	s.dropIfAbsentLocked(r.Labels.ID(), e)
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

// dropIfAbsentLocked removes an entry that stands for nothing any more.
func (s *Store) dropIfAbsentLocked(id string, e *entry) {
	held := s.large != nil && s.large.entry == e
	if e.pending == nil && e.committed == nil && e.inFlight == 0 && !held && s.entries[id] == e {
		s.dropLocked(id, e)
	}
}

// Abort takes back everything that is pending, since records have failed, and makes
// generation that of the records to come. The log refuses those of the generation
// before, so that no change that was checked against the pending state is committed
// after it. Abort is called once what was durable before the failure is committed;
// for each record that failed, if that is simpler: with the generation that the store
// has it does nothing. Timestamps given out stay given out.
func (s *Store) Abort(generation uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if generation == s.generation {
		return
	}
	s.generation, s.plans = generation, nil
	s.voidLargeLocked()
	dirty := maps.Clone(s.dirty)
	for e := range dirty {
		s.index.changeGroup(&s.checker.hash, e.slot, e.pending, false)
	}
	for e := range dirty {
		s.index.changeGroup(&s.checker.hash, e.slot, e.committed, true)
		s.abortLocked(e)
	}
	s.settleIndexLocked()
	s.countConflictsLocked()
}

func (s *Store) abortLocked(e *entry) {
	was := e.pending
	e.inFlight = 0
	delete(s.dirty, e)
	s.setPendingLocked(e, e.committed)
	if e.committed == nil {
		if was != nil {
			s.floors.raise(was.Labels, e.last)
		}
		s.dropLocked(s.idOfLocked(e, was), e)
	}
}

// idOfLocked returns the ID of an entry whose pending version was was.
func (s *Store) idOfLocked(e *entry, was *group.Group) string {
	if was != nil {
		return was.ID
	}
	for id, o := range s.entries { // made and deleted again, all within one failed commit
		if o == e {
			return id
		}
	}
	panic("group: an entry that is not in the store")
}

// Restore applies a record that was read back from the log. It is called in
// sequence order, before FinishRestore.
func (s *Store) Restore(r *group.Record, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.highest.Store(max(s.highest.Load(), r.Time))
	t := *s.state.Load()
	t.seq = seq
	s.state.Store(&t)
	if r.Kind == group.KindClock || r.Kind == group.KindRefresh {
		return
	}
	if r.Part != nil {
		r.Part.Shape = s.shapes.Share(r.Part.Shape)
		r.Part.Pushed = r.Push
	}
	s.restoreLocked(r, seq)
}

func (s *Store) restoreLocked(r *group.Record, seq uint64) {
	id := r.Labels.ID()
	e := s.entryLocked(id)
	next := e.pending.Next(r, &s.shapes)
	if next != nil {
		next.Seq = seq
	}
	e.committed = next
	e.last = max(e.last, r.Time)
	s.setPendingLocked(e, next)
	if next == nil {
		s.dropLocked(id, e)
	}
}

// FinishRestore ends the reading back: every floor and every last timestamp is
// at least floor afterwards, and at least the largest timestamp that was read.
// What was restored becomes visible.
func (s *Store) FinishRestore(floor int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	floor = max(floor, s.highest.Load())
	s.highest.Store(floor)
	s.floors.raiseAll(floor)
	t := *s.state.Load()
	n := &tree{seq: t.seq}
	s.index = newIndex()
	s.addGatewayLocked()
	for _, e := range s.slots {
		if e == nil {
			continue
		}
		e.last = floor
		s.index.changeGroup(&s.checker.hash, e.slot, e.pending, true)
		n.put(e.slot, e.committed)
	}
	s.state.Store(n)
	s.settleIndexLocked()
	s.countConflictsLocked()
}

// ResetClock forgets floors and last timestamps, after a clock that was far
// ahead: what is pushed from now on is stamped with the time of the push.
func (s *Store) ResetClock() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.floors = newFloors()
	s.highest.Store(0)
	for _, e := range s.slots {
		if e != nil {
			e.last = 0
		}
	}
}

// settleIndexLocked looks at the hashes that have several owners after groups
// were added without a check. There are none as a rule.
func (s *Store) settleIndexLocked() {
	for h := range s.index.series.more {
		if s.allDiffer(h) {
			s.index.series.tolerate(h)
		}
	}
}

// allDiffer reports whether the series with hash h are really different ones.
func (s *Store) allDiffer(h uint64) bool {
	seen := map[string]bool{}
	x := &s.index
	first, _ := x.series.first.get(h)
	slots := append([]uint32{first}, x.series.more[h]...)
	slices.Sort(slots)
	for _, slot := range slices.Compact(slots) {
		for _, name := range s.seriesWithHash(slot, h) {
			if seen[name] {
				return false
			}
			seen[name] = true
		}
	}
	return true
}
