package state

import (
	"maps"

	"github.com/pushbridge/pushbridge/group"
)

// Abort takes back everything that is pending, since records have failed, and makes
// generation that of the records to come. The log refuses those of the generation
// before, so that no change that was checked against the pending state is kept
// after it. Abort is called once what was durable before the failure is folded in;
// for each record that failed, if that is simpler: with the generation that the store
// has it does nothing. Timestamps given out stay given out.
func (s *Store) Abort(generation uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if generation == s.generation {
		return
	}
	s.generation = generation
	s.takeBackLocked()
}

// takeBackLocked makes what is committed the newest version of every group again.
func (s *Store) takeBackLocked() {
	s.plans = nil
	s.voidLargeLocked()
	dirty := maps.Clone(s.dirty)
	for e := range dirty {
		s.index.changeGroup(&s.checker.hash, e.slot, e.pending, goes)
	}
	for e := range dirty {
		s.index.changeGroup(&s.checker.hash, e.slot, e.committed, comes)
		s.takeBackGroupLocked(e)
	}
	s.settleIndexLocked()
	s.countConflictsLocked()
}

func (s *Store) takeBackGroupLocked(e *entry) {
	was := e.pending
	e.inFlight = 0
	delete(s.dirty, e)
	s.setPendingLocked(e, e.committed)
	if e.committed == nil {
		if was != nil {
			s.clock.floors.raise(was.Labels, e.last)
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
