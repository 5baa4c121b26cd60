package ingest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestKeep: what is kept of a body has the bounds of pushes, and gives its memory back.
func TestKeep(t *testing.T) {
	g := newRig(t, Options{Limits: Limits{MaxBodyBytes: 100}})
	for _, row := range []struct {
		body   string
		length int64
		large  bool
	}{{"m 1\n", 4, false}, {"m 1\n", -1, false}, {strings.Repeat("x", 100), 100, false}, {strings.Repeat("x", 101), 101, true}, {strings.Repeat("x", 101), -1, true}} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/metrics/job/a", strings.NewReader(row.body))
		r.ContentLength = row.length
		b, release, err := g.Keep(httptest.NewRecorder(), r)
		if large := errors.As(err, new(*TooLargeError)); large != row.large || !large && (err != nil || string(b) != row.body) {
			t.Errorf("%d bytes, length %d: kept %q, %v", len(row.body), row.length, b, err)
		}
		release(row.length > 0)
	}
	if n := g.bodies.budget.used.Load(); n != 0 {
		t.Errorf("%d bytes are in use", n)
	}
}
