package web

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/pushbridge/pushbridge/group"
)

// family writes one pushed family of g.
func (j *groupsJSON) family(g *group.Group, m group.Member) error {
	f := m.Of()
	j.header(m.Part.Pushed, f.Type, f.Help)
	metrics := m.Metrics()
	for i := range metrics {
		if i > 0 {
			j.text(",")
		}
		j.labels = g.Labels.AppendView(j.labels[:0], m.Part.Shape, &metrics[i])
		j.metric(m.Part, &metrics[i])
		if err := j.flushIfLong(); err != nil {
			return err
		}
	}
	j.text("]}")
	return nil
}

func (j *groupsJSON) flushIfLong() error {
	if len(j.b) < flushAt-flushAt/8 {
		return nil
	}
	return j.flush()
}

// metric writes one metric, whose labels are in j.labels. Gauge histograms are
// written as histograms; Pushgateway says no more of them than "value":"0".
func (j *groupsJSON) metric(p *group.Part, m *group.Metric) {
	values := p.ValuesOf(m)
	switch m.Form {
	case group.FormSingle:
		j.text(`{"labels":`)
		j.object(j.labels)
		j.text(`,"value":`)
		j.float(float(values[0]))
		j.text("}")
	case group.FormSummary:
		j.text(`{"count":`)
		j.count(m.Form, values[1])
		j.text(`,"labels":`)
		j.object(j.labels)
		j.text(`,"quantiles":`)
		j.bounded(p.Shape.Bounds(m), func(i int) { j.float(float(values[2+i])) })
		j.sum(values[0])
	case group.FormHistogram, group.FormFloatHistogram:
		j.text(`{"buckets":`)
		if n := p.NativeOf(m); n != nil && len(n.Positive)+len(n.Negative) > 0 {
			j.native(n)
		} else {
			j.bounded(p.Shape.Bounds(m), func(i int) { j.count(m.Form, values[2+i]) })
		}
		j.text(`,"count":`)
		j.count(m.Form, values[1])
		j.text(`,"labels":`)
		j.object(j.labels)
		j.sum(values[0])
	}
}

func (j *groupsJSON) sum(slot uint64) {
	j.text(`,"sum":`)
	j.float(float(slot))
	j.text("}")
}

// count writes a count as a string. A float count that is negative reads 0, as in
// Pushgateway; a NaN is what was pushed, and reads so.
func (j *groupsJSON) count(f group.Form, slot uint64) {
	if f != group.FormFloatHistogram {
		j.text(`"`)
		j.b = strconv.AppendUint(j.b, slot, 10)
		j.text(`"`)
		return
	}
	j.float(max(0, float(slot)))
}

// float writes a number as a string, spelled as Go prints it.
func (j *groupsJSON) float(v float64) {
	j.text(`"`)
	j.b = strconv.AppendFloat(j.b, v, 'g', -1, 64)
	j.text(`"`)
}

// boundsJSON is the latest list of bounds, in the order in which an object lists
// them. Neighbouring metrics mostly share one.
type boundsJSON struct {
	of   []float64
	keys []boundKey
}

type boundKey struct {
	text  string
	index int
}

// sorted returns the keys for bounds by their text. Of a bound that occurs twice
// the last counts, as in a map.
func (b *boundsJSON) sorted(bounds []float64) []boundKey {
	if b.keys != nil && len(b.of) == len(bounds) && (len(bounds) == 0 || &b.of[0] == &bounds[0]) {
		return b.keys
	}
	b.of, b.keys = bounds, make([]boundKey, 0, len(bounds))
	for i, v := range slices.Backward(bounds) {
		b.keys = append(b.keys, boundKey{strconv.FormatFloat(v, 'g', -1, 64), i})
	}
	slices.SortStableFunc(b.keys, func(x, y boundKey) int { return strings.Compare(x.text, y.text) })
	b.keys = slices.CompactFunc(b.keys, func(x, y boundKey) bool { return x.text == y.text })
	return b.keys
}

// bounded writes an object of bounds and what value writes for each.
func (j *groupsJSON) bounded(bounds []float64, value func(i int)) {
	j.text("{")
	for i, k := range j.bounds.sorted(bounds) {
		if i > 0 {
			j.text(",")
		}
		j.text(`"` + k.text + `":`)
		value(k.index)
	}
	j.text("}")
}

// string writes s as JSON, with <, > and & escaped.
func (j *groupsJSON) string(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			b, _ := json.Marshal(s) // of a string there is no error
			j.b = append(j.b, b...)
			return
		}
	}
	j.text(`"`)
	j.text(s)
	j.text(`"`)
}
