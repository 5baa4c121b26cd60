package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
)

func key(job string) group.Labels { return group.NewLabels([]group.Label{{Name: "job", Value: job}}) }

// TestClientGoesAway holds promise 3: what was applied is carried through.
func TestClientGoesAway(t *testing.T) {
	g := newIdleGateway(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error)
	go func() {
		answered <- g.writer.Do(ctx, group.Change{Kind: group.KindPut, Labels: key("a")}, time.Now())
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

// TestNotKept holds that a record which the log refuses is no success.
func TestNotKept(t *testing.T) {
	g := newGateway(t, Options{})
	g.stopLog()
	kept := make(chan error, 1)
	g.writer.enqueue(&group.Record{Kind: group.KindClock}, func(err error) { kept <- err })
	if err := <-kept; !errors.Is(err, ErrNotKept) || !errors.Is(err, queue.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := g.writer.Do(t.Context(), group.Change{Kind: group.KindPut, Labels: key("a")}, time.Now()); !errors.Is(err, ErrNotKept) {
		t.Errorf("got %v", err)
	}
}

func TestOutcome(t *testing.T) {
	o := newOutcome()
	first, second := o.expect(), o.expect()
	o.settle(nil)
	select {
	case <-o.done:
		t.Fatal("done before the records are settled")
	default:
	}
	one, two := errors.New("one"), errors.New("two")
	first(one)
	second(two)
	if err := o.wait(t.Context()); !errors.Is(err, one) {
		t.Errorf("got %v", err)
	}
}

func TestWipeManyGroups(t *testing.T) {
	g := newGateway(t, Options{})
	for i := range 500 {
		if _, err := g.writer.start(group.Change{Kind: group.KindPut, Labels: key(fmt.Sprint(i))}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.writer.Wipe(t.Context(), time.Now()); err != nil {
		t.Error(err)
	}
	if got := g.store.Groups(); len(got) > 0 {
		t.Errorf("%d groups after the wipe", len(got))
	}
}

func TestExpire(t *testing.T) {
	g := newGateway(t, Options{})
	now := time.Unix(1_700_000_000, 0)
	for job, ttl := range map[string]time.Duration{"short": time.Minute, "long": time.Hour, "ever": 0} {
		if err := g.writer.Do(t.Context(), group.Change{Kind: group.KindPut, Labels: key(job), TTL: ttl}, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.writer.Expire(t.Context(), now.Add(2*time.Minute)); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(g.keys()); got != `[{job="ever"} {job="long"}]` {
		t.Errorf("groups %v", got)
	}
}

// TestAnsweredMeansVisible pushes, fails and deletes from many clients at once:
// what was answered is in the state when the answer arrives.
func TestAnsweredMeansVisible(t *testing.T) {
	g := newGateway(t, Options{AdminAPI: true})
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
