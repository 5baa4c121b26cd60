package pgfile

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/state"
)

// rig fills a store by hand.
type rig struct {
	t   testing.TB
	s   *state.Store
	now time.Time
	log []*group.Record
}

func newRig(t testing.TB) *rig {
	return &rig{t: t, s: state.New(state.Options{CheckConsistency: true}), now: time.Unix(1_700_000_000, 123_456_789)}
}

// do applies a change to the group that labels, as "job=a instance=b", name.
func (g *rig) do(kind group.Kind, labels, text string) {
	g.t.Helper()
	var l []group.Label
	for f := range strings.FieldsSeq(labels) {
		name, value, _ := strings.Cut(f, "=")
		l = append(l, group.Label{Name: name, Value: value})
	}
	c := group.Change{Kind: kind, Labels: group.NewLabels(l)}
	if text != "" {
		c.Part = part(g.t, text)
	}
	g.apply(c)
}

func (g *rig) apply(c group.Change) {
	g.t.Helper()
	if err := g.s.Apply(c, g.now, func(r *group.Record) { g.log = append(g.log, r) }); err != nil {
		g.t.Errorf("%s: %v", c.Labels, err)
	}
}

// groups commits what was done and returns all groups.
func (g *rig) groups() []*group.Group {
	for i, r := range g.log {
		g.s.Fold(r, uint64(i+1))
	}
	g.log = nil
	return g.s.Groups()
}

// part reads text in the exposition format.
func part(t testing.TB, text string) *group.Part {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	byName, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var mfs []*dto.MetricFamily
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		mfs = append(mfs, byName[name])
	}
	out, err := group.FromDTO(mfs, group.BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// someGroups are of each kind that a file can hold.
func someGroups(t testing.TB) []*group.Group {
	g := newRig(t)
	g.do(group.KindPut, "job=a x= instance=i", "m{l=\"1\",instance=\"i\"} 1\n# HELP n some\\nhelp\n# TYPE n counter\nn 3\n")
	g.now = g.now.Add(time.Hour)
	g.do(group.KindPost, "job=a x= instance=i", "n 4\n")
	g.do(group.KindFail, "job=a x= instance=i", "")
	g.do(group.KindPut, "job=b", "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 2\npush_failure_time_seconds 7\n")
	g.do(group.KindPut, "job=c", "")
	g.do(group.KindFail, "job=d", "")
	return g.groups()
}

// importAll applies the changes of a file to a new store.
func importAll(t *testing.T, groups []Group) []*group.Group {
	t.Helper()
	s := newRig(t)
	s.now = time.UnixMilli(1_800_000_000_000)
	for _, g := range groups {
		for _, err := range g.Skipped {
			t.Errorf("%s: %v", g.Labels, err)
		}
		for _, c := range g.Changes {
			s.apply(c)
		}
	}
	return s.groups()
}

// printFile prints what a view and the API show of groups, and nothing of when
// they came into this process.
func printFile(groups []*group.Group) map[string]string {
	out := map[string]string{}
	for _, g := range groups {
		var b strings.Builder
		for _, m := range g.Members {
			b.WriteString(time.Unix(0, m.Part.Pushed).UTC().Format(time.RFC3339Nano) + " " + m.DTO(g.Labels).String() + "\n")
		}
		fmt.Fprintf(&b, "pushed %d failed %d shows %v\n", g.Push, g.Fail, g.Shows())
		out[g.Labels.String()] = b.String()
	}
	return out
}

func TestFileRoundTrip(t *testing.T) {
	before := someGroups(t)
	var file bytes.Buffer
	if err := Write(&file, before); err != nil {
		t.Fatal(err)
	}
	groups, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(printFile(before), printFile(importAll(t, groups))); diff != "" {
		t.Errorf("state (-before +after):\n%s", diff)
	}
}

// TestFileNaNCounts: counts that are no number come back as such.
func TestFileNaNCounts(t *testing.T) {
	mf := &dto.MetricFamily{}
	const text = `name:"h" type:HISTOGRAM metric{histogram{sample_count_float:nan sample_sum:1 bucket{cumulative_count:3 upper_bound:1} bucket{cumulative_count_float:nan upper_bound:2}}}`
	if err := prototext.Unmarshal([]byte(text), mf); err != nil {
		t.Fatal(err)
	}
	p, err := group.FromDTO([]*dto.MetricFamily{mf}, group.BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t)
	g.apply(group.Change{Kind: group.KindPut, Labels: group.NewLabels([]group.Label{{Name: "job", Value: "a"}}), Part: p})
	before := g.groups()
	var file bytes.Buffer
	if err := Write(&file, before); err != nil {
		t.Fatal(err)
	}
	groups, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	after := importAll(t, groups)
	if diff := gocmp.Diff(printFile(before), printFile(after)); diff != "" {
		t.Errorf("state (-before +after):\n%s", diff)
	}
	if got := after[0].Members[0].DTO(nil).String(); strings.Count(got, "nan") != 2 {
		t.Errorf("got %s, want two counts that are no number", got)
	}
}

func TestFileDamaged(t *testing.T) {
	var file bytes.Buffer
	if err := Write(&file, someGroups(t)); err != nil {
		t.Fatal(err)
	}
	for n := range file.Len() {
		if _, err := Read(bytes.NewReader(file.Bytes()[:n])); err == nil {
			t.Fatalf("the first %d of %d bytes were accepted", n, file.Len())
		}
	}
}

// TestFileSkips: what this gateway refuses does not take the rest of
// its group along.
func TestFileSkips(t *testing.T) {
	mf := func(text string) pgTimedFamily {
		f := &dto.MetricFamily{}
		if err := prototext.Unmarshal([]byte(text), f); err != nil {
			t.Fatal(err)
		}
		return pgTimedFamily{Timestamp: time.Unix(5, 0), GobbableMetricFamily: &pgFamily{read: f}}
	}
	g := pgGroup{Labels: map[string]string{"job": "a"}, Metrics: map[string]pgTimedFamily{
		"good":             mf(`name:"good" type:GAUGE metric{gauge{value:1}}`),
		"bad":              mf(`name:"bad" type:GAUGE_HISTOGRAM metric{gauge{value:1}}`),
		"nothing":          {},
		group.PushTimeName: mf(`name:"push_time_seconds" type:GAUGE metric{gauge{value:6.5}}`),
		"other time name":  mf(`name:"push_time_seconds" type:GAUGE`),
	}}
	got := g.read()
	if len(got.Changes) != 1 || got.Changes[0].Push != 6.5e9 || len(got.Skipped) != 1 {
		t.Fatalf("got %+v", got)
	}
	if n := len(got.Changes[0].Part.Shape.Families()); n != 1 {
		t.Errorf("%d families were taken over", n)
	}
}

func FuzzRead(f *testing.F) {
	var file bytes.Buffer
	if err := Write(&file, someGroups(f)); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		groups, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		s := state.New(state.Options{CheckConsistency: true})
		for _, g := range groups {
			for _, c := range g.Changes {
				_ = s.Apply(c, time.Unix(1, 0), func(*group.Record) {})
			}
		}
	})
}

// TestFileGolden reads what Pushgateway 1.5.1 wrote.
func TestFileGolden(t *testing.T) {
	file, err := os.Open(filepath.Join("testdata", "pushgateway-1.5.1.gob"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	groups, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	checkPushed(t, importAll(t, groups))
}

// checkPushed checks for what the golden file's Pushgateway got: a push to
// job/a/x@base64/=, a refused one to job/b/instance/i, one to job/b/instance/j.
func checkPushed(t *testing.T, groups []*group.Group) {
	t.Helper()
	got := map[string][]string{}
	for _, g := range groups {
		for _, m := range g.Members {
			got[g.Labels.String()] = append(got[g.Labels.String()], m.Of().Name)
		}
		if len(g.Members) == 0 {
			got[g.Labels.String()] = nil
		}
		if g.Push == 0 && g.Fail == 0 {
			t.Errorf("%s has no push times", g.Labels)
		}
	}
	want := map[string][]string{
		`{job="a",x=""}`:         {"h", "m"},
		`{instance="i",job="b"}`: nil,
		`{instance="j",job="b"}`: {"m", "s"},
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}
