package state

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/group"
)

// printRefreshed says what records send again.
func printRefreshed(records []*group.Record) []string {
	var out []string
	for _, r := range records {
		text := fmt.Sprintf("%s at %d pushed %d failed %d expect %d last %d:", r.Labels, r.Time, r.Push, r.Fail, r.Expect, r.Last)
		for _, m := range r.Members {
			text += fmt.Sprintf(" %s %v", m.Of().Name, m.Part.Values)
		}
		out = append(out, text)
	}
	return out
}

// TestRefreshFollowsFromTheMark: whoever folds a clock mark knows what was refreshed by it,
// group by group and to the millisecond, however the clock of the writer goes. Whoever asks
// later knows it of the groups that are as they were.
func TestRefreshFollowsFromTheMark(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	never := time.Duration(0)
	rules := group.NewRules(group.Policy{Refresh: time.Minute}, []group.Rule{{Match: []group.Matchers{matchersOf(t, "job=j7")}, Refresh: &never}})
	writer, follower := newRig(t, Options{}), newRig(t, Options{})
	writer.s.SetRules(rules)
	follower.s.SetRules(rules)
	type refresh struct {
		mark    *group.Record
		seq     uint64
		emitted []*group.Record
	}
	var all []refresh
	folded := 0
	fold := func() (last *group.Record) {
		for ; folded < len(writer.log); folded++ {
			last = read(t, writer.log[folded])
			writer.s.Fold(writer.log[folded], uint64(folded+1))
			follower.s.Fold(last, uint64(folded+1))
		}
		return last
	}
	for range 3000 {
		writer.now = writer.now.Add(time.Duration(r.IntN(400)) * time.Millisecond)
		if r.IntN(100) == 0 {
			writer.now = writer.now.Add(-time.Duration(r.IntN(3000)) * time.Millisecond)
		}
		key := fmt.Sprintf("job=j%d", r.IntN(200))
		switch n := r.IntN(20); {
		case n < 12:
			var emitted []*group.Record
			writer.s.Refresh(r.IntN(RefreshSlots), time.Minute, writer.now, writer.enqueue, func(r *group.Record) { emitted = append(emitted, r) })
			if mark := fold(); emitted != nil {
				got := follower.s.Refreshed(mark, uint64(folded))
				if diff := gocmp.Diff(printRefreshed(emitted), printRefreshed(got)); diff != "" {
					t.Fatalf("(-emitted +follows):\n%s", diff)
				}
				all = append(all, refresh{mark, uint64(folded), emitted})
			}
		case n < 18:
			writer.do(group.KindPost, key, fmt.Sprintf("m%d %d\n", r.IntN(3), r.IntN(9)))
		case n < 19:
			writer.do(group.KindFail, key, "")
		default:
			_ = writer.s.Apply(group.Change{Kind: group.KindDelete, Labels: labelsOf(key)}, writer.now, writer.enqueue) // may be absent
		}
		fold()
	}
	samples := 0
	for _, was := range all {
		var want []*group.Record
		for _, r := range was.emitted {
			if g := follower.s.Lookup(r.Labels); g != nil && g.Seq <= was.seq {
				want = append(want, r)
			}
		}
		samples += len(want)
		got := follower.s.Refreshed(was.mark, was.seq)
		for _, r := range got {
			if r.Labels.Job() == "j7" {
				t.Errorf("refreshed by no rule: %v", r.Labels)
			}
		}
		if diff := gocmp.Diff(printRefreshed(want), printRefreshed(got)); diff != "" {
			t.Fatalf("of the mark %d, later (-emitted +follows):\n%s", was.seq, diff)
		}
	}
	if len(all) < 300 || samples == 0 {
		t.Errorf("only %d refreshes, %d groups known later", len(all), samples)
	}
}
