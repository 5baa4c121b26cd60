package jetstream_test

import (
	"net/http"
	"net/url"
	"testing"
)

// TestPauseOutlivesLeader: a destination that an operator has paused is paused for whoever leads
// next, too, until somebody lets it go on.
func TestPauseOutlivesLeader(t *testing.T) {
	r := newReplicas(t)
	for _, g := range r.all {
		eventually(t, g.id+" is ready", g.ready)
	}
	l := startLoad(t, 4, r.anyone)
	l.flow(50)
	ask := func(what string) {
		t.Helper()
		g := r.followers()[0]
		status, _, text := request(t, http.MethodPost, g.url+"/api/v1/destinations/"+url.PathEscape(g.accounts()[0].Name)+"/"+what, "")
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", what, status, text)
		}
	}
	paused := func(want bool) {
		t.Helper()
		for _, g := range r.all {
			eventually(t, "each replica knows of the pause, or of its end: "+g.id, func() bool {
				all := g.accounts()
				return len(all) == 1 && all[0].Paused == want
			})
		}
	}
	ask("pause")
	paused(true)
	eventually(t, "what was on its way has arrived", func() bool {
		before := r.stats(t).Samples
		l.flow(20)
		return r.stats(t).Samples == before
	})
	held := r.stats(t).Samples
	for _, end := range []func(*gateway){(*gateway).kill, (*gateway).stop} {
		g := r.leader()
		end(g)
		l.flow(50)
		r.leader()
		g.start()
		paused(true)
	}
	l.flow(50)
	if got := r.stats(t).Samples; got != held {
		t.Errorf("%d samples were sent while the destination was paused", got-held)
	}
	ask("resume")
	paused(false)
	l.stop()
	r.settled(l)
}
