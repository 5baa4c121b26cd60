package jetstream_test

import (
	"encoding/json"
	"reflect"
	"syscall"
	"testing"
	"time"
)

// replicas are three gateways on one stream, with one receiver.
type replicas struct {
	*cluster
	all []*gateway
	*receiver
}

func newReplicas(t testing.TB) *replicas {
	t.Helper()
	r := &replicas{cluster: newCluster(t), receiver: newReceiver(t)}
	for _, id := range []string{"a", "b", "c"} {
		r.all = append(r.all, r.gateway(id, r.write()))
	}
	return r
}

// anyone sends a pusher to another gateway when one does not answer.
func (r *replicas) anyone(pusher, turn int) string { return r.all[(pusher+turn)%len(r.all)].url }

// leader returns the gateway that leads, once no other one says so: who was cut off does
// until it hears of it.
func (r *replicas) leader() (leader *gateway) {
	r.t.Helper()
	eventually(r.t, "one of them leads", func() bool {
		var leading []*gateway
		for _, g := range r.all {
			if g.cmd != nil && g.metric("pushbridge_queue_leads ") == 1 {
				leading = append(leading, g)
			}
		}
		if len(leading) != 1 {
			return false
		}
		leader = leading[0]
		return true
	})
	return leader
}

// settled holds all replicas to the same state, and the destination to all of it.
func (r *replicas) settled(l *load) {
	r.t.Helper()
	if n := l.twice(); n > 0 {
		r.t.Errorf("%d pushes have got a place in the log that another one has", n)
	}
	leader := r.leader()
	head := leader.metric("pushbridge_queue_head_sequence ")
	for _, g := range r.all {
		eventually(r.t, g.id+" has folded everything", func() bool { return g.metric("pushbridge_queue_head_sequence ") >= head })
		l.kept(g)
		eventually(r.t, "/metrics of "+g.id+" is that of the leader", func() bool { return g.pushedText() == leader.pushedText() })
	}
	arrived(r.t, leader, r.receiver)
	r.sameBooks()
}

// sameBooks holds all replicas to the same books and positions of each destination.
func (r *replicas) sameBooks() {
	r.t.Helper()
	want := r.leader().accounts()
	if len(want) == 0 || want[0].Books.Accepted == 0 {
		r.t.Errorf("the books of the leader: %+v", want)
	}
	for _, g := range r.all {
		got := g.accounts()
		for end := time.Now().Add(patience / 6); !reflect.DeepEqual(got, want) && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			got, want = g.accounts(), r.leader().accounts()
		}
		if !reflect.DeepEqual(got, want) {
			r.t.Errorf("the books of %s are %+v, and of the leader %+v", g.id, got, want)
		}
	}
}

// account is what a replica says of a destination, whoever sends to it.
type account struct {
	Name   string
	Paused bool
	Books  struct {
		Accepted, Delivered uint64
		InDoubt             uint64 `json:"in_doubt"`
		Pending             uint64
		Dropped             map[string]uint64
	}
	Shards []struct{ Acknowledged, Sent uint64 }
}

func (g *gateway) accounts() []account {
	var answer struct{ Data []account }
	_, body := get(g.url + "/api/v1/destinations")
	_ = json.Unmarshal([]byte(body), &answer) // none while it is not up
	for i := range answer.Data {
		if d := &answer.Data[i].Books.Dropped; len(*d) == 0 {
			*d = nil
		}
	}
	return answer.Data
}

// TestTakeOver does to the one that leads what can happen to it.
func TestTakeOver(t *testing.T) {
	r := newReplicas(t)
	r.leader()
	l := startLoad(t, 8, r.anyone)
	l.flow(100)
	for _, fault := range []struct {
		name string
		most time.Duration // without an answer
		do   func(*gateway)
	}{
		{"kill -9", 5 * time.Second, func(g *gateway) { g.kill(); l.flow(50); g.start() }},
		{"a proper stop", 2 * time.Second, func(g *gateway) { g.stop(); l.flow(50); g.start() }},
		{"a pause", 12 * time.Second, func(g *gateway) {
			_ = g.cmd.Process.Signal(syscall.SIGSTOP)
			time.Sleep(6 * time.Second)
			_ = g.cmd.Process.Signal(syscall.SIGCONT)
			eventually(t, "it knows that it was fenced", func() bool { return g.metric("pushbridge_queue_leads ") == 0 })
		}},
		{"kill -9 of the leading server", 12 * time.Second, func(*gateway) {
			s := r.leading()
			s.kill()
			time.Sleep(time.Second)
			s.start()
		}},
	} {
		began, failed, cut := time.Now(), l.failed.Load(), l.cut.Load()
		fault.do(r.leader())
		l.flow(100)
		silence := l.silence(began)
		t.Logf("%s: %v without an answer, %d pushes so far, %d cut off, %d failed", fault.name, silence.Round(time.Millisecond), l.pushes.Load(), l.cut.Load()-cut, l.failed.Load()-failed)
		if n := l.failed.Load() - failed; n > 0 {
			t.Errorf("%s: %d pushes failed", fault.name, n)
		}
		if silence > fault.most {
			t.Errorf("%s: no push was answered for %v", fault.name, silence)
		}
		r.leader()
	}
	l.stop()
	r.settled(l)
}
