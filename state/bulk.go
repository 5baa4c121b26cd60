package state

import (
	"errors"
	"fmt"
	"io"

	"github.com/pushbridge/pushbridge/group"
)

// Bulk calls fill, which calls Load and Fold and nothing else of the store. Meanwhile
// nothing is indexed and nothing becomes visible: both are done at the end for all at
// once, which makes the start fast. fill returns a timestamp that nothing given out
// before is later than; it may be less than that of what came in.
func (s *Store) Bulk(fill func() (floor int64, err error)) error {
	s.mu.Lock()
	s.takeBackLocked()
	s.shown.begin()
	s.mu.Unlock()
	floor, err := fill()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endBulkLocked(floor)
	return err
}

func (s *Store) endBulkLocked(floor int64) {
	s.clock.raise(max(floor, s.clock.highest.Load()))
	s.pending.reindex()
	s.shown.end(&s.pending.table)
	s.countConflictsLocked()
}

// Load replaces the state by what group.EncodeSnapshot wrote. When it returns an error,
// the store is empty. It is called by what Bulk calls.
func (s *Store) Load(r io.Reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.shown.bulk {
		panic("state: Load outside of Bulk")
	}
	s.clearLocked()
	v, err := group.DecodeSnapshot(r, &s.pending.shapes, s.loadLocked)
	if err != nil {
		s.clearLocked()
		return fmt.Errorf("load snapshot: %w", err)
	}
	s.clock.saw(v.Floor)
	s.keys.load(v.Keys)
	s.shown.seq = v.Seq
	return nil
}

func (s *Store) loadLocked(g *group.Group) error {
	if s.pending.entries[g.ID] != nil {
		return errors.New("a group occurs twice")
	}
	e := s.pending.place(g.ID)
	e.committed, e.last = g, g.Last
	s.pending.set(e, g)
	return nil
}
