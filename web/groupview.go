package web

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/pushbridge/pushbridge/group"
)

// groupView is one group on the page.
type groupView struct {
	Key      string // names the group in ?group=
	Path     string // the push path, relative to the page
	Text     string // the grouping key as text
	Labels   []group.Label
	Families int
	Series   int

	Push, Fail, Expires stampView
	Refused             refusedBy
	Failed              bool // the latest push was refused

	Shown []familyView
	Cut   bool // not all lines are shown
}

// refusedBy is what a destination did not take of a group.
type refusedBy struct {
	Set               bool
	When              stampView
	Destination, Text string
	Samples           uint64
	Suspect           bool
}

// familyView is one family of a group.
type familyView struct {
	Name, Help, Type string
	Pushed           stampView
	Metrics          []metricView
	Hidden           int // metrics beyond those shown
}

// metricView is one metric: its own labels and its value, or for summaries and
// histograms sum, count, and lines of bounds and values.
type metricView struct {
	Labels     []group.Label
	Value      string
	Readable   string // the value again, by its unit
	Sum, Count string
	SumRead    string
	Compound   bool
	BoundName  string
	Lines      []boundView
}

// boundView is one line of a summary or histogram. A bucket has a bar: how much is in
// it alone, in percent of the fullest.
type boundView struct {
	Bound, Value string
	BoundRead    string // both again, by the unit
	ValueRead    string
	Bar          string
}

// stampView is a moment: how long ago or ahead, and exactly.
type stampView struct {
	Set      bool
	Relative string
	Exact    string
}

// stamp describes a moment in ns since the epoch; 0 is never.
func stamp(ns int64, now time.Time) stampView {
	if ns == 0 {
		return stampView{Relative: "never"}
	}
	return moment(time.Unix(0, ns), now)
}

func moment(t, now time.Time) stampView {
	s := stampView{Set: true, Exact: t.UTC().Format("2006-01-02T15:04:05.000Z")}
	if d := now.Sub(t); d >= 0 {
		s.Relative = span(d) + " ago"
	} else {
		s.Relative = "in " + span(-d)
	}
	return s
}

// span prints d in its two largest units.
func span(d time.Duration) string {
	units := []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}}
	for i, u := range units {
		if d < u.size {
			continue
		}
		out := fmt.Sprintf("%d%s", d/u.size, u.name)
		if i+1 < len(units) {
			if rest := d % u.size / units[i+1].size; rest > 0 {
				out += fmt.Sprintf(" %d%s", rest, units[i+1].name)
			}
		}
		return out
	}
	return "0s"
}

// groupPath returns the path that pushes to and deletes a group, relative to the
// page. A value goes as base64 unless it consists of letters, digits and marks
// that mean nothing in a path.
func groupPath(l group.Labels) string {
	var b strings.Builder
	b.WriteString("metrics")
	write := func(name, value string) {
		if !model.LegacyValidation.IsValidLabelName(name) {
			name = model.EscapeName(name, model.ValueEncodingEscaping)
		}
		b.WriteString("/" + url.PathEscape(name))
		if plainInPath(value) {
			b.WriteString("/" + value)
			return
		}
		b.WriteString("@base64/" + base64.RawURLEncoding.EncodeToString([]byte(value)))
		if value == "" {
			b.WriteByte('=') // or there would be no component
		}
	}
	write("job", l.Job())
	for _, p := range l {
		if p.Name != "job" {
			write(p.Name, p.Value)
		}
	}
	return b.String()
}

func plainInPath(v string) bool {
	for _, c := range []byte(v) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			strings.IndexByte("-_.~:+", c) >= 0:
		default:
			return false
		}
	}
	return v != "" && v != "." && v != ".."
}

// labelText prints labels as filters see them: job="a" instance="b".
func labelText(l []group.Label) string {
	var b strings.Builder
	for i, p := range l {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(p.Name + "=" + strconv.Quote(p.Value))
	}
	return b.String()
}

// jobFirst returns l with the job in front.
func jobFirst(l group.Labels) []group.Label {
	out := make([]group.Label, 0, len(l))
	out = append(out, group.Label{Name: "job", Value: l.Job()})
	for _, p := range l {
		if p.Name != "job" {
			out = append(out, p)
		}
	}
	return out
}

func viewFamily(g *group.Group, m group.Member, now time.Time, limit int, left *int) familyView {
	f, metrics := m.Of(), m.Metrics()
	v := familyView{Name: f.Name, Help: f.Help, Type: typeName(f.Type), Pushed: stamp(m.Part.Pushed, now)}
	*left-- // its heading
	for i := range metrics {
		if i >= limit || *left <= 0 {
			v.Hidden = len(metrics) - i
			break
		}
		mv := viewMetric(g, m, &metrics[i], now)
		*left -= 1 + len(mv.Lines)
		v.Metrics = append(v.Metrics, mv)
	}
	return v
}

// typeName spells a type as the exposition formats do.
func typeName(t group.Type) string {
	if t == group.GaugeHistogram {
		return "gauge histogram"
	}
	return strings.ToLower(t.DTO().String())
}

func viewMetric(g *group.Group, of group.Member, m *group.Metric, now time.Time) metricView {
	var v metricView
	p, name := of.Part, of.Of().Name
	// The labels of the group stand above, and need no room in every line.
	for _, l := range g.Labels.AppendView(nil, p.Shape, m) {
		if _, ok := g.Labels.Lookup(l.Name); !ok && (l.Name != group.InstanceName || l.Value != "") {
			v.Labels = append(v.Labels, l)
		}
	}
	values := p.ValuesOf(m)
	if m.Form == group.FormSingle {
		v.Value, v.Readable = printFloat(float(values[0])), readable(name, float(values[0]), now)
		return v
	}
	v.Compound = true
	v.Sum, v.Count = printFloat(float(values[0])), printCount(m.Form, values[1])
	v.SumRead = readable(name, float(values[0]), now)
	v.BoundName, v.Lines = boundLines(name, p, m, values, now)
	return v
}

// boundLines returns quantiles or buckets; of a native histogram the native ones.
func boundLines(name string, p *group.Part, m *group.Metric, values []uint64, now time.Time) (bound string, lines []boundView) {
	if n := p.NativeOf(m); n != nil {
		var in []float64
		for _, b := range nativeBuckets(n) {
			lines = append(lines, boundView{Bound: b.interval(), Value: b.count(n.Float)})
			in = append(in, b.Count)
		}
		return "bucket", withBars(lines, in)
	}
	bounds := p.Shape.Bounds(m)
	if m.Form == group.FormSummary {
		for i, q := range bounds {
			v := float(values[2+i])
			lines = append(lines, boundView{Bound: printFloat(q), Value: printFloat(v), ValueRead: readable(name, v, now)})
		}
		return "quantile", lines
	}
	var in []float64
	before := 0.0
	for i, le := range bounds {
		lines = append(lines, boundView{Bound: printFloat(le), Value: printCount(m.Form, values[2+i]), BoundRead: readable(name, le, now)})
		in = append(in, max(0, m.Form.Count(values[2+i])-before))
		before = m.Form.Count(values[2+i])
	}
	return "le", withBars(lines, in)
}

// withBars draws how much is in each bucket alone.
func withBars(lines []boundView, in []float64) []boundView {
	most := 0.0
	for _, v := range in {
		most = max(most, v)
	}
	for i := range lines {
		lines[i].Bar = "0"
		if most > 0 && !math.IsInf(most, 0) {
			lines[i].Bar = strconv.FormatFloat(in[i]/most*100, 'f', 1, 64)
		}
	}
	return lines
}

// interval prints the range of b, with brackets on the inclusive sides.
func (b *nativeBucket) interval() string {
	left, right := "(", ")"
	if b.LowerInclusive {
		left = "["
	}
	if b.UpperInclusive {
		right = "]"
	}
	return left + printFloat(b.Lower) + ", " + printFloat(b.Upper) + right
}

// printFloat spells numbers without an exponent as long as that is readable.
func printFloat(v float64) string {
	if a := math.Abs(v); a == 0 || 1e-4 <= a && a < 1e15 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func printCount(f group.Form, slot uint64) string {
	if f == group.FormFloatHistogram {
		return printFloat(float(slot))
	}
	return strconv.FormatUint(slot, 10)
}
