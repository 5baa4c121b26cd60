package state

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/pushbridge/pushbridge/group"
)

// rig drives a store by hand.
type rig struct {
	t   *testing.T
	s   *Store
	now time.Time
	log []*group.Record // everything enqueued
	seq int             // how many of log are committed
}

func newRig(t *testing.T, o Options) *rig {
	return &rig{t: t, s: New(o), now: time.UnixMilli(1000)}
}

func (g *rig) enqueue(r *group.Record) { g.log = append(g.log, r) }

func (g *rig) try(kind group.Kind, labels, text string) error {
	g.t.Helper()
	var p *group.Part
	if text != "" {
		p = part(g.t, text)
	}
	return g.s.Apply(group.Change{Kind: kind, Labels: labelsOf(labels), Part: p}, g.now, g.enqueue)
}

func (g *rig) do(kind group.Kind, labels, text string) *group.Record {
	g.t.Helper()
	if err := g.try(kind, labels, text); err != nil {
		g.t.Fatalf("%s: %v", labels, err)
	}
	return g.log[len(g.log)-1]
}

func (g *rig) commit() {
	for ; g.seq < len(g.log); g.seq++ {
		g.s.Fold(g.log[g.seq], uint64(g.seq+1))
	}
}

// view prints what a view shows of a group.
func view(s *Store, labels string) string {
	g := s.Lookup(labelsOf(labels))
	if g == nil {
		return "absent"
	}
	var b strings.Builder
	for _, m := range g.Members {
		if _, err := expfmt.MetricFamilyToText(&b, m.DTO(g.Labels)); err != nil {
			panic(err)
		}
	}
	fmt.Fprintf(&b, "push %d fail %d", g.Push/1e6, g.Fail/1e6)
	return b.String()
}

func ended(r *group.Record) []string {
	e := endedSeries(r)
	slices.Sort(e)
	return e
}

// TestLifeOfAGroup goes through the rows of docs/compatibility.md on groups and
// families.
func TestLifeOfAGroup(t *testing.T) {
	g := newRig(t, Options{CheckConsistency: true})
	rows := []struct {
		name       string
		kind       group.Kind
		text, want string
		ended      []string
	}{
		{"PUT", group.KindPut, "a 1\nb{x=\"1\"} 2\n", "# TYPE a untyped\na{instance=\"\",job=\"j\"} 1\n# TYPE b untyped\nb{instance=\"\",job=\"j\",x=\"1\"} 2\npush 1000 fail 0", nil},
		{"POST replaces by name", group.KindPost, "b 3\nc 4\n", "# TYPE a untyped\na{instance=\"\",job=\"j\"} 1\n# TYPE b untyped\nb{instance=\"\",job=\"j\"} 3\n# TYPE c untyped\nc{instance=\"\",job=\"j\"} 4\npush 1010 fail 0", []string{`b{job="j",x="1"}`}},
		{"POST may change a type", group.KindPost, "# TYPE c summary\nc_sum 1\nc_count 2\n", "# TYPE a untyped\na{instance=\"\",job=\"j\"} 1\n# TYPE b untyped\nb{instance=\"\",job=\"j\"} 3\n# TYPE c summary\nc_sum{instance=\"\",job=\"j\"} 1\nc_count{instance=\"\",job=\"j\"} 2\npush 1020 fail 0", []string{`c{job="j"}`}},
		{"a refused push", group.KindFail, "", "# TYPE a untyped\na{instance=\"\",job=\"j\"} 1\n# TYPE b untyped\nb{instance=\"\",job=\"j\"} 3\n# TYPE c summary\nc_sum{instance=\"\",job=\"j\"} 1\nc_count{instance=\"\",job=\"j\"} 2\npush 1020 fail 1030", nil},
		{"an empty POST", group.KindPost, "", "# TYPE a untyped\na{instance=\"\",job=\"j\"} 1\n# TYPE b untyped\nb{instance=\"\",job=\"j\"} 3\n# TYPE c summary\nc_sum{instance=\"\",job=\"j\"} 1\nc_count{instance=\"\",job=\"j\"} 2\npush 1040 fail 1030", nil},
		{"PUT ends the rest", group.KindPut, "c_count 1\n", "# TYPE c_count untyped\nc_count{instance=\"\",job=\"j\"} 1\npush 1050 fail 1030", []string{`a{job="j"}`, `b{job="j"}`, `c_count{job="j"}`, `c_sum{job="j"}`}},
		{"labels of the URL win", group.KindPut, "c{job=\"x\",instance=\"i\",y=\"\"} 1\n", "# TYPE c untyped\nc{instance=\"i\",job=\"j\",y=\"\"} 1\npush 1060 fail 1030", []string{`c_count{job="j"}`}},
		{"pushed failure time", group.KindPost, "push_failure_time_seconds{z=\"1\"} 5\npush_time_seconds 7\n", "# TYPE c untyped\nc{instance=\"i\",job=\"j\",y=\"\"} 1\n# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds{instance=\"\",job=\"j\",z=\"1\"} 5\npush 1070 fail 1030", []string{`push_failure_time_seconds{job="j"}`}},
		{"stays over a PUT", group.KindPut, "c 1\n", "# TYPE c untyped\nc{instance=\"\",job=\"j\"} 1\n# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds{instance=\"\",job=\"j\",z=\"1\"} 5\npush 1080 fail 1030", []string{`c{instance="i",job="j"}`}},
		{"until a refused push", group.KindFail, "", "# TYPE c untyped\nc{instance=\"\",job=\"j\"} 1\npush 1080 fail 1090", []string{`push_failure_time_seconds{job="j",z="1"}`}},
		{"an empty PUT", group.KindPut, "", "push 1100 fail 1090", []string{`c{job="j"}`}},
		{"DELETE", group.KindDelete, "", "absent", []string{`push_failure_time_seconds{job="j"}`, `push_time_seconds{job="j"}`}},
		{"a refused push makes a group", group.KindFail, "", "push 0 fail 1120", nil},
	}
	for _, row := range rows {
		r := g.do(row.kind, "job=j", row.text)
		g.commit()
		if diff := gocmp.Diff(row.want, view(g.s, "job=j")); diff != "" {
			t.Errorf("%s: view (-want +got):\n%s", row.name, diff)
		}
		if diff := gocmp.Diff(row.ended, ended(r)); diff != "" {
			t.Errorf("%s: ended (-want +got):\n%s", row.name, diff)
		}
		g.now = g.now.Add(10 * time.Millisecond)
	}
	if err := g.try(group.KindDelete, "job=absent", ""); !errors.Is(err, group.ErrAbsent) {
		t.Errorf("DELETE of an absent group: %v", err)
	}
}

func TestEnded(t *testing.T) {
	const h1 = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 1\nh_count 3\n"
	rows := []struct {
		name, before, after string
		want                []string
	}{
		{"nothing", "a 1\n", "a 2\n", nil},
		{"a bound in another spelling", h1, strings.ReplaceAll(h1, `"1"`, `"1.0"`), nil},
		{"bounds", h1, strings.ReplaceAll(h1, `"2"`, `"3"`), []string{`h_bucket{job="j",le="2.0"}`}},
		{"the +Inf bucket is always there", h1, "# TYPE h histogram\nh_sum 1\nh_count 3\n", []string{`h_bucket{job="j",le="1.0"}`, `h_bucket{job="j",le="2.0"}`}},
		{"and ends with the rest", "# TYPE h histogram\nh_sum 1\nh_count 3\n", "a 1\n", []string{`h_bucket{job="j",le="+Inf"}`, `h_count{job="j"}`, `h_sum{job="j"}`}},
		{"components of another type", h1, "h_bucket{le=\"1.0\"} 1\nh_sum 1\n", []string{`h_bucket{job="j",le="+Inf"}`, `h_bucket{job="j",le="1.0"}`, `h_bucket{job="j",le="2.0"}`, `h_count{job="j"}`, `h_sum{job="j"}`}},
		{"and the other way", "h_bucket{le=\"1.0\"} 1\nh_bucket{le=\"1\"} 1\n", h1, []string{`h_bucket{job="j",le="1"}`, `h_bucket{job="j",le="1.0"}`}},
		{"type", "a 1\n", "# TYPE a gauge\na 1\n", []string{`a{job="j"}`}},
		{"an empty label", "a{x=\"\"} 1\n", "a 1\n", nil},
		{"an explicit timestamp before", "a 1 5\nb 1\n", "c 1\n", []string{`b{job="j"}`}},
		{"an explicit timestamp after", "a 1\n", "a 1 5\n", nil},
		{"quantiles", "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\"1\"} 1\ns_sum 1\ns_count 1\n", "# TYPE s gauge\ns{quantile=\"1.0\"} 1\n", []string{`s_count{job="j"}`, `s_sum{job="j"}`, `s{job="j",quantile="0.5"}`, `s{job="j",quantile="1.0"}`}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, Options{})
			g.do(group.KindPut, "job=j", row.before)
			r := g.do(group.KindPut, "job=j", row.after)
			if diff := gocmp.Diff(row.want, ended(r)); diff != "" {
				t.Errorf("ended (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConflicts(t *testing.T) {
	const s1 = "# TYPE s summary\ns_sum 1\ns_count 1\n"
	rows := []struct{ name, other, group, text, want string }{
		{"same series", "a 1\n", "job=j x=", "a{x=\"\"} 1\n", ""},
		{"instance is no difference", "a{instance=\"i\"} 1\n", "job=j instance=i", "a 1\n", `metric a{instance="i",job="j"} exists already with the same name and labels in group {job="j"}`},
		{"type", "a 1\n", "job=k", "# TYPE a gauge\na 1\n", `metric family "a" is a gauge, but a untyped of that name exists in group {job="j"}`},
		{"component of another", s1, "job=k", "s_count 1\n", `metric family "s_count" collides with summary "s" in group {job="j"}`},
		{"component is another", "s_sum 1\n", "job=k", s1, `metric family "s" is a summary and collides with metric family "s_sum" in group {job="j"}`},
		{"a summary has no buckets", s1, "job=k", "s_bucket 1\n", ""},
		{"within the push", "z 1\n", "job=k", "s_count 1\n# TYPE s summary\ns_sum 1\n", `metric family "s" is a summary and collides with metric family "s_count" in group {job="k"}`},
		{"twice in the push", "z 1\n", "job=k", "a 1\na{job=\"x\"} 1\n", `metric a{instance="",job="k"}: was pushed twice with the same name and labels`},
		{"own times of groups", "z 1\n", "job=j instance=", "a 1\n", `metric push_time_seconds{instance="",job="j"} of this group exists already with the same labels in group {job="j"}`},
		{"failure time of another type", "z 1\n", "job=k", "# TYPE push_failure_time_seconds counter\npush_failure_time_seconds 1\n", `metric family "push_failure_time_seconds" is a counter, but a gauge of that name exists`},
		{"the gateway's own name", "z 1\n", "job=k", "own 1\n", `metric family "own" is a untyped, but a gauge of that name exists`},
		{"the gateway's own name and type", "z 1\n", "job=k", "# TYPE own gauge\nown 1\n", ""},
		{"the gateway's own series", "z 1\n", "job=own", "# TYPE own gauge\nown 1\n", `metric own{instance="",job="own"} exists already with the same name and labels`},
		{"quantile in the grouping key", "z 1\n", "job=k quantile=1", s1, `metric family "s": a summary must not have an explicit "quantile" label`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, Options{CheckConsistency: true, OwnFamilies: func() []OwnFamily {
				return []OwnFamily{{Name: "own", Type: group.Gauge, Series: []group.Labels{labelsOf("job=own")}}}
			}})
			g.do(group.KindPut, "job=j", row.other)
			queued, index := len(g.log), printIndex(g.s, &g.s.pending.index)
			err := g.try(group.KindPut, row.group, row.text)
			if row.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || err.Error() != row.want {
				t.Errorf("got  %v\nwant %s", err, row.want)
			}
			if len(g.log) != queued || printIndex(g.s, &g.s.pending.index) != index {
				t.Error("a refused push left a trace")
			}
			unchecked := newRig(t, Options{})
			unchecked.do(group.KindPut, "job=j", row.other)
			if err := unchecked.try(group.KindPut, row.group, row.text); err != nil && !strings.Contains(row.want, "explicit") {
				t.Errorf("unchecked: %v", err)
			}
			if n := unchecked.s.LiveConflicts(); n == 0 && !strings.Contains(row.want, "explicit") && !strings.Contains(row.want, "own") {
				t.Error("unchecked, no conflict is counted")
			}
		})
	}
}

// TestTimestamps: promise P2 between groups, and one timestamp for a wipe.
func TestTimestamps(t *testing.T) {
	g := newRig(t, Options{CheckConsistency: true})
	times := func(from int) []int64 {
		var out []int64
		for _, r := range g.log[from:] {
			out = append(out, r.Time)
		}
		return out
	}
	g.do(group.KindPut, "job=j", "a 1\n")
	g.do(group.KindPut, "job=j", "a 1\n")
	g.do(group.KindPut, "job=j", "a 1\nb 1\n")
	g.do(group.KindDelete, "job=j", "")
	g.do(group.KindPut, "job=j instance=i", "a{instance=\"\"} 1\n")
	g.now = g.now.Add(-500 * time.Millisecond)
	g.do(group.KindPut, "job=j instance=i", "a 2\n")
	g.do(group.KindPut, "job=k", "a 2\n")
	if diff := gocmp.Diff([]int64{1000, 1001, 1002, 1004, 1005, 1006, g.now.UnixMilli()}, times(0)); diff != "" {
		t.Errorf("timestamps (-want +got):\n%s", diff)
	}
	n := len(g.log)
	if got := g.s.Wipe(g.now, g.enqueue); got != 2 {
		t.Errorf("%d groups wiped", got)
	}
	if diff := gocmp.Diff([]int64{1008, 1008}, times(n)); diff != "" {
		t.Errorf("timestamps of a wipe (-want +got):\n%s", diff)
	}
}

func TestTimestampsAfterRestart(t *testing.T) {
	g := newRig(t, Options{CheckConsistency: true})
	refill(t, g.s, 5000, func() error { return nil })
	if r := g.do(group.KindPut, "job=j", "a 1\n"); r.Time != 5001 {
		t.Errorf("the first record is stamped %d", r.Time)
	}
	g.s.ResetClock()
	if r := g.do(group.KindPut, "job=j", "a 1\n"); r.Time != 1000 {
		t.Errorf("after a reset it is stamped %d", r.Time)
	}
}

func TestAbort(t *testing.T) {
	g := newRig(t, Options{CheckConsistency: true})
	g.do(group.KindPut, "job=j", "a 1\n")
	g.commit()
	g.do(group.KindPut, "job=j", "b 1\n")
	g.do(group.KindPut, "job=k", "c 1\n")
	if old := g.log[len(g.log)-1].Generation; old != 0 {
		t.Errorf("generation %d before anything has failed", old)
	}
	g.s.Abort(7)
	g.log = g.log[:g.seq]
	if got := view(g.s, "job=j") + view(g.s, "job=k"); !strings.HasPrefix(got, "# TYPE a") || !strings.HasSuffix(got, "absent") {
		t.Errorf("state is %s", got)
	}
	if r := g.do(group.KindPut, "job=j", "a 1\n"); r.Time != 1003 || len(r.Ended) > 0 {
		t.Errorf("the next record has time %d and ends %v", r.Time, r.Ended)
	} else if r.Generation != 7 {
		t.Errorf("generation %d after everything has failed", r.Generation)
	}
	g.s.Abort(7) // for the next record that has failed: nothing is left to be taken back
	if r := g.do(group.KindPut, "job=k", "c 1\n"); r.Time != 1001 {
		t.Errorf("the group that was not kept is stamped %d now", r.Time)
	}
}

func TestUnsent(t *testing.T) {
	g := newRig(t, Options{CheckConsistency: true})
	g.do(group.KindPut, "job=j", "m{x=\"\"} 1\nm 2\n")
	if r := g.log[0]; !slices.Equal(r.Part.Unsent, []uint32{1}) {
		t.Errorf("unsent %v, want the second metric", r.Part.Unsent)
	}
	g.do(group.KindPut, "job=j", "m 2\n")
	r := g.do(group.KindPut, "job=j x=", "m 3\n")
	if !slices.Equal(r.Part.Unsent, []uint32{0}) || r.Hide != group.OwnPushTime|group.OwnFailTime {
		t.Errorf("unsent %v, hidden %b, want all of a group that differs in an empty label only", r.Part.Unsent, r.Hide)
	}
	if r.Samples() != 1 {
		t.Errorf("%d samples", r.Samples())
	}
	del := g.do(group.KindDelete, "job=j", "")
	r = g.do(group.KindPut, "job=j x=", "m 3\n")
	if r.Part.Unsent != nil || r.Hide != 0 || r.Time <= del.Time {
		t.Errorf("unsent %v, hidden %b at %d, after the owner ended at %d", r.Part.Unsent, r.Hide, r.Time, del.Time)
	}
}

func TestLimits(t *testing.T) {
	g := newRig(t, Options{CheckConsistency: true, MaxGroups: 2, MaxSeriesPerGroup: 3})
	g.do(group.KindPut, "job=a", "m 1\nn 1\n")
	g.do(group.KindPut, "job=b", "m 1\n")
	rows := []struct {
		kind        group.Kind
		group, text string
		refused     bool
	}{
		{group.KindPut, "job=c", "m 1\n", true},
		{group.KindFail, "job=c", "", true},
		{group.KindPost, "job=a", "o 1\np 1\n", true},
		{group.KindPost, "job=a", "n{x=\"1\"} 1\nn{x=\"2\"} 1\n", false},
		{group.KindPut, "job=a", "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n", true},
		{group.KindPut, "job=a", "m 1\nn 1\no 1\n", false},
	}
	for _, row := range rows {
		if err := g.try(row.kind, row.group, row.text); errors.Is(err, group.ErrLimit) != row.refused {
			t.Errorf("%s %q: %v", row.group, row.text, err)
		}
	}
}

func TestFailedGroups(t *testing.T) {
	g := newRig(t, Options{CheckConsistency: true, MaxFailedGroups: 3})
	for i := range 5 {
		g.now = g.now.Add(time.Second)
		g.do(group.KindFail, fmt.Sprintf("job=j%d", i), "")
	}
	g.commit()
	if got := len(g.s.Groups()); got != 3 || view(g.s, "job=j1") != "absent" || view(g.s, "job=j2") == "absent" {
		t.Errorf("%d groups, j1 %s", got, view(g.s, "job=j1"))
	}
	g.do(group.KindPut, "job=j2", "a 1\n")
	g.now = g.now.Add(365 * 24 * time.Hour)
	if n := g.s.Expire(g.now, g.enqueue); n != 0 {
		t.Errorf("%d groups ended because of their age", n)
	}
	for i := range 3 {
		g.do(group.KindFail, fmt.Sprintf("job=k%d", i), "")
	}
	g.commit()
	for _, l := range []string{"job=j3", "job=j4"} {
		if got := view(g.s, l); got != "absent" {
			t.Errorf("%s is %s", l, got)
		}
	}
	if got := len(g.s.Groups()); got != 4 {
		t.Errorf("%d groups, want j2 and three that failed", got)
	}
}

func TestExpire(t *testing.T) {
	g := newRig(t, Options{CheckConsistency: true})
	push := func(labels string, ttl time.Duration) {
		t.Helper()
		if err := g.s.Apply(group.Change{Kind: group.KindPut, Labels: labelsOf(labels), Part: part(t, "m 1\n"), TTL: ttl}, g.now, g.enqueue); err != nil {
			t.Fatal(err)
		}
	}
	push("job=a", time.Minute)
	push("job=b", time.Minute)
	push("job=c", 2*time.Minute)
	push("job=d", 0)
	push("job=ages", math.MaxInt64) // nanoseconds since 1970 do not reach as far
	g.commit()
	g.now = g.now.Add(time.Minute - 1)
	push("job=b", time.Minute)
	if n := g.s.Expire(g.now, g.enqueue); n != 0 {
		t.Fatalf("%d expired too early", n)
	}
	g.now = g.now.Add(1)
	n := len(g.log)
	if n := g.s.Expire(g.now, g.enqueue); n != 1 {
		t.Fatalf("%d expired, want a", n)
	}
	if diff := gocmp.Diff([]string{`m{job="a"}`, `push_failure_time_seconds{job="a"}`, `push_time_seconds{job="a"}`}, ended(g.log[n])); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
	g.now = g.now.Add(time.Hour)
	push("job=c", 0)
	if n := g.s.Expire(g.now, g.enqueue); n != 1 {
		t.Errorf("%d expired, want b: a push without a TTL keeps c", n)
	}
	g.commit()
	if got := len(g.s.Groups()); got != 3 {
		t.Errorf("%d groups left", got)
	}
}

func TestRefresh(t *testing.T) {
	g := newRig(t, Options{CheckConsistency: true})
	g.do(group.KindPut, "job=a", "m 1\nn 1\n")
	g.do(group.KindPut, "job=b", "m 1 77\nn 1\n")
	g.do(group.KindFail, "job=c", "")
	g.now = g.now.Add(time.Minute)
	g.do(group.KindPost, "job=a", "n 2\n")
	g.commit()
	var emitted []string
	refresh := func() {
		emitted = nil
		for slot := range RefreshSlots {
			g.s.Refresh(slot, time.Minute, g.now, func(r *group.Record) {
				emitted = append(emitted, fmt.Sprintf("clock %d", r.Time))
			}, func(r *group.Record) {
				var names []string
				for _, m := range r.Members {
					names = append(names, m.Of().Name)
				}
				emitted = append(emitted, fmt.Sprintf("%s %d %v", r.Labels, r.Time, names))
			})
		}
	}
	refresh()
	want := []string{
		"clock 61001", `{job="a"} 61001 [m]`, // n was pushed just now
		"clock 61000", `{job="c"} 61000 []`, // its own series only
		"clock 61000", `{job="b"} 61000 [n]`, // m has a time of its own
	}
	if diff := gocmp.Diff(want, emitted); diff != "" {
		t.Errorf("first round (-want +got):\n%s", diff)
	}
	g.now = g.now.Add(time.Minute)
	refresh()
	if len(emitted) != 6 || emitted[1] != `{job="a"} 121000 [m n]` {
		t.Errorf("second round: %v", emitted)
	}
	g.now = g.now.Add(50 * time.Second) // turns may come earlier than an interval after each other
	refresh()
	if len(emitted) != 6 {
		t.Errorf("third round, early: %v", emitted)
	}
	if r := g.do(group.KindPut, "job=a", "m 1\n"); r.Time != 171002 {
		t.Errorf("a push after the refresh is stamped %d", r.Time)
	}
}

func TestRestate(t *testing.T) {
	g := newRig(t, Options{CheckConsistency: true})
	g.do(group.KindPut, "job=a", "m 1\n")
	g.do(group.KindPut, "job=b", "m 1\n")
	records := g.s.Restate(g.now, g.enqueue)
	if len(g.log) != 3 || len(records) != 2 || g.log[2].Kind != group.KindClock || g.log[2].Time != 1001 {
		t.Errorf("%d enqueued, %d records, clock %+v", len(g.log), len(records), g.log[2])
	}
	for _, r := range records {
		if r.Kind != group.KindRefresh || r.Time != 1001 || len(r.Members) != 1 {
			t.Errorf("record %+v", r)
		}
	}
}

// TestConcurrent is for the race detector: everything at once.
func TestConcurrent(t *testing.T) {
	s := New(Options{CheckConsistency: true})
	queue := make(chan *group.Record, 10_000)
	enqueue := func(r *group.Record) { queue <- r }
	var committer, clients sync.WaitGroup
	committer.Go(func() {
		seq := uint64(0)
		for r := range queue {
			seq++
			s.Fold(r, seq)
		}
	})
	for i := range 4 {
		clients.Go(func() {
			for n := range 200 {
				l := labelsOf(fmt.Sprintf("job=j%d", (i+n)%3))
				now := time.UnixMilli(int64(n))
				p, _ := group.FromDTO([]*dto.MetricFamily{family(t, fmt.Sprintf(`name:"m" type:GAUGE metric{label{name:"n" value:"%d"} gauge{value:1}}`, n%5))}, group.BuildOptions{})
				switch n % 10 {
				case 7:
					s.Wipe(now, enqueue)
				case 8:
					s.Refresh(n%RefreshSlots, 0, now, enqueue, func(*group.Record) {})
				case 9:
					_ = s.Apply(group.Change{Kind: group.KindDelete, Labels: l}, now, enqueue)
				default:
					_ = s.Apply(group.Change{Kind: group.KindPost, Labels: l, Part: p}, now, enqueue)
				}
				for _, g := range s.Groups() {
					for _, m := range g.Members {
						m.DTO(g.Labels)
					}
				}
				s.View()
				s.Lookup(l)
			}
		})
	}
	clients.Wait()
	close(queue)
	committer.Wait()
	if got, want := printGroups(s.Groups()), printGroups(pendingGroups(s)); got != want {
		t.Errorf("committed state\n%s\nis not the pending one\n%s", got, want)
	}
}

// TestGroupsIsOneMoment: a series that moves from one group to another is never
// seen twice.
func TestGroupsIsOneMoment(t *testing.T) {
	g := newRig(t, Options{CheckConsistency: true})
	groups := []string{"job=j", "job=j instance=i"}
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if n := len(g.s.Groups()); n > 1 {
				t.Errorf("%d groups at once", n)
				return
			}
		}
	})
	for i := range 2000 {
		g.do(group.KindPut, groups[i%2], "m 1\n")
		g.do(group.KindDelete, groups[i%2], "")
		g.commit()
	}
	close(stop)
	reader.Wait()
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	now := time.UnixMilli(1000)
	g := newRig(t, Options{CheckConsistency: true, Registerer: reg, Now: func() time.Time { return now }})
	g.do(group.KindPut, "job=a", "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\nm 1\n")
	g.do(group.KindPut, "job=b", "")
	g.do(group.KindFail, "job=b", "")
	g.commit()
	now = time.UnixMilli(-500)
	want := `
# HELP pushbridge_group_clock_ahead_seconds How far the newest timestamp given out is ahead of the clock.
# TYPE pushbridge_group_clock_ahead_seconds gauge
pushbridge_group_clock_ahead_seconds 1.501
# HELP pushbridge_group_groups Groups stored.
# TYPE pushbridge_group_groups gauge
pushbridge_group_groups 2
# HELP pushbridge_group_refused_pushes_total Pushes that were refused and set the failure time of their group.
# TYPE pushbridge_group_refused_pushes_total counter
pushbridge_group_refused_pushes_total 1
# HELP pushbridge_group_series Series of all groups, those not yet on disk included.
# TYPE pushbridge_group_series gauge
pushbridge_group_series 5
`
	err := testutil.GatherAndCompare(reg, strings.NewReader(want), "pushbridge_group_clock_ahead_seconds",
		"pushbridge_group_groups", "pushbridge_group_refused_pushes_total", "pushbridge_group_series")
	if err != nil {
		t.Error(err)
	}
}

// TestConflictsWithOwnAfterRestart: a restored group that collides with the
// gateway's own metrics is found before anything is pushed.
func TestConflictsWithOwnAfterRestart(t *testing.T) {
	g := newRig(t, Options{})
	g.do(group.KindPut, "job=j", "own 1\n")
	s := New(Options{CheckConsistency: true, OwnFamilies: func() []OwnFamily { return []OwnFamily{{Name: "own", Type: group.Gauge}} }})
	refill(t, s, 0, func() error {
		s.Fold(g.log[0], 1)
		return nil
	})
	if n := s.LiveConflicts(); n != 0 { // /metrics does not fail
		t.Errorf("%d conflicts", n)
	}
	want := []HiddenFamily{{Name: "own", Type: group.Untyped, Groups: 1, Group: labelsOf("job=j")}}
	if diff := gocmp.Diff(want, s.Hidden()); diff != "" {
		t.Errorf("hidden (-want +got):\n%s", diff)
	}
	again := func(text string) error {
		return s.Apply(group.Change{Kind: group.KindPut, Labels: labelsOf("job=j"), Part: part(t, text)}, g.now, func(*group.Record) {})
	}
	if _, ok := errors.AsType[*group.ConflictError](again("own 2\n")); !ok {
		t.Error("the family may be pushed again")
	}
	if err := again("# TYPE own gauge\nown 2\n"); err != nil {
		t.Error(err)
	}
	if got := s.Hidden(); len(got) > 0 {
		t.Errorf("still hidden: %v", got)
	}
}

// TestOwnNames says what a view could not have beside the gateway's own metrics.
func TestOwnNames(t *testing.T) {
	own := OwnNames{}
	own.Add("g", group.Gauge)
	own.Add("h", group.Histogram)
	own.Add("s", group.Summary)
	own.Add("x_count", group.Counter)
	for _, row := range []struct {
		name string
		typ  group.Type
		want bool
	}{
		{"g", group.Gauge, false},
		{"g", group.Counter, true},
		{"g_count", group.Counter, false},
		{"h", group.Histogram, false},
		{"h_bucket", group.Gauge, true},
		{"h_sum", group.Counter, true},
		{"s_bucket", group.Gauge, false},
		{"s_count", group.Counter, true},
		{"x", group.Summary, true},
		{"x", group.Gauge, false},
		{"other", group.Gauge, false},
	} {
		if got := own[row.name].Has(row.typ); got != row.want {
			t.Errorf("%s of type %s collides: %v", row.name, row.typ, got)
		}
	}
}

// TestHugePushKeepsNoScratch: one huge push must not make the process bigger for
// ever.
func TestHugePushKeepsNoScratch(t *testing.T) {
	g := newRig(t, Options{CheckConsistency: true})
	b := group.NewBuilder()
	b.Family("m", group.Gauge)
	for i := range maxScratch + 1 {
		b.Metric(group.FormSingle, []group.Label{{Name: "i", Value: fmt.Sprint(i)}}, nil, math.Float64bits(1))
	}
	if err := g.s.Apply(group.Change{Kind: group.KindPut, Labels: labelsOf("job=j"), Part: b.Part()}, g.now, g.enqueue); err != nil {
		t.Fatal(err)
	}
	if n := g.s.checker.scratch(); n > 0 {
		t.Errorf("scratch space for %d elements is kept", n)
	}
}
