package state

import "github.com/pushbridge/pushbridge/group"

// tree holds the committed version of each group by slot number. Changing it
// copies the few nodes on the way and leaves the old tree as it was, so a reader
// that has a tree has one consistent state and needs no lock.
type tree struct {
	top  []*treeNode
	seq  uint64 // of the last committed record
	size int    // groups
}

const (
	leafSize = 64
	nodeSize = 64
)

type (
	treeNode [nodeSize]*treeLeaf
	treeLeaf [leafSize]*group.Group
)

// with returns a tree in which slot holds g.
func (t *tree) with(slot uint32, g *group.Group, seq uint64) *tree {
	at, in, i := slot/(nodeSize*leafSize), slot/leafSize%nodeSize, slot%leafSize
	n := &tree{top: make([]*treeNode, max(len(t.top), int(at)+1)), seq: seq, size: t.size}
	copy(n.top, t.top)
	var node treeNode
	if old := n.top[at]; old != nil {
		node = *old
	}
	var leaf treeLeaf
	if old := node[in]; old != nil {
		leaf = *old
	}
	if leaf[i] != nil {
		n.size--
	}
	if g != nil {
		n.size++
	}
	leaf[i], node[in], n.top[at] = g, &leaf, &node
	return n
}

// all returns every group.
func (t *tree) all() []*group.Group {
	out := make([]*group.Group, 0, t.size)
	for _, node := range t.top {
		if node == nil {
			continue
		}
		for _, leaf := range node {
			if leaf == nil {
				continue
			}
			for _, g := range leaf {
				if g != nil {
					out = append(out, g)
				}
			}
		}
	}
	return out
}

// put is with for a tree that nobody else has yet.
func (t *tree) put(slot uint32, g *group.Group) {
	at, in, i := slot/(nodeSize*leafSize), slot/leafSize%nodeSize, slot%leafSize
	for len(t.top) <= int(at) {
		t.top = append(t.top, &treeNode{})
	}
	if t.top[at][in] == nil {
		t.top[at][in] = &treeLeaf{}
	}
	t.top[at][in][i] = g
	if g != nil {
		t.size++
	}
}
