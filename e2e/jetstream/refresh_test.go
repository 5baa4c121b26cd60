package jetstream_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// network stands in front of a receiver, and can hold up what goes there: whoever has sent it
// gets no answer, and it arrives later, whatever has become of them.
type network struct {
	*httptest.Server
	to string

	mu   sync.Mutex
	on   bool
	left int // requests that pass before they are held
	held []*http.Request
}

func newNetwork(t *testing.T, r *receiver) *network {
	t.Helper()
	n := &network{to: r.url}
	n.Server = httptest.NewServer(n)
	t.Cleanup(n.Close)
	return n
}

func (n *network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	q, err := http.NewRequestWithContext(context.Background(), r.Method, n.to+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	q.Header = r.Header.Clone()
	n.mu.Lock()
	hold := n.on && len(body) > 0
	if hold && n.left > 0 {
		n.left--
		hold = false
	}
	if hold {
		n.held = append(n.held, q)
	}
	n.mu.Unlock()
	if hold {
		<-r.Context().Done()
		return
	}
	n.pass(w, q)
}

func (n *network) pass(w http.ResponseWriter, q *http.Request) {
	a, err := client.Do(q)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer a.Body.Close()
	w.WriteHeader(a.StatusCode)
	_, _ = io.Copy(w, a.Body) // whoever asked may have gone
}

// hold begins or ends the holding, and returns how many requests are held.
func (n *network) hold(on bool) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.on, n.left = on, 0
	return len(n.held)
}

// holdAfter begins to hold behind some requests.
func (n *network) holdAfter(requests int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.on, n.left = true, requests
}

func (n *network) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.held)
}

// release delivers what is held.
func (n *network) release() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, q := range n.held {
		n.pass(httptest.NewRecorder(), q)
	}
	n.held = nil
}

// TestRefreshHeldOverATakeOver: a refresh that a network holds up until another replica has
// led for a while is nothing new when it arrives: that one has sent the same, with the same
// times, before anything newer.
func TestRefreshHeldOverATakeOver(t *testing.T) {
	r := &replicas{cluster: newCluster(t), receiver: newReceiver(t)}
	n := newNetwork(t, r.receiver)
	for _, id := range []string{"a", "b", "c"} {
		r.all = append(r.all, r.gateway(id, n.URL+"/api/v1/write", "--refresh.interval=2s"))
	}
	old := r.leader()
	push := func(g *gateway, value int) {
		for i := range 20 {
			a, err := do(http.MethodPut, fmt.Sprintf("%s/metrics/job/idle%d", g.url, i), strings.NewReader(fmt.Sprintf("m %d\n", value)))
			if err != nil || a.StatusCode != http.StatusOK {
				t.Fatalf("%v %+v", err, a)
			}
			_ = a.Body.Close()
		}
	}
	push(old, 1)
	arrived(t, old, r.receiver)
	refreshed := func(g *gateway) float64 { return g.metric("pushbridge_remotewrite_refresh_samples_total{") }
	eventually(t, "groups are refreshed", func() bool { return refreshed(old) > 50 })
	n.hold(true)
	eventually(t, "a request of each shard is held", func() bool { return n.count() >= 3 })
	old.kill()
	held := n.hold(false)
	leader := r.leader()
	eventually(t, "the next one refreshes", func() bool { return refreshed(leader) > 50 })
	push(leader, 2)
	arrived(t, leader, r.receiver)
	before := r.stats(t)
	n.release()
	after := r.stats(t)
	t.Logf("%d requests were held, %d samples; %d were repeats before", held, after.Samples-before.Samples, before.Repeats)
	if after.Violations != 0 || after.Samples == before.Samples || after.Repeats-before.Repeats != after.Samples-before.Samples {
		t.Errorf("before what was held %+v, and with it %+v: want nothing but repeats", before, after)
	}
}
