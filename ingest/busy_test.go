package ingest

import (
	"errors"
	"net/http"
	"runtime"
	"testing"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
)

// Pushes are answered 503 at once while too much waits for the disk, and taken
// when it has caught up.
func TestBusyLog(t *testing.T) {
	g := newIdleRig(t, Options{})
	large := &group.Record{Kind: group.KindClock, Labels: make(group.Labels, 1<<18)}
	for g.log.Err() == nil {
		if err := g.log.Append(large, 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.log.Err(); !errors.Is(err, queue.ErrBusy) {
		t.Fatal(err)
	}
	w := g.do(http.MethodPut, "/metrics/job/a", "m 1\n")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("got %d %v %q", w.Code, w.Header(), w.Body)
	}
	if g.store.Lookup(group.NewLabels([]group.Label{{Name: "job", Value: "a"}})) != nil {
		t.Error("the push was applied")
	}
	g.run()
	done := make(chan error, 1)
	err := g.log.Append(&group.Record{Kind: group.KindClock}, 0, func(_ uint64, err error) { done <- err })
	if err != nil || <-done != nil {
		t.Fatal("the log failed")
	}
	for g.log.Err() != nil {
		runtime.Gosched() // the batch is about to be taken off the books
	}
	if w := g.do(http.MethodPut, "/metrics/job/a", "m 1\n"); w.Code != http.StatusOK {
		t.Errorf("with the disk well again: %d %q", w.Code, w.Body)
	}
	g.idle()
}
