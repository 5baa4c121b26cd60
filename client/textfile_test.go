package client

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestTextfiles pushes what has changed, and what was not answered again.
func TestTextfiles(t *testing.T) {
	dir := t.TempDir()
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	write := func(name, text string) {
		t.Helper()
		clock = clock.Add(time.Second)
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, clock, clock); err != nil {
			t.Fatal(err)
		}
	}
	busy := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	g, c := newGateway(t, kept)
	var said []string
	files := &Textfiles{
		Client: c, Dir: dir, Timeout: time.Minute,
		Grouping: func(name string) []Label { return []Label{{"job", name}} },
		Say:      func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) },
	}
	push := func(answer http.HandlerFunc, failed bool, want ...string) {
		t.Helper()
		g.steps, g.got, said = []http.HandlerFunc{answer}, nil, nil
		err := files.Push(t.Context())
		if diff := cmp.Diff(want, g.got); diff != "" || (err != nil) != failed || (len(said) > 0) != failed {
			t.Errorf("(-want +got)\n%s%v %v", diff, err, said)
		}
	}
	write("a.prom", "a 1\n")
	write("b.prom", "b 1\n")
	push(kept, false, "PUT /metrics/job/a a 1\n", "PUT /metrics/job/b b 1\n")
	push(kept, false)
	write("a.prom", "a 2\n")
	push(busy, true, "PUT /metrics/job/a a 2\n")
	push(status(400, "no"), true, "PUT /metrics/job/a a 2\n")
	push(kept, false)
	write("a.prom", "a 3\n")
	push(kept, false, "PUT /metrics/job/a a 3\n")
	if err := os.Remove(filepath.Join(dir, "a.prom")); err != nil {
		t.Fatal(err)
	}
	push(busy, true, "DELETE /metrics/job/a ")
	push(kept, false, "DELETE /metrics/job/a ")
	push(kept, false)

	// What cannot be read is said once, and pushed when it can be.
	files.read = func(path string) ([]byte, error) {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
	}
	write("c.prom", "c 1\n")
	push(kept, true)
	if err := files.Push(t.Context()); err == nil || len(said) != 1 {
		t.Errorf("got %v, said %v", err, said)
	}
	files.read = nil
	push(kept, false, "PUT /metrics/job/c c 1\n")
	push(kept, false)
}
