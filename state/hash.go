package state

import (
	"hash/maphash"
	"math/bits"

	"github.com/pushbridge/pushbridge/group"
)

// hasher hashes the series of one shape in a group. The hash of a label set is
// the sum of its pairs' hashes, so labels need no sorting, and a symbol is
// hashed once however many series have it.
type hasher struct {
	seed maphash.Seed
	k    [2]uint64 // secret, so that nobody can push series that meet
	mask uint64    // of what keys returns; fewer bits in tests, to make them meet

	shape   *group.Shape
	labels  group.Labels
	symbols []uint64   // hash of each symbol of the shape
	names   []nameKind // what each symbol is when it stands as a label name
	view    uint64     // sum of the grouping labels in a view
	series  uint64     // sum of the grouping labels at delivery
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

// mix combines two hashes, in an order that matters.
func (h *hasher) mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^h.k[0], b^h.k[1])
	return hi ^ lo
}

// group prepares h for the group with labels l.
func (h *hasher) group(l group.Labels) {
	h.labels, h.shape, h.view, h.series = l, nil, 0, 0
	for _, p := range l {
		pair := h.mix(h.string(p.Name), h.string(p.Value))
		switch {
		case p.Value != "":
			h.view += pair
			h.series += pair
		case p.Name != group.InstanceName:
			h.view += pair
		}
	}
}

// keys returns the view and claim hashes of the metric with sums v and d in a family whose name
// has the hash name.
func (h *hasher) keys(name, v, d uint64) (view, claim uint64) {
	view = h.mix(name, v) & h.mask
	if v == d {
		return view, view
	}
	return view, h.mix(name, d) & h.mask
}

// ownKeys returns the hashes of a series that has the labels of the group alone.
func (h *hasher) ownKeys(name string) (view, claim uint64) {
	return h.keys(h.string(name), h.view, h.series)
}

// use prepares h for shape s in the group.
func (h *hasher) use(s *group.Shape) {
	if h.shape == s {
		return
	}
	h.shape = s
	h.symbols, h.names = h.symbols[:0], h.names[:0]
	for n := range s.Symbols() {
		h.symbols = append(h.symbols, h.string(s.Symbol(uint32(n))))
		h.names = append(h.names, nameUnknown)
	}
}

// sums returns the sums of m's labels in a view and at delivery. They are equal
// unless an empty label makes two series of the view one at delivery.
func (h *hasher) sums(m *group.Metric) (view, series uint64) {
	view, series = h.view, h.series
	s := h.shape
	refs := s.LabelRefs(m)
	for i := 0; i < len(refs); i += 2 {
		name, value := refs[i], refs[i+1]
		kind := h.kind(name)
		if kind == nameGrouping {
			continue
		}
		pair := h.mix(h.symbols[name], h.symbols[value])
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

func (h *hasher) kind(symbol uint32) nameKind {
	if k := h.names[symbol]; k != nameUnknown {
		return k
	}
	k := nameOrdinary
	name := h.shape.Symbol(symbol)
	if _, ok := h.labels.Lookup(name); ok {
		k = nameGrouping
	} else if name == group.InstanceName {
		k = nameInstance
	}
	h.names[symbol] = k
	return k
}

func (h *hasher) bytes(b []byte) uint64 { return maphash.Bytes(h.seed, b) }

// labelsHash hashes labels that are at hand; they need not be those of the group.
func (h *hasher) labelsHash(labels []group.Label) uint64 {
	sum := uint64(0)
	for _, l := range labels {
		sum += h.mix(h.string(l.Name), h.string(l.Value))
	}
	return sum
}
