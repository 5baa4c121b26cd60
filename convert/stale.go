package convert

import (
	"hash/maphash"
	"math"
	"math/bits"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/pushbridge/pushbridge/group"
)

// AppendEnded appends a stale marker for each component that r ended. Some of
// them may live on under another spelling: Markers sorts them out once both
// sides have their final labels.
func (c *Converter) AppendEnded(dst []Series, r *group.Record, o Options) ([]Series, Skipped) {
	var skipped Skipped
	c.begin(r, o)
	for i := range r.Ended {
		dst = c.appendEnded(dst, &r.Ended[i], &skipped)
	}
	return dst, skipped
}

// appendEnded appends the markers of one metric. A destination that was not sent
// the native or the classic form of it gets no marker for that one either.
func (c *Converter) appendEnded(dst []Series, e *group.Ended, skipped *Skipped) []Series {
	what := e.What
	if what&group.ComponentNative != 0 && !c.o.SendNative {
		skipped[NativeNotSent]++
		what &^= group.ComponentNative
	}
	if e.Beside && c.o.SendNative && !c.o.AlsoClassic {
		skipped[ClassicNotSent] += count(what&^group.ComponentNative, len(e.Bounds))
		what &= group.ComponentNative
	}
	if what == 0 {
		return dst
	}
	c.own = append(c.own[:0], e.Labels...)
	return c.appendMarkers(dst, e, what, c.labelSetOf(e.Family, c.own))
}

func (c *Converter) appendMarkers(dst []Series, e *group.Ended, what group.Component, l labelSet) []Series {
	s := Series{
		Time:   c.time,
		Value:  staleNaN,
		Family: FamilyInfo{Name: e.Family, Unit: e.Unit, Type: e.Type},
		Stale:  true,
	}
	add := func(labels []group.Label) {
		s.Labels = labels
		dst = append(dst, s)
	}
	names := c.names.of(e.Family)
	bound, name := boundOf(e.Type, e.Family, names)
	at := l.slotOf(bound)
	if what&group.ComponentBounds != 0 {
		for _, v := range c.bounds.spell(e.Bounds) {
			add(c.component(l, name, at, bound, v))
		}
	}
	if what&group.ComponentInf != 0 {
		add(c.component(l, name, at, bound, infBound))
	}
	if what&group.ComponentSum != 0 {
		add(c.renamed(l, names.sum))
	}
	if what&group.ComponentCount != 0 {
		add(c.renamed(l, names.count))
	}
	if what&group.ComponentValue != 0 {
		add(l.all)
	}
	if what&group.ComponentNative != 0 {
		s.Hist, s.FloatHist = staleNative(e.Float)
		add(l.all)
	}
	return dst
}

// boundOf returns the label of the bounds of a type, and the name of the series
// that have it.
func boundOf(t group.Type, family string, names componentNames) (label, name string) {
	if t == group.Summary {
		return quantileLabel, family
	}
	return bucketLabel, names.bucket
}

// staleNaN has the bits of a stale marker.
var staleNaN = math.Float64frombits(value.StaleNaN)

// Stale markers of native histograms have the kind of the series, no buckets,
// and the marker in their sum (rule ST-3). Nobody writes to them.
var (
	staleHist      = &histogram.Histogram{Sum: staleNaN}
	staleFloatHist = &histogram.FloatHistogram{Sum: staleNaN}
)

func staleNative(float bool) (*histogram.Histogram, *histogram.FloatHistogram) {
	if float {
		return nil, staleFloatHist
	}
	return staleHist, nil
}

// Markers appends the series of ended to dst that have another label set than
// all of live, each label set once. Labels must be sorted. It may append to
// live itself: dst and live may share memory.
func (c *Converter) Markers(dst, ended, live []Series) []Series {
	if len(ended) == 0 {
		return dst
	}
	c.marks.start(ended)
	for i := range live {
		c.marks.remove(live[i].Labels)
	}
	for i := range ended {
		if c.marks.has(i) {
			dst = append(dst, ended[i])
		}
	}
	c.marks.series = nil
	return dst
}

// labelSets is the set of label sets of some series.
type labelSets struct {
	seed   maphash.Seed
	seeded bool
	series []Series
	first  map[uint64]int32 // hash to number in series, -1 for none
	next   []int32          // the next one with the same hash
	in     []bool
}

// start makes the set that of series. Of equal label sets the first one is in.
func (l *labelSets) start(series []Series) {
	if !l.seeded {
		l.seed, l.seeded, l.first = maphash.MakeSeed(), true, make(map[uint64]int32)
	}
	clear(l.first)
	l.series = series
	l.next = slices.Grow(l.next[:0], len(series))
	l.in = slices.Grow(l.in[:0], len(series))
	for i := range series {
		h := l.hash(series[i].Labels)
		head, ok := l.first[h]
		if !ok {
			head = -1
		}
		l.in = append(l.in, l.find(head, series[i].Labels) < 0)
		l.next = append(l.next, head)
		l.first[h] = int32(i)
	}
}

// remove takes labels out of the set.
func (l *labelSets) remove(labels []group.Label) {
	head, ok := l.first[l.hash(labels)]
	if !ok {
		return
	}
	if i := l.find(head, labels); i >= 0 {
		l.in[i] = false
	}
}

func (l *labelSets) has(i int) bool { return l.in[i] }

// find returns the number of the series in the set with these labels, or -1.
func (l *labelSets) find(head int32, labels []group.Label) int32 {
	for i := head; i >= 0; i = l.next[i] {
		if l.in[i] && slices.Equal(l.series[i].Labels, labels) {
			return i
		}
	}
	return -1
}

func (l *labelSets) hash(labels []group.Label) uint64 {
	var h uint64
	for _, p := range labels {
		h = bits.RotateLeft64(h, 5)*0x9e3779b97f4a7c15 ^ maphash.String(l.seed, p.Name)
		h = bits.RotateLeft64(h, 5)*0x9e3779b97f4a7c15 ^ maphash.String(l.seed, p.Value)
	}
	return h
}
