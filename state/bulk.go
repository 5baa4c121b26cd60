package state

import (
	"errors"
	"fmt"
	"io"

	"github.com/pushbridge/pushbridge/group"
)

// bulk is what there is while much comes in at once.
type bulk struct {
	seq uint64 // of the last record
}

// Bulk calls fill, which calls Load and Fold and nothing else of the store. Meanwhile
// nothing is indexed and nothing becomes visible: both are done at the end for all at
// once, which makes the start fast. fill returns a timestamp that nothing given out
// before is later than; it may be less than that of what came in.
func (s *Store) Bulk(fill func() (floor int64, err error)) error {
	s.mu.Lock()
	s.takeBackLocked()
	s.bulk = &bulk{seq: s.state.Load().seq}
	s.mu.Unlock()
	floor, err := fill()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endBulkLocked(floor)
	return err
}

func (s *Store) endBulkLocked(floor int64) {
	s.clock.raise(max(floor, s.clock.highest.Load()))
	s.index = newIndex()
	s.addGatewayLocked()
	shown := &tree{seq: s.bulk.seq}
	s.bulk = nil
	for _, e := range s.slots {
		if e == nil {
			continue
		}
		s.index.changeGroup(&s.checker.hash, e.slot, e.pending, comes)
		shown.put(e.slot, e.committed)
	}
	s.state.Store(shown)
	s.settleIndexLocked()
	s.countConflictsLocked()
}

// Load replaces the state by what group.EncodeSnapshot wrote. When it returns an error,
// the store is empty. It is called by what Bulk calls.
func (s *Store) Load(r io.Reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bulk == nil {
		panic("state: Load outside of Bulk")
	}
	s.clearLocked()
	v, err := group.DecodeSnapshot(r, &s.shapes, s.loadLocked)
	if err != nil {
		s.clearLocked()
		return fmt.Errorf("load snapshot: %w", err)
	}
	s.clock.saw(v.Floor)
	s.bulk.seq = v.Seq
	return nil
}

func (s *Store) loadLocked(g *group.Group) error {
	if s.entries[g.ID] != nil {
		return errors.New("a group occurs twice")
	}
	e := s.entryLocked(g.ID)
	e.committed, e.last = g, g.Last
	s.setPendingLocked(e, g)
	return nil
}
