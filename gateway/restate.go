package gateway

import "github.com/pushbridge/pushbridge/group"

// Restate returns the whole state, every group once and newly stamped, for a
// destination that has seen none of it. It belongs behind the clock mark that keeps
// its timestamps: settled is called once with that mark's sequence, before readers of
// the log see the mark, or with an error when the mark, and perhaps groups that the
// state has, are not kept. It must neither wait nor change anything.
func (g *Gateway) Restate(settled func(seq uint64, err error)) []*group.Record {
	return g.state.Restate(g.now(), func(mark *group.Record) { g.enqueue(mark, settled) })
}
