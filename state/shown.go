package state

import (
	"sync/atomic"

	"github.com/pushbridge/pushbridge/group"
)

// shown is what readers see: the committed version of every group, as of one sequence.
// Readers load it without a lock. It is changed under the store's lock.
type shown struct {
	tree atomic.Pointer[tree]
	bulk bool   // while it goes on nothing becomes visible: end shows all at once
	seq  uint64 // of the last record that was taken in meanwhile
}

func (s *shown) reset() { s.tree.Store(&tree{}) }

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
	s.tree.Store(s.tree.Load().with(e.slot, g, seq))
}

// pass makes seq what the visible state is as of; it stays as it is.
func (s *shown) pass(seq uint64) {
	if s.bulk {
		s.seq = seq
		return
	}
	same := *s.tree.Load()
	same.seq = seq
	s.tree.Store(&same)
}

// asOf returns the last sequence that was taken in.
func (s *shown) asOf() uint64 {
	if s.bulk {
		return s.seq
	}
	return s.tree.Load().seq
}

func (s *shown) begin() { s.bulk, s.seq = true, s.tree.Load().seq }

// end shows what is committed.
func (s *shown) end(t *table) {
	all := &tree{seq: s.seq}
	for e := range t.all() {
		all.put(e.slot, e.committed)
	}
	s.bulk = false
	s.tree.Store(all)
}
