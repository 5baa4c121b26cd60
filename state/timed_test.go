package state

import (
	"fmt"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/group"
)

// lateOf prints which metrics of a record are not newer than their series.
func lateOf(r *group.Record) []string {
	var out []string
	for _, l := range r.Part.Late {
		out = append(out, fmt.Sprintf("%s<=%d", r.Part.Shape.FamilyOf(int(l.Metric)).Name, l.Newest))
	}
	return out
}

// TestLate pushes samples with times of their own in turn to one group, at 1000,
// 1001 and so on, and says which of them are late.
func TestLate(t *testing.T) {
	type step struct {
		kind group.Kind
		text string
		want []string
	}
	put := func(text string, want ...string) step { return step{group.KindPut, text, want} }
	for _, row := range []struct {
		name  string
		steps []step
	}{
		{"rising", []step{put("a 1 10\n"), put("a 1 20\n"), put("a 1 21\n")}},
		{"the same again", []step{put("a 1 10\n"), put("a 1 10\n", "a<=10")}},
		{"what was late is not the newest", []step{put("a 1 50\n"), put("a 1 10\n", "a<=50"), put("a 1 20\n", "a<=50"), put("a 1 51\n")}},
		{"each series by itself", []step{put("a 1 10\nb 1 90\n"), put("a 1 20\nb 1 80\n", "b<=90")}},
		{"after a sample without", []step{put("a 1\n"), put("a 1 999\n", "a<=1000"), put("a 1 5000\n")}},
		{"after the group ended", []step{put("b 1\n"), {group.KindDelete, "", nil}, put("a 1 900\n", "a<=1002"), put("a 1 5000\n")}},
		{"after it was left out", []step{put("a 1 5000\n"), put("b 1\n"), put("a 1 4000\n", "a<=5000")}},
		{"beside a POST", []step{put("a 1 10\n"), {group.KindPost, "b 1 5\n", nil}, {group.KindPost, "a 1 9\n", []string{"a<=10"}}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, Options{})
			for i, s := range row.steps {
				r := g.do(s.kind, "job=j", s.text)
				g.commit()
				if s.kind == group.KindDelete {
					continue
				}
				if diff := gocmp.Diff(s.want, lateOf(r)); diff != "" {
					t.Errorf("step %d (-want +got):\n%s", i, diff)
				}
				back, err := group.DecodeRecord(group.EncodeRecord(nil, r))
				if err != nil {
					t.Fatal(err)
				}
				if diff := gocmp.Diff(r.Part.Late, back.Part.Late); diff != "" {
					t.Errorf("step %d, read back (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

// TestUntimedAfterTimed: a sample without a time comes after the one that it
// replaces, also if that was ahead of the clock.
func TestUntimedAfterTimed(t *testing.T) {
	g := newRig(t, Options{})
	g.do(group.KindPut, "job=j", "a 1 61000\n")
	if r := g.do(group.KindPut, "job=j", "a 1\n"); r.Time != 61001 {
		t.Errorf("stamped %d", r.Time)
	}
	g.do(group.KindPut, "job=k", "a 1 90000\n")
	g.do(group.KindDelete, "job=k", "")
	if r := g.do(group.KindPut, "job=k", "a 1\n"); r.Time != 90001 {
		t.Errorf("after its group ended: stamped %d", r.Time)
	}
}
