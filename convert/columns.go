package convert

import (
	"cmp"
	"slices"
	"unicode/utf8"

	"github.com/pushbridge/pushbridge/group"
)

// columns are the columns of a part that only some metrics appear in. They are
// sorted by metric number, and so are the metrics of a family: at takes from the
// front.
type columns struct {
	exemplars []group.Exemplar
	created   []group.Created
	unsent    []uint32
}

// riders are what a metric has in the columns.
type riders struct {
	exemplars []group.Exemplar
	start     int64
	unsent    bool
}

// columnsAt returns the columns of p from metric number first on.
func columnsAt(p *group.Part, first int) columns {
	n := uint32(first)
	e, _ := slices.BinarySearchFunc(p.Exemplars, n, func(e group.Exemplar, n uint32) int { return cmp.Compare(e.Metric, n) })
	k, _ := slices.BinarySearchFunc(p.Created, n, func(k group.Created, n uint32) int { return cmp.Compare(k.Metric, n) })
	u, _ := slices.BinarySearch(p.Unsent, n)
	return columns{p.Exemplars[e:], p.Created[k:], p.Unsent[u:]}
}

// at returns what metric n of type t has, and drops it from c.
func (c *columns) at(n uint32, t group.Type, time int64) riders {
	var r riders
	i := 0
	for i < len(c.exemplars) && c.exemplars[i].Metric == n {
		i++
	}
	r.exemplars, c.exemplars = c.exemplars[:i], c.exemplars[i:]
	if len(c.created) > 0 && c.created[0].Metric == n {
		r.start = startOf(c.created[0], t, time)
		c.created = c.created[1:]
	}
	if len(c.unsent) > 0 && c.unsent[0] == n {
		r.unsent = true
		c.unsent = c.unsent[1:]
	}
	return r
}

// startOf returns the created timestamp in ms, 0 where it makes no sense: on a
// gauge, before the epoch, or after the sample (rule C-1).
func startOf(k group.Created, t group.Type, time int64) int64 {
	switch t {
	case group.Counter, group.Summary, group.Histogram:
	case group.Untyped, group.Gauge, group.GaugeHistogram:
		return 0
	}
	ms := millis(k.Seconds, k.Nanos)
	if ms <= 0 || ms > time {
		return 0
	}
	return ms
}

// maxMillisSeconds keeps millis from overflowing.
const maxMillisSeconds = 1 << 50

func millis(seconds int64, nanos int32) int64 {
	return min(max(seconds, -maxMillisSeconds), maxMillisSeconds)*1000 + int64(nanos)/1e6
}

// exemplarsOf returns the exemplars of x that belong to one slot, oldest first
// (rules E-1 to E-3). Without a time of its own an exemplar takes the sample's.
func (c *Converter) exemplarsOf(x *metric, slot int32) []Exemplar {
	return c.exemplarsBy(x, func(e *group.Exemplar) bool { return e.Slot == slot })
}

// nativeExemplarsOf returns the exemplars of a native histogram: its own list,
// or else those of the classic buckets. Several of them may meet here, so the
// time of the sample is no help where one has none.
func (c *Converter) nativeExemplarsOf(x *metric) []Exemplar {
	own := slices.ContainsFunc(x.exemplars, func(e group.Exemplar) bool { return e.Slot == group.SlotNative })
	return c.exemplarsBy(x, func(e *group.Exemplar) bool {
		return e.HasTime && (e.Slot == group.SlotNative) == own
	})
}

func (c *Converter) exemplarsBy(x *metric, take func(*group.Exemplar) bool) []Exemplar {
	if len(x.exemplars) == 0 {
		return nil
	}
	out := c.exemplars.reserve(len(x.exemplars))[:0]
	for i := range x.exemplars {
		e := &x.exemplars[i]
		if !take(e) || runes(e.Labels) > maxExemplarRunes {
			continue
		}
		if conv := c.exemplar(e, x.time); unique(conv.Labels) {
			out = append(out, conv)
		}
	}
	if len(out) == 0 {
		return nil
	}
	slices.SortStableFunc(out, func(a, b Exemplar) int { return cmp.Compare(a.Time, b.Time) })
	return c.exemplars.keep(len(out))
}

func (c *Converter) exemplar(e *group.Exemplar, time int64) Exemplar {
	l := c.labels.take(len(e.Labels))
	copy(l, e.Labels)
	sortLabels(l)
	if e.HasTime {
		time = millis(e.Seconds, e.Nanos)
	}
	return Exemplar{Labels: l, Value: e.Value, Time: time}
}

// unique says whether no name in the sorted l stands twice.
func unique(l []group.Label) bool {
	for i := 1; i < len(l); i++ {
		if l[i].Name == l[i-1].Name {
			return false
		}
	}
	return true
}

// maxExemplarRunes is what the exposition formats allow an exemplar's label
// names and values together; receivers refuse longer ones.
const maxExemplarRunes = 128

func runes(l []group.Label) int {
	n := 0
	for _, p := range l {
		n += utf8.RuneCountInString(p.Name) + utf8.RuneCountInString(p.Value)
	}
	return n
}
