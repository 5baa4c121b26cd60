package state

import (
	"errors"
	"fmt"
	"io"

	"github.com/pushbridge/pushbridge/group"
)

// LoadSnapshot replaces the state by what EncodeSnapshot wrote. When it returns
// an error, the store is empty. FinishRestore makes the state visible.
func (s *Store) LoadSnapshot(r io.Reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clearLocked()
	v, err := group.DecodeSnapshot(r, &s.shapes, s.loadLocked)
	if err != nil {
		s.clearLocked()
		return fmt.Errorf("load snapshot: %w", err)
	}
	s.highest.Store(v.Floor)
	s.state.Store(&tree{seq: v.Seq})
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
