package group

import (
	"cmp"
	"slices"
)

// Late is a metric whose own timestamp is not newer than a sample that its
// series had before. It is sent apart from others, as a receiver that refuses
// it may refuse everything beside it.
type Late struct {
	Metric uint32 // number among all metrics of the shape
	Newest int64  // newest timestamp of the series so far, in ms
}

// LateOf returns what p knows of metric number n as a late one.
func (p *Part) LateOf(n uint32) (Late, bool) {
	i, ok := slices.BinarySearchFunc(p.Late, n, func(l Late, n uint32) int { return cmp.Compare(l.Metric, n) })
	if !ok {
		return Late{}, false
	}
	return p.Late[i], true
}

// IsTimed reports whether the metric with that number has an explicit timestamp.
func (p *Part) IsTimed(number uint32) bool { return p.Times != nil && p.Times[number] != NoTime }

// Timed reports whether a metric of m has an explicit timestamp.
func (m Member) Timed() bool {
	p, f := m.Part, m.Of()
	return p.Times != nil && slices.ContainsFunc(p.Times[f.first:f.first+f.count], func(t int64) bool { return t != NoTime })
}
