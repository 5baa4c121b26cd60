package state

import (
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/group"
)

func matchersOf(t *testing.T, text string) group.Matchers {
	t.Helper()
	m, err := group.ParseMatchers(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestRefreshByRule refreshes each group at its own interval, and at no other.
func TestRefreshByRule(t *testing.T) {
	slow, never := time.Hour, time.Duration(0)
	g := newRig(t, Options{})
	g.s.SetRules(group.NewRules(group.Policy{Refresh: time.Minute}, []group.Rule{
		{Match: []group.Matchers{matchersOf(t, "job=slow")}, Refresh: &slow},
		{Match: []group.Matchers{matchersOf(t, "job=never")}, Refresh: &never},
	}))
	for _, job := range []string{"fast", "slow", "never"} {
		g.do(group.KindPut, "job="+job, "a 1\n")
	}
	g.commit()
	g.now = g.now.Add(2 * time.Hour)
	for interval, want := range map[time.Duration][]string{time.Minute: {"fast"}, time.Hour: {"slow"}, 2 * time.Minute: nil} {
		var got []string
		for slot := range RefreshSlots {
			g.s.Refresh(slot, interval, g.now, g.enqueue, func(r *group.Record) { got = append(got, r.Labels.Job()) })
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("every %v (-want +got):\n%s", interval, diff)
		}
	}
}

// TestOverdue follows the series that says whether a group is overdue: when it
// appears, what it says, and that it ends when the group or the rule does.
func TestOverdue(t *testing.T) {
	day := 24 * time.Hour
	rules := group.NewRules(group.Policy{Refresh: time.Minute}, []group.Rule{{Match: []group.Matchers{matchersOf(t, "job=n")}, Expect: &day}})
	g := newRig(t, Options{})
	g.s.SetRules(rules)
	r := g.do(group.KindPut, "job=n", "a 1\n")
	if !r.ShipsOverdue() || group.Overdue(r.Time*1e6, r.Push, r.Expect) || r.Samples() != 4 {
		t.Errorf("after the push: %+v", r)
	}
	if r := g.do(group.KindPut, "job=other", "a 1\n"); r.ShipsOverdue() || r.Samples() != 3 {
		t.Errorf("a group that no rule expects: %+v", r)
	}
	g.commit()
	refreshed := func() (found *group.Record) {
		for slot := range RefreshSlots {
			g.s.Refresh(slot, time.Minute, g.now, g.enqueue, func(r *group.Record) {
				if r.Labels.Job() == "n" {
					found = r
				}
			})
		}
		return found
	}
	g.now = g.now.Add(day)
	if r := refreshed(); group.Overdue(r.Time*1e6, r.Push, r.Expect) {
		t.Error("overdue before its time")
	}
	g.now = g.now.Add(time.Minute)
	if r := refreshed(); !group.Overdue(r.Time*1e6, r.Push, r.Expect) {
		t.Error("not overdue after its time")
	}
	// The rule goes: the series ends, the push time and all else stay.
	n := len(g.log)
	g.s.SetRules(group.NewRules(group.Policy{}, nil))
	if changed := g.s.Reconsider(g.now, g.enqueue); changed != 1 {
		t.Fatalf("%d groups changed", changed)
	}
	r = g.log[len(g.log)-1]
	if diff := gocmp.Diff([]string{`pushbridge_group_overdue{job="n"}`}, ended(r)); diff != "" || len(g.log) != n+1 || r.ShipsOverdue() {
		t.Errorf("%+v (-want +got):\n%s", r, diff)
	}
	g.commit()
	if got := view(g.s, "job=n"); got != "# TYPE a untyped\na{instance=\"\",job=\"n\"} 1\npush 1000 fail 0" {
		t.Errorf("view: %s", got)
	}
	// It comes back, survives a restart, and ends with the group.
	g.s.SetRules(rules)
	g.s.Reconsider(g.now, g.enqueue)
	b := group.EncodeRecord(nil, g.log[len(g.log)-1])
	back, err := group.DecodeRecord(b)
	if err != nil || back.Expect != int64(day) {
		t.Fatalf("read back: %+v, %v", back, err)
	}
	g.commit()
	if !g.s.Lookup(labelsOf("job=n")).Overdue(g.now) {
		t.Error("a group is overdue by its last push, not by a change of rules")
	}
	if got := ended(g.do(group.KindDelete, "job=n", "")); !slices.Contains(got, `pushbridge_group_overdue{job="n"}`) {
		t.Errorf("ended with the group: %v", got)
	}
}
