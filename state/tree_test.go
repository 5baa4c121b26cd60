package state

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/group"
)

// TestTreeLent: what a reader was given stays as it was, whatever is put into the tree afterwards.
func TestTreeLent(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const slots = 3*nodeSize*leafSize + 7
	type copied struct {
		tree tree
		want map[uint64]int // how often a group is there, by its sequence
	}
	seqs := func(t *tree) map[uint64]int {
		out := map[uint64]int{}
		for _, g := range t.all() {
			out[g.Seq]++
		}
		return out
	}
	var now tree
	model, lent := map[uint32]uint64{}, []copied(nil)
	for i := range 20_000 {
		slot := uint32(random.IntN(slots))
		if i%2 == 0 {
			slot %= 2 * leafSize // some nodes change often
		}
		if random.IntN(4) == 0 {
			now.put(slot, nil)
			delete(model, slot)
		} else {
			now.put(slot, &group.Group{Seq: uint64(i)})
			model[slot] = uint64(i)
		}
		if random.IntN(500) == 0 {
			c := copied{now.lend(), map[uint64]int{}}
			for _, seq := range model {
				c.want[seq]++
			}
			lent = append(lent, c)
		}
	}
	for i, c := range lent {
		if diff := cmp.Diff(c.want, seqs(&c.tree)); diff != "" {
			t.Fatalf("tree %d: %s", i, diff)
		}
		if c.tree.size != len(c.want) {
			t.Errorf("tree %d: size %d, want %d", i, c.tree.size, len(c.want))
		}
	}
}
