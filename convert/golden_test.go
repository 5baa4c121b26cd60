package convert_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/state"
)

var update = flag.Bool("update", false, "rewrite the want sections of the golden files")

// TestGolden runs the files of testdata. Their sections: before.prom, what the
// group holds (pushed at 1s, may be absent); push.prom, the change at 2s; method
// (PUT when absent; FAIL is a refused push); grouping, the grouping key when it
// is not job=j; want, the series that the change becomes.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("golden files: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := printSeries(goldenSeries(t, section(a, "method"), section(a, "grouping"),
		section(a, "before.prom"), section(a, "push.prom")))
	if *update {
		setSection(a, "want", got)
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(section(a, "want"), got); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func section(a *txtar.Archive, name string) string {
	i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == name })
	if i < 0 {
		return ""
	}
	return string(a.Files[i].Data)
}

func setSection(a *txtar.Archive, name, text string) {
	a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == name })
	a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(text)})
}

func goldenSeries(t *testing.T, method, grouping, before, push string) []convert.Series {
	t.Helper()
	labels := parseGrouping(t, grouping)
	s := newStore()
	if before != "" {
		s.apply(t, group.Change{Kind: group.KindPut, Labels: labels, Part: partOf(t, before)})
	}
	c := group.Change{Labels: labels}
	switch strings.TrimSpace(method) {
	case "", "PUT":
		c.Kind, c.Part = group.KindPut, partOf(t, push)
	case "POST":
		c.Kind, c.Part = group.KindPost, partOf(t, push)
	case "DELETE":
		c.Kind = group.KindDelete
	case "FAIL":
		c.Kind = group.KindFail
	default:
		t.Fatalf("unknown method %q", method)
	}
	return seriesOf(t, s.apply(t, c), convert.Options{SendNative: true})
}

func parseGrouping(t *testing.T, text string) group.Labels {
	t.Helper()
	if text == "" {
		text = "job=j"
	}
	var l []group.Label
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			t.Fatalf("grouping line %q has no =", line)
		}
		l = append(l, group.Label{Name: name, Value: value})
	}
	return group.NewLabels(l)
}

// testStore applies changes one second apart and returns their records.
type testStore struct {
	*state.Store
	now time.Time
	seq uint64
}

func newStore() *testStore {
	return &testStore{Store: state.New(state.Options{CheckConsistency: true}), now: time.UnixMilli(0)}
}

func (s *testStore) apply(t testing.TB, c group.Change) *group.Record {
	t.Helper()
	s.now = s.now.Add(time.Second)
	s.seq++
	var rec *group.Record
	if err := s.Apply(c, s.now, func(r *group.Record) { rec = r }); err != nil {
		t.Fatalf("apply: %v", err)
	}
	s.Fold(rec, s.seq)
	return rec
}

// partOf parses text as a push would.
func partOf(t testing.TB, text string) *group.Part {
	t.Helper()
	p := expfmt.NewTextParser(model.LegacyValidation)
	byName, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	var mfs []*dto.MetricFamily
	for _, mf := range byName {
		mfs = append(mfs, mf)
	}
	slices.SortFunc(mfs, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return partOfDTO(t, mfs...)
}

func partOfDTO(t testing.TB, mfs ...*dto.MetricFamily) *group.Part {
	t.Helper()
	p, err := group.FromDTO(mfs, group.BuildOptions{})
	if err != nil {
		t.Fatalf("build part: %v", err)
	}
	return p
}

// seriesOf converts r as a sender without relabelling does, and checks promise 4
// on the way: the books balance.
func seriesOf(t testing.TB, r *group.Record, o convert.Options) []convert.Series {
	t.Helper()
	var c convert.Converter
	live, skipped := c.Append(nil, r, o)
	ended, unsent := c.AppendEnded(nil, r, o)
	if got := len(live) + len(ended) + skipped.Total() + unsent.Total(); got != r.Samples() {
		t.Errorf("%d series, %d markers, skipped %v and %v are not the record's %d samples",
			len(live), len(ended), skipped, unsent, r.Samples())
	}
	return c.Markers(live, ended, live)
}

// printSeries prints one series a line: name{labels} value @time, native
// histograms in their own notation, then what rides along.
func printSeries(series []convert.Series) string {
	var b bytes.Buffer
	for _, s := range series {
		fmt.Fprintf(&b, "%s %s @%d", printLabels(s.Labels), printValue(s), s.Time)
		if s.Start != 0 {
			fmt.Fprintf(&b, " start=%d", s.Start)
		}
		for _, e := range s.Exemplars {
			fmt.Fprintf(&b, " # %s %v @%d", printLabels(e.Labels), e.Value, e.Time)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func printLabels(labels []group.Label) string {
	name, pairs := "", []string(nil)
	for _, l := range labels {
		if l.Name == "__name__" {
			name = l.Value
			continue
		}
		pairs = append(pairs, fmt.Sprintf("%s=%q", l.Name, l.Value))
	}
	return name + "{" + strings.Join(pairs, ",") + "}"
}

func printValue(s convert.Series) string {
	switch {
	case s.Stale && s.Hist != nil:
		return "stale histogram"
	case s.Stale && s.FloatHist != nil:
		return "stale float histogram"
	case s.Stale:
		return "stale"
	case s.Hist != nil:
		return s.Hist.String()
	case s.FloatHist != nil:
		return s.FloatHist.String()
	}
	return fmt.Sprint(s.Value)
}
