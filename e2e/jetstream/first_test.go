package jetstream_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestFirstStateOverATakeOver: a destination that is new is sent the whole state first. Whoever
// leads is killed when half of it has arrived, and so is the next one: the one after that sends
// all of it, in order, with what was pushed meanwhile.
func TestFirstStateOverATakeOver(t *testing.T) {
	const jobs, series = 60, 500 // many requests of each shard
	r := &replicas{cluster: newCluster(t), receiver: newReceiver(t)}
	for _, id := range []string{"a", "b", "c"} {
		r.all = append(r.all, r.gateway(id, "", "--refresh.interval=0"))
	}
	put := func(job, value int) {
		t.Helper()
		var body strings.Builder
		for i := range series {
			fmt.Fprintf(&body, "m{i=\"%d\"} %d\n", i, value)
		}
		status, _, text := request(t, http.MethodPut, fmt.Sprintf("%s/metrics/job/j%d", r.leader().url, job), body.String())
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
	}
	for job := range jobs {
		put(job, 1)
	}
	n := newNetwork(t, r.receiver)
	n.holdAfter(6)
	for _, g := range r.all {
		g.stop()
	}
	for _, g := range r.all {
		g.args = append(g.args, "--remote-write.url="+n.URL+"/api/v1/write")
		g.start()
	}
	for turn := range 2 {
		g, held := r.leader(), n.count()
		eventually(t, "some of the state has arrived, and the rest is held", func() bool { return n.count() > held && r.stats(t).Series > 0 })
		put(turn, 2)
		g.kill()
		if turn == 1 {
			t.Logf("%d series have arrived before", r.stats(t).Series)
			n.hold(false)
		} else {
			n.holdAfter(3)
		}
		put(jobs-1-turn, 2) // at the next one
		g.start()
	}
	for _, g := range r.all {
		eventually(t, g.id+" is ready", g.ready)
	}
	arrived(t, r.leader(), r.receiver)
	eventually(t, "all of the state has arrived", func() bool { return r.stats(t).Series == jobs*(series+2) })
	pushed := map[string]string{"j0": "2", "j1": "2", fmt.Sprintf("j%d", jobs-2): "2", fmt.Sprintf("j%d", jobs-1): "2"}
	for _, x := range r.series(t, "m") {
		if want := cmp.Or(pushed[x.Labels["job"]], "1"); x.Last.Value != want {
			t.Errorf("the receiver has %+v, want %s", x, want)
		}
	}
	if s := r.stats(t); s.Violations != 0 {
		t.Errorf("the receiver counted %+v", s)
	}
	r.sameBooks()
}

// held is a series that the receiver has.
type held struct {
	Labels map[string]string
	Last   struct{ Value string }
}

// series returns those of a name.
func (r *receiver) series(t testing.TB, name string) (all []held) {
	t.Helper()
	_, body := get(r.url + "/api/v1/series?__name__=" + name)
	if err := json.Unmarshal([]byte(body), &all); err != nil || len(all) == 0 {
		t.Fatalf("%v: %s", err, body)
	}
	return all
}
