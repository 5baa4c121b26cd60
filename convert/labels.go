package convert

import (
	"math"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/pushbridge/pushbridge/group"
)

// The label names that conversion itself sets.
const (
	nameLabel     = "__name__"
	bucketLabel   = "le"
	quantileLabel = "quantile"
)

// setGrouping prepares what all label sets of a record share: the grouping
// labels and a place for the name. Grouping labels with an empty value stay in:
// they still override a metric's own label, and then count as absent.
func (c *Converter) setGrouping(l group.Labels) {
	at, _ := slices.BinarySearchFunc(l, nameLabel, func(a group.Label, n string) int { return strings.Compare(a.Name, n) })
	c.fixed = append(append(c.fixed[:0], l[:at]...), group.Label{Name: nameLabel})
	c.fixed = append(c.fixed, l[at:]...)
	c.name = at
}

// labelSet is the label set of a metric, from which those of its components are
// made.
type labelSet struct {
	all  []group.Label
	name int // where __name__ stands
}

// labelSetOf merges own, which it sorts, with the grouping labels and name.
func (c *Converter) labelSetOf(name string, own []group.Label) labelSet {
	sortLabels(own)
	c.fixed[c.name].Value = name
	out := c.labels.reserve(len(own) + len(c.fixed))
	n, at := 0, 0
	for i, j := 0, 0; i < len(own) || j < len(c.fixed); {
		var l group.Label
		switch order := c.compare(own, i, j); {
		case order < 0:
			l = own[i]
			i++
		default:
			if order == 0 {
				i++ // the grouping label wins
			}
			if j == c.name {
				at = n
			}
			l = c.fixed[j]
			j++
		}
		if l.Value != "" {
			out[n] = l
			n++
		}
	}
	return labelSet{all: c.labels.keep(n), name: at}
}

// compare says which label comes first, own[i] or c.fixed[j]. One of them exists.
func (c *Converter) compare(own []group.Label, i, j int) int {
	switch {
	case i == len(own):
		return 1
	case j == len(c.fixed):
		return -1
	}
	return strings.Compare(own[i].Name, c.fixed[j].Name)
}

// sortLabels is an insertion sort: client libraries write labels in order, and
// then it only compares neighbours.
func sortLabels(l []group.Label) {
	for i := 1; i < len(l); i++ {
		for j := i; j > 0 && l[j].Name < l[j-1].Name; j-- {
			l[j], l[j-1] = l[j-1], l[j]
		}
	}
}

// renamed returns s under another metric name.
func (c *Converter) renamed(s labelSet, name string) []group.Label {
	if c.bare {
		return nil
	}
	out := c.labels.take(len(s.all))
	copy(out, s.all)
	out[s.name].Value = name
	return out
}

// slotOf returns where a component label goes. The store takes no series that
// has a label of that name already.
func (s labelSet) slotOf(label string) int {
	for i, l := range s.all {
		if l.Name > label {
			return i
		}
	}
	return len(s.all)
}

// component returns s under another metric name with a label more. __name__
// stays where it is, as both component labels sort behind it.
func (c *Converter) component(s labelSet, name string, at int, label, value string) []group.Label {
	if c.bare {
		return nil
	}
	out := c.labels.take(len(s.all) + 1)
	copy(out, s.all[:at])
	out[at] = group.Label{Name: label, Value: value}
	copy(out[at+1:], s.all[at:])
	out[s.name].Value = name
	return out
}

// boundCache keeps the spelling of bounds and quantiles. Pushes repeat few bound
// lists, and mostly the same one many times in a row.
type boundCache struct {
	bits  []uint64 // the latest list
	text  []string // and its spelling
	known map[uint64]string
}

const maxKnownBounds = 4096

// spell returns the spelling of each bound as Prometheus 3 stores it (rule F-1).
// The result is good until the next call.
func (b *boundCache) spell(bounds []float64) []string {
	if !b.same(bounds) {
		b.bits, b.text = b.bits[:0], b.text[:0]
		for _, v := range bounds {
			b.bits = append(b.bits, math.Float64bits(v))
			b.text = append(b.text, b.one(v))
		}
	}
	return b.text
}

func (b *boundCache) same(bounds []float64) bool {
	if len(bounds) != len(b.bits) {
		return false
	}
	for i, v := range bounds {
		if math.Float64bits(v) != b.bits[i] {
			return false
		}
	}
	return true
}

func (b *boundCache) one(v float64) string {
	s, ok := b.known[math.Float64bits(v)]
	if ok {
		return s
	}
	if b.known == nil || len(b.known) >= maxKnownBounds {
		b.known = make(map[uint64]string)
	}
	s = labels.FormatOpenMetricsFloat(v)
	b.known[math.Float64bits(v)] = s
	return s
}

// componentNames are the names of the series of a summary or histogram.
type componentNames struct{ bucket, sum, count string }

// nameCache keeps component names, so that they are put together once.
type nameCache map[string]componentNames

const maxKnownNames = 1024

func (n *nameCache) of(family string) componentNames {
	if s, ok := (*n)[family]; ok {
		return s
	}
	if *n == nil || len(*n) >= maxKnownNames {
		*n = make(nameCache)
	}
	s := componentNames{bucket: family + "_bucket", sum: family + "_sum", count: family + "_count"}
	(*n)[s.bucket[:len(family)]] = s // not family: it may keep a whole symbol table alive
	return s
}
