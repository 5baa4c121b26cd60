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
	Refused             refusedView
	Failed              bool // the latest push was refused

	Shown []familyView
	Cut   bool // not all lines are shown
}

// refusedView is what a destination did not take of a group.
type refusedView struct {
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
	Sum, Count string
	Compound   bool
	BoundName  string
	Lines      []boundView
}

type boundView struct{ Bound, Value string }

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

// limits bound what the page shows: per family, and in all.
type limits struct{ family, lines int }

// viewGroup describes g, and takes the lines it shows from left.
func viewGroup(g *group.Group, now time.Time, lim limits, left *int) groupView {
	v := groupView{
		Key:    groupKeyOf(g),
		Path:   groupPath(g.Labels),
		Text:   labelText(jobFirst(g.Labels)),
		Labels: jobFirst(g.Labels), Families: len(g.Members), Series: g.Samples(),
		Push: stamp(g.Push, now), Fail: stamp(g.Fail, now), Failed: !lastPushSuccessful(g),
	}
	if t, ok := g.Expires(); ok {
		v.Expires = moment(t, now)
	}
	for _, m := range g.Members {
		if *left <= 0 {
			v.Cut = true
			break
		}
		f := viewFamily(g, m, now, lim.family, left)
		v.Cut = v.Cut || f.Hidden > 0
		v.Shown = append(v.Shown, f)
	}
	return v
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
		mv := viewMetric(g, m.Part, &metrics[i])
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

func viewMetric(g *group.Group, p *group.Part, m *group.Metric) metricView {
	var v metricView
	// The labels of the group stand above, and need no room in every line.
	for _, l := range g.Labels.AppendView(nil, p.Shape, m) {
		if _, ok := g.Labels.Lookup(l.Name); !ok && (l.Name != group.InstanceName || l.Value != "") {
			v.Labels = append(v.Labels, l)
		}
	}
	values := p.ValuesOf(m)
	if m.Form == group.FormSingle {
		v.Value = printFloat(float(values[0]))
		return v
	}
	v.Compound = true
	v.Sum, v.Count = printFloat(float(values[0])), printCount(m.Form, values[1])
	v.BoundName, v.Lines = boundLines(p, m, values)
	return v
}

// boundLines returns quantiles or buckets; of a native histogram the native ones.
func boundLines(p *group.Part, m *group.Metric, values []uint64) (name string, lines []boundView) {
	if n := p.NativeOf(m); n != nil {
		for _, b := range nativeBuckets(n) {
			lines = append(lines, boundView{b.interval(), b.count(n.Float)})
		}
		return "bucket", lines
	}
	for i, bound := range p.Shape.Bounds(m) {
		value := printFloat(float(values[2+i]))
		if m.Form != group.FormSummary {
			value = printCount(m.Form, values[2+i])
		}
		lines = append(lines, boundView{printFloat(bound), value})
	}
	if m.Form == group.FormSummary {
		return "quantile", lines
	}
	return "le", lines
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
