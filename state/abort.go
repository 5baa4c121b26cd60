package state

// Abort takes back everything that is pending, since records have failed, and makes
// generation that of the records to come. The log refuses those of the generation
// before, so that no change that was checked against the pending state is kept
// after it. Abort is called once what was durable before the failure is folded in;
// for each record that failed, if that is simpler: with the generation that the store
// has it does nothing. Timestamps given out stay given out.
func (s *Store) Abort(generation uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if generation == s.queue.generation {
		return
	}
	s.queue.generation = generation
	s.takeBackLocked()
}

// takeBackLocked makes what is committed the newest version of every group again.
func (s *Store) takeBackLocked() {
	s.gate.void(&s.pending.index)
	entries := s.queue.takeBack()
	s.keys.takeBack()
	for _, e := range entries {
		if e.committed == nil && e.pending != nil {
			s.clock.floors.raise(e.pending.Labels, e.last)
		}
	}
	s.pending.takeBack(entries)
	s.countConflictsLocked()
}
