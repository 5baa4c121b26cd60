package state

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/pushbridge/pushbridge/bigslice"
	"github.com/pushbridge/pushbridge/group"
)

// components compares what a group was delivered as with what it will be. The
// identity of a component is its name, its labels at delivery, with le and
// quantile spelled as they are delivered, the type and unit of its family, which a
// receiver may take for labels, and which destinations get it: all of them, those
// that take native histograms, or those that take classic buckets beside native
// histograms. So a bound that only changed its spelling does not end what lives on
// everywhere, and what may end at one destination only is named: convert knows
// which. Identities are compared by
// 64-bit keyed hashes.
type components struct {
	h    groupHash
	live []uint64          // sorted
	met  []bool            // live components that the group had before
	le   map[uint64]uint64 // bits of a bound to the hash of its label value
	buf  []byte

	native, beside uint64 // tell apart identities that not all destinations get
}

// Strings that no name can be, to hash for native and beside.
const (
	nativeMark = "\xffnative"
	besideMark = "\xffbeside"
)

// Names that a family's components have.
const (
	plainName = iota
	sumName
	countName
	bucketName
	componentNames
)

var nameSuffixes = [componentNames]string{plainName: "", sumName: "_sum", countName: "_count", bucketName: "_bucket"}

// familyHasher hashes the components of one family.
type familyHasher struct {
	c     *components
	names [componentNames]uint64
	label uint64 // hash of "le" or "quantile"
	at    int    // which name the bounds go with
	typed uint64 // hash of type and unit
}

func (c *components) family(f *group.Family) familyHasher {
	x := familyHasher{c: c, typed: c.typed(f.Type, f.Unit)}
	x.names[plainName] = c.h.string(f.Name)
	switch f.Type {
	case group.Summary:
		x.label = c.h.string(f.Type.ReservedLabel())
	case group.Histogram, group.GaugeHistogram:
		x.label, x.at = c.h.string(f.Type.ReservedLabel()), bucketName
		x.names[bucketName] = c.name(f.Name, bucketName)
	case group.Untyped, group.Counter, group.Gauge:
		return x
	}
	x.names[sumName], x.names[countName] = c.name(f.Name, sumName), c.name(f.Name, countName)
	return x
}

// typed tells apart what has the same name and labels, and another type or unit.
func (c *components) typed(t group.Type, unit string) uint64 {
	return c.h.mix(c.h.string(unit), uint64(t))
}

func (c *components) name(family string, n int) uint64 {
	c.buf = append(append(c.buf[:0], family...), nameSuffixes[n]...)
	return c.h.bytes(c.buf)
}

// single returns the identity of a component without bound; sum is that of the
// metric's labels at delivery.
func (x *familyHasher) single(what group.Component, sum uint64) uint64 {
	switch what {
	case group.ComponentSum:
		return x.c.h.mix(x.names[sumName], sum)
	case group.ComponentCount:
		return x.c.h.mix(x.names[countName], sum)
	case group.ComponentInf:
		return x.bound(math.Inf(1), sum)
	case group.ComponentNative:
		sum += x.c.native
	case group.ComponentValue, group.ComponentBounds:
	}
	return x.c.h.mix(x.names[plainName], sum)
}

func (x *familyHasher) bound(b float64, sum uint64) uint64 {
	return x.c.h.mix(x.names[x.at], sum+x.c.h.mix(x.label, x.c.boundValue(b)))
}

// boundValue returns the hash of b as it is spelled at delivery.
func (c *components) boundValue(b float64) uint64 {
	k := math.Float64bits(b)
	v, ok := c.le[k]
	if !ok {
		if c.le == nil || len(c.le) > maxSpelled {
			c.le = map[uint64]uint64{}
		}
		v = c.h.string(labels.FormatOpenMetricsFloat(b))
		c.le[k] = v
	}
	return v
}

// singles are the components that are one series each.
var singles = [...]group.Component{group.ComponentValue, group.ComponentSum, group.ComponentCount, group.ComponentInf, group.ComponentNative}

// begin forgets what is live, and goes on with the group that h is of.
func (c *components) begin(h groupHash) {
	c.h = h
	c.live = c.live[:0]
	c.native, c.beside = h.string(nativeMark), h.string(besideMark)
}

// addLive adds the components of p's metrics, except those that are not sent.
func (c *components) addLive(p *group.Part, unsent []uint32) {
	for i := range p.Shape.Families() {
		f := &p.Shape.Families()[i]
		x := c.family(f)
		for j, metrics := 0, p.Shape.Metrics(f); j < len(metrics); j++ {
			if _, no := slices.BinarySearch(unsent, uint32(f.First()+j)); no {
				continue
			}
			c.addMetric(&x, p.Shape, &metrics[j])
		}
	}
}

func (c *components) addMetric(x *familyHasher, s *group.Shape, m *group.Metric) {
	sum := c.sum(s, m) + x.typed
	what := s.Components(m)
	for _, one := range singles {
		if what&one != 0 {
			c.live = bigslice.Append(c.live, x.single(one, sum))
		}
	}
	if what&group.ComponentBounds != 0 {
		for _, b := range s.Bounds(m) {
			c.live = bigslice.Append(c.live, x.bound(b, sum))
		}
	}
}

// sum is that of m's labels at delivery, and of who gets its classic components.
func (c *components) sum(s *group.Shape, m *group.Metric) uint64 {
	_, sum := c.h.sums(s, m)
	if m.Native {
		sum += c.beside
	}
	return sum
}

// ownIdentity is that of one of the group's own series.
func (c *components) ownIdentity(name string) uint64 {
	return c.h.mix(c.h.string(name), c.h.series+c.typed(group.Gauge, ""))
}

func (c *components) addOwn(name string) { c.live = append(c.live, c.ownIdentity(name)) }

// seal ends the adding.
func (c *components) seal() {
	slices.Sort(c.live)
	c.live = slices.Compact(c.live)
	c.met = slices.Grow(c.met[:0], len(c.live))[:len(c.live)]
	clear(c.met)
}

// meets reports whether a component of before lives on.
func (c *components) meets(identity uint64) bool {
	i, ok := slices.BinarySearch(c.live, identity)
	if ok {
		c.met[i] = true
	}
	return ok
}

// added reports whether something is live that was not met.
func (c *components) added() bool { return slices.Contains(c.met, false) }

// appendEnded appends what members were delivered as and what is live no more.
// Metrics that were not sent, or with a time of their own, have nothing to end
// (rule ST-2).
func (c *components) appendEnded(dst []group.Ended, members []group.Member) []group.Ended {
	for _, m := range members {
		f := m.Of()
		x := c.family(f)
		for i, metrics := 0, m.Metrics(); i < len(metrics); i++ {
			if n := uint32(f.First() + i); m.Part.IsUnsent(n) || m.Part.IsTimed(n) {
				continue
			}
			if e := c.ended(&x, m, &metrics[i]); e.What != 0 {
				dst = bigslice.Append(dst, e)
			}
		}
	}
	return dst
}

func (c *components) ended(x *familyHasher, mem group.Member, m *group.Metric) group.Ended {
	s, f := mem.Part.Shape, mem.Of()
	sum := c.sum(s, m) + x.typed
	e := group.Ended{Family: f.Name, Unit: f.Unit, Type: f.Type, Beside: m.Native}
	what := s.Components(m)
	for _, one := range singles {
		if what&one != 0 && !c.meets(x.single(one, sum)) {
			e.What |= one
		}
	}
	if what&group.ComponentBounds != 0 {
		e.Bounds = c.endedBounds(x, s.Bounds(m), sum)
		if len(e.Bounds) > 0 {
			e.What |= group.ComponentBounds
		}
	}
	if e.What == 0 {
		return e
	}
	if n := mem.Part.NativeOf(m); n != nil && e.What&group.ComponentNative != 0 {
		e.Float = n.Float
		e.What |= group.ComponentSum | group.ComponentCount // what a receiver may have made of it
	}
	e.Labels = s.AppendLabels(make([]group.Label, 0, len(s.LabelRefs(m))/2), m)
	return e
}

// endedBounds returns those of bounds that ended, each once. When it is all of
// them, which is the rule, the result is bounds itself.
func (c *components) endedBounds(x *familyHasher, bounds []float64, sum uint64) []float64 {
	var some []float64
	all := true
	seen := c.repeated(bounds)
	for i, b := range bounds {
		if !c.meets(x.bound(b, sum)) && seen.first(c.boundValue(b)) {
			if !all {
				some = append(some, b)
			}
		} else if all {
			some, all = append(some, bounds[:i]...), false
		}
	}
	if all {
		return bounds
	}
	return some
}

// boundSet tells which bounds come for the first time; nil when they all do.
type boundSet map[uint64]struct{}

// repeated returns the set to use for bounds, which ascend nearly always.
func (c *components) repeated(bounds []float64) boundSet {
	for i := 1; i < len(bounds); i++ {
		if !(bounds[i-1] < bounds[i]) {
			return boundSet{}
		}
	}
	return nil
}

func (s boundSet) first(value uint64) bool {
	if s == nil {
		return true
	}
	_, again := s[value]
	s[value] = struct{}{}
	return !again
}

// maxSpelled bounds how many spellings of bounds are kept.
const maxSpelled = 4096
