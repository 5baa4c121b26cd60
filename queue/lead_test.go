package queue

import (
	"errors"
	"fmt"
	"testing"
)

// fenced is a store that another process has begun to write to, which it learns from a
// refused write. It has not read yet who that is.
type fenced struct {
	*Memory
	over bool
}

var errFencedOff = fmt.Errorf("refused: %w", ErrElsewhere)

func (s *fenced) Leads() bool                  { return true }
func (s *fenced) Leader() Leader               { return Leader{Here: true} }
func (s *fenced) Held() error                  { return nil }
func (s *fenced) Moved() <-chan struct{}       { return nil }
func (s *fenced) Note(string) string           { return "" }
func (s *fenced) SetNote(string, string) error { return nil }

func (s *fenced) Commit(b *Batch) error {
	if s.over {
		return errFencedOff
	}
	return s.Memory.Commit(b)
}

func (s *fenced) Ready(floor int64) error {
	if s.over {
		return errFencedOff
	}
	return s.Memory.Ready(floor)
}

// TestFencedLeadsNoMore: whoever is told that a record was refused, since another process writes
// the log, finds that this one leads no longer. It asks the other one then.
func TestFencedLeadsNoMore(t *testing.T) {
	s := &fenced{Memory: NewMemory()}
	l, err := Open(s, Options{}, testCodec)
	if err != nil {
		t.Fatal(err)
	}
	l.Steps().Ready()
	put(t, l, 1)
	if !l.Leads() {
		t.Fatal("it does not lead at first")
	}
	s.over = true
	told := false
	err = l.Append(1, l.Generation(), func(_ uint64, err error) {
		told = true
		if !errors.Is(err, ErrElsewhere) || l.Leads() {
			t.Errorf("refused as %v, and it leads: %v", err, l.Leads())
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Steps().Commit()
	if !told {
		t.Error("nobody was told what became of the record")
	}
	if l.Leads() {
		t.Error("it leads again, though the store is not ready")
	}
}
