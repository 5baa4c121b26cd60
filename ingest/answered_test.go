package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

func key(job string) group.Labels { return group.NewLabels([]group.Label{{Name: "job", Value: job}}) }

// TestClientGoesAway holds promise 3: what was applied is carried through.
func TestClientGoesAway(t *testing.T) {
	g := newIdleRig(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error)
	go func() {
		_, err := g.gateway.Do(ctx, group.Change{Kind: group.KindPut, Labels: key("a")}, time.Now())
		answered <- err
	}()
	cancel() // the log does not run yet, so nothing can be kept
	err := <-answered
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, why, _ := classify(err); why != reasonGone {
		t.Errorf("classified as %s", why)
	}
	if n := len(g.store.Groups()); n > 0 {
		t.Errorf("%d groups are visible before they are kept", n)
	}
	g.run()
	if got := g.keys(); len(got) != 1 {
		t.Errorf("groups %v", got)
	}
}

// TestAnsweredMeansVisible pushes, fails and deletes from many clients at once:
// what was answered is in the state when the answer arrives.
func TestAnsweredMeansVisible(t *testing.T) {
	g := newRig(t, Options{AdminAPI: true})
	var clients sync.WaitGroup
	for i := range 16 {
		clients.Go(func() {
			for j := range 20 {
				path := fmt.Sprintf("/metrics/job/%d", i)
				if w := g.do("POST", path, fmt.Sprintf("m %d\n", j)); w.Code != 200 {
					t.Errorf("%s: %d %q", path, w.Code, w.Body)
				}
				if gr := g.store.Lookup(key(fmt.Sprint(i))); gr == nil || gr.Push == 0 {
					t.Errorf("%s: answered, and not visible", path)
				}
				if w := g.do("PUT", path, "m 1 1\n"); w.Code != 400 {
					t.Errorf("%s: %d %q", path, w.Code, w.Body)
				}
				if gr := g.store.Lookup(key(fmt.Sprint(i))); gr == nil || gr.Fail == 0 {
					t.Errorf("%s: refused, and the failure time is not visible", path)
				}
				if w := g.do("DELETE", path, ""); w.Code != 202 {
					t.Errorf("%s: %d %q", path, w.Code, w.Body)
				}
				if gr := g.store.Lookup(key(fmt.Sprint(i))); gr != nil {
					t.Errorf("%s: deleted, and still visible", path)
				}
			}
		})
	}
	clients.Wait()
	g.idle()
}
