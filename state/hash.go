package state

import (
	"hash/maphash"
	"math/bits"
	"slices"

	"github.com/pushbridge/pushbridge/bigslice"
	"github.com/pushbridge/pushbridge/group"
)

// hasher hashes the series of groups, with secrets, so that nobody can push series that
// meet. The hash of a label set is the sum of its pairs' hashes, so labels need no
// sorting, and a symbol is hashed once however many series of a shape have it.
type hasher struct {
	seed maphash.Seed
	k    [2]uint64
	mask uint64 // of what is made for a series; fewer bits in tests, to make them meet

	groups uint64  // how many hashes of groups were made
	last   symbols // asked for last: most questions are about one shape in one group
}

// symbols are the hashes of the symbols of a shape, and what they are in a group.
type symbols struct {
	shape  *group.Shape
	group  uint64 // groupHash.number
	hashes []uint64
	names  []nameKind // of each symbol when it stands as a label name
}

// nameKind says how a symbol counts as the name of a metric's own label.
type nameKind uint8

const (
	nameUnknown  nameKind = iota
	nameOrdinary          // counts
	nameGrouping          // the grouping label of that name wins
	nameInstance          // counts, and an empty value is as good as none
)

func newHasher() hasher {
	// The keys come from another seed: as hashes of strings under this one they
	// would cancel out where those strings occur.
	keys := maphash.MakeSeed()
	return hasher{seed: maphash.MakeSeed(), k: [2]uint64{maphash.String(keys, "0"), maphash.String(keys, "1")}, mask: ^uint64(0)}
}

// fresh returns a hasher with the same secrets and scratch space of its own.
func (h *hasher) fresh() hasher { return hasher{seed: h.seed, k: h.k, mask: h.mask} }

func (h *hasher) string(s string) uint64 { return maphash.String(h.seed, s) }

func (h *hasher) bytes(b []byte) uint64 { return maphash.Bytes(h.seed, b) }

// mix combines two hashes, in an order that matters.
func (h *hasher) mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^h.k[0], b^h.k[1])
	return hi ^ lo
}

// labels hashes any labels.
func (h *hasher) labels(labels []group.Label) uint64 {
	sum := uint64(0)
	for _, l := range labels {
		sum += h.mix(h.string(l.Name), h.string(l.Value))
	}
	return sum
}

// groupHash is the hash of a group's labels, and hashes the group's series. It is a
// value: whoever has one has the right one, whatever its hasher was asked in between.
type groupHash struct {
	*hasher
	number uint64 // tells it from every other of the hasher
	key    group.Labels
	view   uint64 // sum of the grouping labels in a view
	series uint64 // sum of the grouping labels at delivery
}

// of returns the hash of a group with labels l.
func (h *hasher) of(l group.Labels) groupHash {
	h.groups++
	g := groupHash{hasher: h, number: h.groups, key: l}
	for _, p := range l {
		pair := h.mix(h.string(p.Name), h.string(p.Value))
		switch {
		case p.IsMark(): // no view has it
		case p.Value != "":
			g.view += pair
			g.series += pair
		case p.Name != group.InstanceName:
			g.view += pair
		}
	}
	return g
}

// seriesHash is what the index knows a series by.
type seriesHash struct {
	view  uint64 // of name and labels as a view shows them
	claim uint64 // of name and labels at delivery
	empty bool   // it has empty labels, so that the two mean different things
}

// of returns the hash of a series from that of its name and its sums, see sums.
func (g *groupHash) of(name, view, series uint64) seriesHash {
	s := seriesHash{view: g.mix(name, view) & g.mask, empty: view != series}
	if s.claim = s.view; s.empty {
		s.claim = g.mix(name, series) & g.mask
	}
	return s
}

// own returns the hash of a series that has the labels of the group alone.
func (g *groupHash) own(name string) seriesHash { return g.of(g.string(name), g.view, g.series) }

// each calls f with the number, in its part, and the hash of each metric of a family.
func (g *groupHash) each(m group.Member, f func(n int, s seriesHash)) {
	family, shape := m.Of(), m.Part.Shape
	name := g.string(family.Name)
	for i, metrics := 0, shape.Metrics(family); i < len(metrics); i++ {
		view, series := g.sums(shape, &metrics[i])
		f(family.First()+i, g.of(name, view, series))
	}
}

// sums returns the sums of m's labels in a view and at delivery. They are equal
// unless an empty label makes two series of the view one at delivery.
func (g *groupHash) sums(s *group.Shape, m *group.Metric) (view, series uint64) {
	at := g.symbols(s)
	view, series = g.view, g.series
	refs := s.LabelRefs(m)
	for i := 0; i < len(refs); i += 2 {
		name, value := refs[i], refs[i+1]
		kind := at.names[name]
		if kind == nameUnknown {
			kind = g.kind(s.Symbol(name))
			at.names[name] = kind
		}
		if kind == nameGrouping {
			continue
		}
		pair := g.mix(at.hashes[name], at.hashes[value])
		switch {
		case s.Symbol(value) != "":
			view += pair
			series += pair
		case kind != nameInstance:
			view += pair
		}
	}
	return view, series
}

// symbols returns the hashes of the symbols of s, and makes them unless they are those
// that were asked for last.
func (g *groupHash) symbols(s *group.Shape) *symbols {
	at := &g.last
	if at.shape == s && at.group == g.number {
		return at
	}
	if at.shape != s {
		at.hashes = at.hashes[:0]
		for n := range s.Symbols() {
			at.hashes = bigslice.Append(at.hashes, g.string(s.Symbol(uint32(n))))
		}
	}
	at.names = slices.Grow(at.names[:0], s.Symbols())[:s.Symbols()]
	clear(at.names)
	at.shape, at.group = s, g.number
	return at
}

func (g *groupHash) kind(name string) nameKind {
	if _, ok := g.key.Lookup(name); ok {
		return nameGrouping
	}
	if name == group.InstanceName {
		return nameInstance
	}
	return nameOrdinary
}
