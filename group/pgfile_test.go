package group

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
)

// importAll applies the changes of a file to a new store.
func importAll(t *testing.T, groups []PushgatewayGroup) *Store {
	t.Helper()
	s := NewStore(Options{CheckConsistency: true})
	var log []*Record
	for _, g := range groups {
		for _, err := range g.Skipped {
			t.Errorf("%s: %v", g.Labels, err)
		}
		for _, c := range g.Changes {
			if err := s.Apply(c, time.UnixMilli(1_800_000_000_000), func(r *Record) { log = append(log, r) }); err != nil {
				t.Errorf("%s: %v", g.Labels, err)
			}
		}
	}
	for i, r := range log {
		s.Commit(r, uint64(i+1))
	}
	return s
}

// printFile prints what a view and the API show of groups, and nothing of when
// they came into this process.
func printFile(groups []*Group) map[string]string {
	out := map[string]string{}
	for _, g := range groups {
		var b strings.Builder
		for _, m := range g.Members {
			b.WriteString(time.Unix(0, m.Part.Pushed).UTC().Format(time.RFC3339Nano) + " " + mfString(m.DTO(g.Labels)) + "\n")
		}
		for _, mf := range g.OwnDTO() {
			b.WriteString(mfString(mf) + "\n")
		}
		out[g.Labels.String()] = b.String()
	}
	return out
}

func mfString(mf *dto.MetricFamily) string { return mf.String() }

func TestPushgatewayFileRoundTrip(t *testing.T) {
	g := newRig(t, Options{CheckConsistency: true})
	g.now = time.Unix(1_700_000_000, 123_456_789)
	g.do(KindPut, "job=a x= instance=i", "m{l=\"1\",instance=\"i\"} 1\n# HELP n some\\nhelp\n# TYPE n counter\nn 3\n")
	g.now = g.now.Add(time.Hour)
	g.do(KindPost, "job=a x= instance=i", "n 4\n")
	g.do(KindFail, "job=a x= instance=i", "")
	g.do(KindPut, "job=b", "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 2\npush_failure_time_seconds 7\n")
	g.do(KindPut, "job=c", "")
	g.do(KindFail, "job=d", "")
	g.commit()
	var file bytes.Buffer
	if err := WritePushgatewayFile(&file, g.s.Groups()); err != nil {
		t.Fatal(err)
	}
	groups, err := ReadPushgatewayFile(&file)
	if err != nil {
		t.Fatal(err)
	}
	again := importAll(t, groups)
	if diff := gocmp.Diff(printFile(g.s.Groups()), printFile(again.Groups())); diff != "" {
		t.Errorf("state (-before +after):\n%s", diff)
	}
}

func TestPushgatewayFileDamaged(t *testing.T) {
	var file bytes.Buffer
	if err := WritePushgatewayFile(&file, snapshotView(t).Groups); err != nil {
		t.Fatal(err)
	}
	for n := range file.Len() {
		if _, err := ReadPushgatewayFile(bytes.NewReader(file.Bytes()[:n])); err == nil {
			t.Fatalf("the first %d of %d bytes were accepted", n, file.Len())
		}
	}
}

// TestPushgatewayFileSkips: what this gateway refuses does not take the rest of
// its group along.
func TestPushgatewayFileSkips(t *testing.T) {
	mf := func(text string) pgTimedFamily {
		f := family(t, text)
		return pgTimedFamily{Timestamp: time.Unix(5, 0), GobbableMetricFamily: &pgFamily{read: f}}
	}
	g := pgGroup{Labels: map[string]string{"job": "a"}, Metrics: map[string]pgTimedFamily{
		"good":            mf(`name:"good" type:GAUGE metric{gauge{value:1}}`),
		"bad":             mf(`name:"bad" type:GAUGE_HISTOGRAM metric{gauge{value:1}}`),
		"nothing":         {},
		PushTimeName:      mf(`name:"push_time_seconds" type:GAUGE metric{gauge{value:6.5}}`),
		"other time name": mf(`name:"push_time_seconds" type:GAUGE`),
	}}
	got := g.read()
	if len(got.Changes) != 1 || got.Changes[0].Push != 6.5e9 || len(got.Skipped) != 1 {
		t.Fatalf("got %+v", got)
	}
	if n := len(got.Changes[0].Part.Shape.Families()); n != 1 {
		t.Errorf("%d families were taken over", n)
	}
}

func FuzzReadPushgatewayFile(f *testing.F) {
	var file bytes.Buffer
	if err := WritePushgatewayFile(&file, snapshotView(f).Groups); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		groups, err := ReadPushgatewayFile(bytes.NewReader(b))
		if err != nil {
			return
		}
		s := NewStore(Options{CheckConsistency: true})
		for _, g := range groups {
			for _, c := range g.Changes {
				_ = s.Apply(c, time.Unix(1, 0), func(*Record) {})
			}
		}
	})
}

// TestPushgatewayFileGolden reads what Pushgateway 1.5.1 wrote.
func TestPushgatewayFileGolden(t *testing.T) {
	file, err := os.Open(filepath.Join("testdata", "pushgateway-1.5.1.gob"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	groups, err := ReadPushgatewayFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := importAll(t, groups)
	checkPushed(t, s.Groups())
}

// checkPushed checks for what the golden file's Pushgateway got: a push to
// job/a/x@base64/=, a refused one to job/b/instance/i, one to job/b/instance/j.
func checkPushed(t *testing.T, groups []*Group) {
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
