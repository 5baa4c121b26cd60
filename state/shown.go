package state

import (
	"sync"

	"github.com/pushbridge/pushbridge/group"
)

// shown is what readers see: the committed version of every group, as of one sequence. It is
// changed under the store's lock, and read without: its own is held for moments only.
type shown struct {
	bulk bool   // while it goes on nothing becomes visible: end shows all at once
	seq  uint64 // of the last record that was taken in meanwhile

	mu   sync.Mutex
	tree tree
}

func (s *shown) reset() { s.become(tree{}) }

// become makes t what is visible.
func (s *shown) become(t tree) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tree = t
}

// now returns what is visible at this moment.
func (s *shown) now() tree {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tree.lend()
}

// size returns how many groups are visible.
func (s *shown) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tree.size
}

// show makes g, which is not visible yet, the visible version of e's group as of seq.
func (s *shown) show(e *entry, g *group.Group, seq uint64) {
	if g != nil {
		g.Seq = seq
	}
	e.committed = g
	if s.bulk {
		s.seq = seq
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tree.put(e.slot, g)
	s.tree.seq = seq
}

// pass makes seq what the visible state is as of; it stays as it is.
func (s *shown) pass(seq uint64) {
	if s.bulk {
		s.seq = seq
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tree.seq = seq
}

// asOf returns the last sequence that was taken in.
func (s *shown) asOf() uint64 {
	if s.bulk {
		return s.seq
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tree.seq
}

func (s *shown) begin() { s.seq, s.bulk = s.asOf(), true }

// end shows what is committed.
func (s *shown) end(t *table) {
	all := tree{seq: s.seq}
	for e := range t.all() {
		all.put(e.slot, e.committed)
	}
	s.bulk = false
	s.become(all)
}
