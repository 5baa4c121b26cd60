package web

import (
	"bufio"
	"math"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pushbridge/pushbridge/group"
)

// textView writes families in the text format straight from their shapes, byte
// for byte as expfmt writes them, without building them as messages first.
type textView struct {
	v *view
	w *bufio.Writer // remembers its first error
	lineWriter
	labelWriter
}

// text returns the function that writes one family as text.
func (v *view) text(w *bufio.Writer, scheme model.EscapingScheme) func(*family) error {
	t := &textView{v: v, w: w}
	t.scheme = scheme
	return t.family
}

// family writes f: the header, the gateway's own series, then those of groups.
func (t *textView) family(f *family) error {
	if err := t.header(f); err != nil {
		return err
	}
	t.setName(escape(f.name, t.scheme))
	t.v.eachSeries(f, t.member, t.unpushed)
	_, err := t.w.Write(nil)
	return err
}

// header writes HELP and TYPE, and the series of the gateway's own family.
func (t *textView) header(f *family) error {
	if f.own != nil {
		_, err := expfmt.MetricFamilyToText(t.w, model.EscapeMetricFamily(f.own, t.scheme))
		return err
	}
	name := appendName(nil, escape(f.name, t.scheme))
	b := t.line[:0]
	if help, ok := f.help(); ok {
		b = append(append(append(b, "# HELP "...), name...), ' ')
		b = append(appendEscaped(b, help, false), '\n')
	}
	b = append(append(append(b, "# TYPE "...), name...), ' ')
	b = append(append(b, typeWord(f.kind())...), '\n')
	t.line = b
	_, err := t.w.Write(b)
	return err
}

// typeWord is the type as the text format spells it, which has no word for gauge
// histograms.
func typeWord(t dto.MetricType) string {
	switch t {
	case dto.MetricType_COUNTER:
		return "counter"
	case dto.MetricType_GAUGE:
		return "gauge"
	case dto.MetricType_SUMMARY:
		return "summary"
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		return "histogram"
	case dto.MetricType_UNTYPED:
	}
	return "untyped"
}

// member writes the series of one group. An error of the connection stays in w.
func (t *textView) member(g *group.Group, m group.Member) {
	t.setGroup(g)
	metrics := m.Metrics()
	for i := range metrics {
		mt := &metrics[i]
		t.own = m.Part.Shape.AppendLabels(t.own[:0], mt)
		t.setLabels(t.own)
		t.metric(m.Part, mt)
	}
}

// unpushed writes what is said of g itself.
func (t *textView) unpushed(g *group.Group, value float64) {
	t.setGroup(g)
	t.setLabels(nil)
	t.write(t.sample("", t.labels, value))
}

func (t *textView) write(line []byte) { _, _ = t.w.Write(line) }

// metric writes the lines of one metric, whose labels are set.
func (t *textView) metric(p *group.Part, m *group.Metric) {
	values := p.ValuesOf(m)
	switch m.Form {
	case group.FormSingle:
		t.write(t.sample("", t.labels, float(values[0])))
	case group.FormSummary:
		for i, q := range p.Shape.Bounds(m) {
			t.write(t.bounded("", model.QuantileLabel, t.labels, q, float(values[2+i])))
		}
		t.sumCount(m, values)
	case group.FormHistogram, group.FormFloatHistogram:
		t.buckets(m, p.Shape.Bounds(m), values)
		t.sumCount(m, values)
	}
}

// buckets writes the buckets of a histogram, and +Inf where the push had none.
func (t *textView) buckets(m *group.Metric, bounds []float64, values []uint64) {
	inf := false
	for i, le := range bounds {
		t.write(t.bounded("_bucket", model.BucketLabel, t.labels, le, m.Form.Count(values[2+i])))
		inf = inf || le == math.Inf(1)
	}
	if !inf {
		t.write(t.bounded("_bucket", model.BucketLabel, t.labels, math.Inf(1), m.Form.Count(values[1])))
	}
}

func (t *textView) sumCount(m *group.Metric, values []uint64) {
	t.write(t.sample("_sum", t.labels, float(values[0])))
	t.write(t.sample("_count", t.labels, m.Form.Count(values[1])))
}

// labelWriter renders label sets. What repeats from series to series it renders
// once: the labels of the group, and the names of labels.
type labelWriter struct {
	scheme     model.EscapingScheme
	labels     []byte        // the latest set: a="1",b="2"
	own        []group.Label // scratch: the labels of a series itself
	names      labelNames    // of a series' own labels
	group      *group.Group  // whose labels are in fixed
	fixed      []fixedLabel  // sorted by name
	text       []byte        // rendered labels of fixed
	groupNames labelNames    // of fixed
}

// fixedLabel is a label that all series of a group have, rendered in
// text[from:to]. The added instance label gives way to one of the series itself.
type fixedLabel struct {
	name     string
	from, to int
	added    bool
}

func escape(name string, scheme model.EscapingScheme) string {
	if scheme == model.NoEscaping || model.LegacyValidation.IsValidMetricName(name) {
		return name
	}
	return model.EscapeName(name, scheme)
}

// setGroup renders the labels of g's key, and the instance label that every
// series of this view has.
func (l *labelWriter) setGroup(g *group.Group) {
	if l.group == g {
		return
	}
	l.group, l.fixed, l.text = g, l.fixed[:0], l.text[:0]
	placed := false // instance is
	for _, p := range g.Labels {
		if p.IsMark() {
			continue
		}
		if !placed && p.Name >= group.InstanceName {
			placed = true
			if p.Name != group.InstanceName {
				l.fix(group.Label{Name: group.InstanceName}, true)
			}
		}
		l.fix(p, false)
	}
	if !placed {
		l.fix(group.Label{Name: group.InstanceName}, true)
	}
}

func (l *labelWriter) fix(p group.Label, added bool) {
	from := len(l.text)
	l.text = append(l.text, l.groupNames.at(len(l.fixed), p.Name, l.scheme)...)
	l.text = append(appendEscaped(l.text, p.Value, true), '"', ',')
	l.fixed = append(l.fixed, fixedLabel{name: p.Name, from: from, to: len(l.text), added: added})
}

// setLabels renders the labels of a series of the current group: own merged with
// those of the group, which win. It sorts own.
func (l *labelWriter) setLabels(own []group.Label) {
	slices.SortStableFunc(own, func(a, b group.Label) int { return strings.Compare(a.Name, b.Name) })
	b := l.labels[:0]
	for i, j := 0, 0; i < len(own) || j < len(l.fixed); {
		order := l.compare(own, i, j)
		if order < 0 || order == 0 && l.fixed[j].added {
			b = append(b, l.names.at(i, own[i].Name, l.scheme)...)
			b = append(appendEscaped(b, own[i].Value, true), '"', ',')
		} else {
			b = append(b, l.text[l.fixed[j].from:l.fixed[j].to]...)
		}
		if order <= 0 {
			i++
		}
		if order >= 0 {
			j++
		}
	}
	l.labels = b[:len(b)-1] // a comma: job is always there
}

// compare says which label comes first, own[i] or l.fixed[j]. One of them exists.
func (l *labelWriter) compare(own []group.Label, i, j int) int {
	switch {
	case i == len(own):
		return 1
	case j == len(l.fixed):
		return -1
	}
	return strings.Compare(own[i].Name, l.fixed[j].name)
}

// labelNames is at each place of a label set the latest name there. Neighbouring series,
// and groups, have the same names at the same places.
type labelNames []labelName

type labelName struct {
	name string
	text []byte
}

// at renders name= and the opening quote.
func (l *labelNames) at(i int, name string, scheme model.EscapingScheme) []byte {
	for i >= len(*l) {
		*l = append(*l, labelName{})
	}
	n := &(*l)[i]
	if n.name != name {
		n.name = name
		n.text = append(appendName(n.text[:0], escape(name, scheme)), `="`...)
	}
	return n.text
}
