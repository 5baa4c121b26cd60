package state

import (
	"errors"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/group"
)

// read returns a record as another process gets it.
func read(t *testing.T, r *group.Record) *group.Record {
	t.Helper()
	back, err := group.DecodeRecord(group.EncodeRecord(nil, r))
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// TestFoldForeign passes the records of another writer to a state in use, and looks at
// all that follows from them at once.
func TestFoldForeign(t *testing.T) {
	hour := time.Hour
	rules := group.NewRules(group.Policy{Refresh: time.Minute}, []group.Rule{{Expect: &hour}})
	other, own := newRig(t, Options{CheckConsistency: true}), newRig(t, Options{CheckConsistency: true})
	other.s.SetRules(rules)
	other.now = other.now.Add(time.Hour)
	seq := uint64(0)
	follow := func() {
		t.Helper()
		for ; other.seq < len(other.log); other.seq++ {
			seq++
			other.s.Fold(other.log[other.seq], seq)
			own.s.Fold(read(t, other.log[other.seq]), seq)
		}
	}
	if err := other.s.Apply(group.Change{Kind: group.KindPut, Labels: labelsOf("job=j"), Part: part(t, "# TYPE a counter\na 1\nb 2\n"), TTL: hour}, other.now, other.enqueue); err != nil {
		t.Fatal(err)
	}
	other.do(group.KindPost, "job=k", "c 3\n")
	other.do(group.KindDelete, "job=k", "")
	follow()

	t.Run("view", func(t *testing.T) {
		if diff := gocmp.Diff(printGroups(other.s.Groups()), printGroups(own.s.Groups())); diff != "" {
			t.Errorf("(-writer +follower):\n%s", diff)
		}
		if v := own.s.View(); v.Seq != 3 || v.Floor != other.s.View().Floor {
			t.Errorf("as of %d, floor %d", v.Seq, v.Floor)
		}
	})
	t.Run("index", func(t *testing.T) {
		if diff := gocmp.Diff(printIndex(own.s, rebuilt(own.s)), printIndex(own.s, &own.s.pending.index)); diff != "" {
			t.Error(diff)
		}
		var conflict *group.ConflictError
		if err := own.try(group.KindPut, "job=other", "# TYPE a gauge\na 1\n"); !errors.As(err, &conflict) {
			t.Errorf("a family of another type: %v", err)
		}
		if err := own.try(group.KindPut, "job=j instance=", "b 1\n"); !errors.As(err, &conflict) {
			t.Errorf("a series that another group has: %v", err)
		}
		if n := own.s.LiveConflicts(); n != 0 {
			t.Errorf("%d conflicts", n)
		}
	})
	t.Run("floors", func(t *testing.T) {
		ended := other.log[len(other.log)-1].Time
		if r := own.do(group.KindPut, "job=k instance=x", "c 3\n"); r.Time <= ended {
			t.Errorf("a series that comes back is stamped %d, it ended at %d", r.Time, ended)
		}
		if r := own.do(group.KindPost, "job=j", "b 3\n"); r.Time <= other.log[0].Time {
			t.Errorf("stamped %d behind %d", r.Time, other.log[0].Time)
		}
		own.s.Abort(1)
	})
	t.Run("refresh", func(t *testing.T) {
		var refreshed []*group.Record
		again := func(g *rig) {
			refreshed = nil
			for slot := range RefreshSlots {
				g.s.Refresh(slot, time.Minute, g.now, g.enqueue, func(r *group.Record) { refreshed = append(refreshed, r) })
			}
		}
		other.now = other.now.Add(10 * time.Minute)
		again(other)
		follow() // its clock mark
		own.now = other.now.Add(-time.Minute)
		was := refreshed[0].Time
		again(own)
		if len(refreshed) != 1 || len(refreshed[0].Members) != 2 || refreshed[0].Time <= was {
			t.Errorf("refreshed %+v, later than %d", refreshed, was)
		}
		own.s.Abort(2)
	})
	t.Run("overdue and time to live", func(t *testing.T) {
		g := own.s.Lookup(labelsOf("job=j"))
		at := time.UnixMilli(other.log[0].Time)
		if g.Overdue(at.Add(hour)) || !g.Overdue(at.Add(hour+1)) {
			t.Errorf("expected every %d", g.Expect)
		}
		n := len(own.log)
		if early, late := own.s.Expire(at.Add(hour-1), own.enqueue), own.s.Expire(at.Add(hour), own.enqueue); early != 0 || late != 1 {
			t.Errorf("%d and %d expired", early, late)
		}
		want := []string{`a{job="j"}`, `b{job="j"}`, `push_failure_time_seconds{job="j"}`, `push_time_seconds{job="j"}`, `pushbridge_group_overdue{job="j"}`}
		if diff := gocmp.Diff(want, ended(own.log[n])); diff != "" {
			t.Errorf("ended (-want +got):\n%s", diff)
		}
	})
}

// TestFoldForeignWhilePending: what is pending was checked against a state that is no
// more. It is taken back, and comes in again if it was kept nonetheless.
func TestFoldForeignWhilePending(t *testing.T) {
	other, own := newRig(t, Options{CheckConsistency: true}), newRig(t, Options{CheckConsistency: true})
	own.do(group.KindPut, "job=mine", "a 1\n")
	own.do(group.KindPut, "job=both", "a 1\n")
	own.s.Fold(read(t, other.do(group.KindPut, "job=both", "# TYPE a counter\na 2\n")), 1)
	if got, want := printGroups(pendingGroups(own.s)), printGroups(own.s.Groups()); got != want {
		t.Errorf("pending is %s, committed %s", got, want)
	}
	if own.s.Lookup(labelsOf("job=mine")) != nil || own.s.Lookup(labelsOf("job=both")) == nil {
		t.Error("the state is not that of the log")
	}
	var conflict *group.ConflictError
	if err := own.try(group.KindPut, "job=mine", "a 1\n"); !errors.As(err, &conflict) {
		t.Errorf("checked against what was pending: %v", err)
	}
	own.s.Abort(1) // as the log does when it refuses what was pending
	own.s.Fold(own.log[0], 2)
	if g := own.s.Lookup(labelsOf("job=mine")); g == nil || g.Seq != 2 || own.s.LiveConflicts() != 1 {
		t.Errorf("%+v, %d conflicts", g, own.s.LiveConflicts())
	}
	if diff := gocmp.Diff(printIndex(own.s, rebuilt(own.s)), printIndex(own.s, &own.s.pending.index)); diff != "" {
		t.Error(diff)
	}
}
