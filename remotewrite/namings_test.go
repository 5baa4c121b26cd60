package remotewrite

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/queue"
)

func external(value string) Naming {
	return Naming{Place: "here", External: map[string]string{"site": value}}
}

// sites are the external labels of what a destination may still be visible under.
func sites(all []Naming) []string {
	var out []string
	for _, n := range all {
		out = append(out, n.External["site"])
	}
	return out
}

// TestNamings: what a destination was sent under is known after a restart, until it has
// ended, or the destination is gone.
func TestNamings(t *testing.T) {
	file, log := filepath.Join(t.TempDir(), "names.yml"), slog.New(slog.DiscardHandler)
	n := NewNamings(file, log)
	for _, step := range []struct {
		name string
		do   func()
		now  string
		none bool // was sent to it
		want []string
	}{
		{name: "nothing was before", now: "a"},
		{name: "the same", now: "a"},
		{name: "others", now: "b", want: []string{"a"}},
		{name: "others, after a restart", do: func() { n = NewNamings(file, log) }, now: "c", want: []string{"a", "b"}},
		{name: "back", now: "a", want: []string{"b", "c"}},
		{name: "it has ended", do: func() { n.ended("dest") }, now: "a"},
		{name: "many", now: "b", want: []string{"a"}},
		{name: "many", now: "c", want: []string{"a", "b"}},
		{name: "many", now: "d", want: []string{"a", "b", "c"}},
		{name: "too many", now: "e", want: []string{"b", "c", "d"}},
		{name: "kept", do: func() { n.Keep([]queue.CursorStatus{{ID: "dest"}}) }, now: "e", want: []string{"b", "c", "d"}},
		{name: "a cursor that begins again", now: "f", none: true},
		{name: "gone", do: func() { n.Keep(nil) }, now: "g"},
		{name: "a file that is none", do: func() {
			if err := os.WriteFile(file, []byte("what: [is, this]"), 0o600); err != nil {
				t.Fatal(err)
			}
			n = NewNamings(file, log)
		}, now: "h"},
	} {
		if step.do != nil {
			step.do()
		}
		if diff := gocmp.Diff(step.want, sites(n.change("dest", external(step.now), !step.none))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

// TestNamingsAreRenamed: a destination that is called something else goes on as the one
// that it was.
func TestNamingsAreRenamed(t *testing.T) {
	n := NewNamings("", slog.New(slog.DiscardHandler))
	n.change("old", external("a"), true)
	n.rename("new", []string{"older", "old"})
	if diff := gocmp.Diff([]string{"a"}, sites(n.change("new", external("b"), true))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
