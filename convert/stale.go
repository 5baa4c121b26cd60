package convert

import (
	"hash/maphash"
	"math"
	"math/bits"
	"slices"
	"sync"

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
	what := c.sentOf(e, skipped)
	if what == 0 {
		return dst
	}
	c.own = append(c.own[:0], e.Labels...)
	return c.appendMarkers(dst, e, what, c.labelSetOf(e.Family, c.own))
}

// madeOfNative are the components that go with the end of a native histogram.
const madeOfNative = group.ComponentSum | group.ComponentCount

// sentOf returns those components of e that the destination was sent, or may have
// made of what it was sent, and counts the others.
func (c *Converter) sentOf(e *group.Ended, skipped *Skipped) group.Component {
	native, classic := e.What&group.ComponentNative, e.What&^group.ComponentNative
	pure := native != 0 && classic == madeOfNative // there are no buckets
	switch {
	case native != 0 && !c.o.SendNative:
		skipped[NativeNotSent]++
		if pure {
			skipped[NativeNotSent] += count(classic, 0)
			return 0
		}
		return classic
	case !pure && (!e.Beside || !c.o.SendNative || c.o.AlsoClassic):
		return e.What
	}
	var made group.Component
	if native != 0 && c.o.MadeClassic {
		made = classic & madeOfNative
	}
	skipped[ClassicNotSent] += count(classic&^made, len(e.Bounds))
	return native | made
}

func (c *Converter) appendMarkers(dst []Series, e *group.Ended, what group.Component, l labelSet) []Series {
	s := Series{
		Time:   c.time,
		Value:  staleNaN(),
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
	s.Made = c.o.MadeClassic && what&^madeOfNative == group.ComponentNative
	if what&group.ComponentSum != 0 {
		add(c.renamed(l, names.sum))
	}
	if what&group.ComponentCount != 0 {
		add(c.renamed(l, names.count))
	}
	s.Made = false
	if what&group.ComponentValue != 0 {
		add(l.all)
	}
	if what&group.ComponentNative != 0 {
		s.Hist, s.FloatHist = staleNative(e.Float)
		if c.o.MadeClassic {
			s.Time--
		}
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
func staleNaN() float64 { return math.Float64frombits(value.StaleNaN) }

// Stale markers of native histograms have the kind of the series, no buckets,
// and the marker in their sum (rule ST-3). Nobody writes to them.
var staleNatives struct {
	once  sync.Once
	hist  histogram.Histogram
	float histogram.FloatHistogram
}

func staleNative(float bool) (*histogram.Histogram, *histogram.FloatHistogram) {
	n := &staleNatives
	n.once.Do(func() { n.hist.Sum, n.float.Sum = staleNaN(), staleNaN() })
	if float {
		return nil, &n.float
	}
	return &n.hist, nil
}

// Marker returns the stale marker that ends s at its time.
func (s Series) Marker() Series {
	s.Value, s.Stale = staleNaN(), true
	s.Start, s.Exemplars, s.Family.Help = 0, nil, ""
	if s.native() {
		s.Hist, s.FloatHist = staleNative(s.FloatHist != nil)
	}
	return s
}

// Markers appends the series of ended to dst that have another label set than
// all of live, each label set once. One that has the label set of another kind of
// series, native or not, or of another type or unit where those go along, is a
// millisecond older: it must leave before the other. Labels must be sorted. It may
// append to live itself: dst and live may share memory.
func (c *Converter) Markers(dst, ended, live []Series) []Series {
	if len(ended) == 0 {
		return dst
	}
	c.marks.start(ended)
	for i := range live {
		c.marks.meet(&live[i], c.o.Typed)
		if c.o.MadeClassic && live[i].native() {
			c.meetMade(live[i].Labels)
		}
	}
	for i := range ended {
		if !c.marks.has(i) {
			continue
		}
		dst = append(dst, ended[i])
		if m := &dst[len(dst)-1]; c.marks.early[i] {
			m.Time = min(m.Time, c.time-1)
		}
	}
	c.marks.series = nil
	return dst
}

// meetMade lets what a receiver may make of a native histogram with these labels end
// before it.
func (c *Converter) meetMade(labels []group.Label) {
	at := slices.IndexFunc(labels, func(l group.Label) bool { return l.Name == nameLabel })
	if at < 0 {
		return
	}
	names := c.names.of(labels[at].Value)
	for _, name := range [...]string{names.sum, names.count} {
		l := c.labels.reserve(len(labels))
		copy(l, labels)
		l[at].Value = name
		c.marks.endEarly(l)
	}
}

// labelSets is the set of label sets of some series.
type labelSets struct {
	seed   maphash.Seed
	seeded bool
	series []Series
	first  map[uint64]int32 // hash to number in series, -1 for none
	next   []int32          // the next one with the same hash
	in     []bool
	early  []bool // another kind of series lives on with these labels
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
	l.early = slices.Grow(l.early[:0], len(series))[:len(series)]
	clear(l.early)
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

// meet takes the labels of live out of the set, unless they ended as something
// else.
func (l *labelSets) meet(live *Series, typed bool) {
	head, ok := l.first[l.hash(live.Labels)]
	if !ok {
		return
	}
	i := l.find(head, live.Labels)
	switch {
	case i < 0:
	case live.sameKind(&l.series[i], typed):
		l.in[i] = false
		if live.native() {
			l.removeMade(i)
		}
	default:
		l.early[i] = true
	}
}

// endEarly says that another kind of series lives on with labels.
func (l *labelSets) endEarly(labels []group.Label) {
	if head, ok := l.first[l.hash(labels)]; ok {
		if i := l.find(head, labels); i >= 0 {
			l.early[i] = true
		}
	}
}

// removeMade takes out what a receiver may have made of the native histogram at i,
// which lives on.
func (l *labelSets) removeMade(i int32) {
	for i--; i >= 0 && l.series[i].Made; i-- {
		l.in[i] = false
	}
}

// sameKind says whether s goes on as o: both native or neither, and of one type and
// unit where a receiver is told those.
func (s *Series) sameKind(o *Series, typed bool) bool {
	if s.native() != o.native() {
		return false
	}
	return !typed || s.Family.Type == o.Family.Type && s.Family.Unit == o.Family.Unit
}

func (s *Series) native() bool { return s.Hist != nil || s.FloatHist != nil }

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
