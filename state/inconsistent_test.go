package state

import (
	"testing"

	"github.com/pushbridge/pushbridge/group"
)

// TestInconsistency names what collides and the groups that have it.
func TestInconsistency(t *testing.T) {
	const summary = "# TYPE s summary\ns_sum 1\ns_count 1\n"
	for _, row := range []struct{ name, a, b, want string }{
		{"none", "m 1\n", "m 1\n", ""},
		{"types", "# TYPE m gauge\nm 1\n", "# TYPE m counter\nm 1\n", `metric family "m" is a counter in group {job="b"} and a gauge in group {job="a"}`},
		{"a component", summary, "# TYPE s_count counter\ns_count 1\n", `metric family "s_count" is a counter in group {job="b"}, and collides with summary "s" in group {job="a"}`},
		{"the gateway's own", "# TYPE own counter\nown 1\n", "m 1\n", `metric family "own" is a counter in group {job="a"} and a gauge of the gateway itself`},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t, Options{OwnFamilies: func() []OwnFamily { return []OwnFamily{{Name: "own", Type: group.Gauge}} }})
			g.do(group.KindPut, "job=a", row.a)
			g.do(group.KindPut, "job=b", row.b)
			checkInconsistency(t, g.s, row.want)
		})
	}
	g := newRig(t, Options{})
	g.do(group.KindPut, "job=a", "m{instance=\"i\"} 1\n")
	g.do(group.KindPut, "job=a instance=i", "m 1\n")
	checkInconsistency(t, g.s, `metric m{instance="i",job="a"} is there twice: in group {job="a"} and in group {instance="i",job="a"}`)
	g.do(group.KindDelete, "job=a", "")
	checkInconsistency(t, g.s, "")
}

func checkInconsistency(t *testing.T, s *Store, want string) {
	t.Helper()
	got := ""
	if err := s.Inconsistency(); err != nil {
		got = err.Error()
	}
	if got != want || (got != "") != (s.LiveConflicts() > 0) {
		t.Errorf("got %s, want %s; %d conflicts", got, want, s.LiveConflicts())
	}
}
