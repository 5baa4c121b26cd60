package state

import "github.com/pushbridge/pushbridge/group"

// tree holds the committed version of each group by slot number. Readers get all of it as of one
// moment, and keep it: from then on the nodes that they can reach stay as they are, and what
// changes first is copied. A node that nobody was given since it was made or copied is changed where
// it is, as nearly all are.
type tree struct {
	top     []*treeNode
	seq     uint64 // of the last committed record
	size    int    // groups
	edition uint64 // raised when a reader is given the tree
	topOf   uint64 // the edition in which top was copied
}

const (
	leafSize = 64
	nodeSize = 64
)

type (
	treeNode struct {
		edition uint64 // in which it was made or copied
		leaves  [nodeSize]*treeLeaf
	}
	treeLeaf struct {
		edition uint64
		groups  [leafSize]*group.Group
	}
)

// lend returns the tree as it is, for a reader to keep.
func (t *tree) lend() tree {
	lent := *t
	t.edition++
	return lent
}

// put makes g the version in slot.
func (t *tree) put(slot uint32, g *group.Group) {
	leaf := t.leaf(slot)
	at := &leaf.groups[slot%leafSize]
	if *at != nil {
		t.size--
	}
	if g != nil {
		t.size++
	}
	*at = g
}

// leaf returns the leaf of slot, to be changed.
func (t *tree) leaf(slot uint32) *treeLeaf {
	at, in := int(slot/(nodeSize*leafSize)), slot/leafSize%nodeSize
	if t.topOf != t.edition || at >= len(t.top) {
		top := make([]*treeNode, max(len(t.top), at+1))
		copy(top, t.top)
		t.top, t.topOf = top, t.edition
	}
	node := t.top[at]
	if node == nil || node.edition != t.edition {
		own := &treeNode{}
		if node != nil {
			*own = *node
		}
		own.edition = t.edition
		t.top[at], node = own, own
	}
	leaf := node.leaves[in]
	if leaf == nil || leaf.edition != t.edition {
		own := &treeLeaf{}
		if leaf != nil {
			*own = *leaf
		}
		own.edition = t.edition
		node.leaves[in], leaf = own, own
	}
	return leaf
}

// all returns every group.
func (t *tree) all() []*group.Group {
	out := make([]*group.Group, 0, t.size)
	for _, node := range t.top {
		if node == nil {
			continue
		}
		for _, leaf := range node.leaves {
			if leaf == nil {
				continue
			}
			for _, g := range leaf.groups {
				if g != nil {
					out = append(out, g)
				}
			}
		}
	}
	return out
}
