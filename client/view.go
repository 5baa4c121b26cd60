package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// View is what a gateway's /metrics shows of pushed groups.
type View map[string]*ShownGroup // by grouping key

// ShownGroup is one group of a view: its samples as the text format has them, and the
// types of its families.
type ShownGroup struct {
	samples map[string]string // by series
	types   map[string]string // by family
}

// utf8Text asks for names as they were pushed. Escaped ones may be the same.
const utf8Text = "text/plain;version=0.0.4;escaping=allow-utf-8"

// View asks the gateway what it shows.
func (c *Client) View(ctx context.Context, path string) (View, error) {
	body, err := c.get(ctx, path, http.Header{"Accept": {utf8Text}})
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return newView(families)
}

// newView finds out which groups there are, by the push times that each has, and which
// group each series belongs to: the one with the most labels of those that it has all of.
// What belongs to none is the gateway's own.
func newView(families map[string]*dto.MetricFamily) (View, error) {
	view := View{}
	var keys []map[string]string
	for _, m := range families[ownFamilies[0]].GetMetric() {
		key := labelsOf(m)
		if key[instanceLabel] == "" {
			delete(key, instanceLabel)
		}
		keys = append(keys, key)
		view[keyText(key)] = &ShownGroup{map[string]string{}, map[string]string{}}
	}
	slices.SortFunc(keys, func(a, b map[string]string) int { return len(b) - len(a) })
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if slices.Contains(ownFamilies, name) || strings.HasPrefix(name, "pushbridge_") {
			continue
		}
		for _, m := range families[name].GetMetric() {
			i := slices.IndexFunc(keys, func(key map[string]string) bool { return contained(key, labelsOf(m)) })
			if i < 0 {
				continue
			}
			if err := view[keyText(keys[i])].add(families[name], m); err != nil {
				return nil, err
			}
		}
	}
	return view, nil
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}

// contained reports whether all of key are among labels.
func contained(key, labels map[string]string) bool {
	for name, value := range key {
		if got, ok := labels[name]; !ok || got != value {
			return false
		}
	}
	return true
}

func keyText(key map[string]string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(key)) {
		pairs = append(pairs, fmt.Sprintf("%s=%q", name, key[name]))
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

// add notes the samples of one metric.
func (g *ShownGroup) add(mf *dto.MetricFamily, m *dto.Metric) error {
	slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	var text bytes.Buffer
	if _, err := expfmt.MetricFamilyToText(&text, &dto.MetricFamily{Name: mf.Name, Type: mf.Type, Metric: []*dto.Metric{m}}); err != nil {
		return err
	}
	g.types[mf.GetName()] = strings.ToLower(mf.GetType().String())
	for line := range strings.Lines(text.String()) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, '}') + 1
		if at == 0 {
			at = strings.IndexByte(line, ' ')
		}
		g.samples[line[:at]] = strings.TrimSpace(line[at:])
	}
	return nil
}

// Compare writes where two views differ, group by group, and returns how many groups
// do. Names are what the views are called.
func Compare(w io.Writer, a, b View, nameA, nameB string) (differ int) {
	keys := maps.Clone(a)
	maps.Copy(keys, b)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		switch {
		case b[key] == nil:
			fmt.Fprintf(w, "group %s: only at %s\n", key, nameA)
		case a[key] == nil:
			fmt.Fprintf(w, "group %s: only at %s\n", key, nameB)
		default:
			lines := a[key].compare(b[key])
			if len(lines) == 0 {
				continue
			}
			fmt.Fprintf(w, "group %s:\n  %s\n", key, strings.Join(lines, "\n  "))
		}
		differ++
	}
	return differ
}

// compare returns a line for each difference.
func (g *ShownGroup) compare(o *ShownGroup) (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(g.types)) {
		if other, ok := o.types[name]; ok && other != g.types[name] {
			lines = append(lines, fmt.Sprintf("type of %s: %s, %s", name, g.types[name], other))
		}
	}
	all := maps.Clone(g.samples)
	maps.Copy(all, o.samples)
	for _, series := range slices.Sorted(maps.Keys(all)) {
		mine, here := g.samples[series]
		other, there := o.samples[series]
		if here && mine != other {
			lines = append(lines, "- "+series+" "+mine)
		}
		if there && mine != other {
			lines = append(lines, "+ "+series+" "+other)
		}
	}
	return lines
}
