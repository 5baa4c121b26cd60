package jetstream_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var (
	crashTime = flag.Duration("crash.time", 15*time.Second, "how long random faults go on")
	crashSeed = flag.Uint64("crash.seed", 0, "which faults; 0: others each time")
)

// newReplicasBehind starts replicas that reach each server, and the receiver, through proxies
// of their own.
func newReplicasBehind(t *testing.T) (r *replicas, servers, receivers [][]*proxy) {
	t.Helper()
	return newReplicasOf(t, "", false)
}

// newReplicasOf starts them from another binary, empty for the one that is tested. They may know each
// other's addresses.
func newReplicasOf(t *testing.T, binary string, advertise bool) (r *replicas, servers, receivers [][]*proxy) {
	t.Helper()
	r = &replicas{cluster: newCluster(t), receiver: newReceiver(t)}
	for _, id := range []string{"a", "b", "c"} {
		g := r.newGateway(id, "--replica.id="+id, "--storage.nats-stream=gateway")
		if g.binary = binary; advertise {
			g.args = append(g.args, "--replica.advertise-url="+g.url)
		}
		var own []*proxy
		for _, u := range r.urls() {
			p := newProxy(t, strings.TrimPrefix(u, "nats://"))
			own = append(own, p)
			g.args = append(g.args, "--storage.nats-url=nats://"+p.address())
		}
		out := newProxy(t, strings.TrimPrefix(r.url, "http://"))
		g.args = append(g.args, "--config.file="+write(t, t.TempDir()+"/"+id+".yml", fmt.Appendf(nil,
			"remote_write: [{name: receiver, url: \"http://%s/api/v1/write\", remote_timeout: 30s}]\n", out.address())))
		servers, receivers = append(servers, own), append(receivers, []*proxy{out})
		r.all = append(r.all, g)
		g.start()
	}
	return r, servers, receivers
}

// index returns which of the replicas g is.
func (r *replicas) index(g *gateway) int {
	for i := range r.all {
		if r.all[i] == g {
			return i
		}
	}
	r.t.Fatal("no such replica")
	return -1
}

func setAll(all []*proxy, cut, held bool) {
	for _, p := range all {
		p.set(cut, held)
	}
}

// TestLeaderCutOff: clients still reach the one that led, the servers and the others do not.
// It acknowledges nothing, the others go on, and what it had is theirs.
func TestLeaderCutOff(t *testing.T) {
	r, servers, _ := newReplicasBehind(t)
	old := r.leader()
	l := startLoad(t, 6, func(pusher, turn int) string {
		g := r.all[(pusher+turn)%len(r.all)]
		if g == old && pusher%2 == 0 { // half of them never wait for it
			g = r.all[(pusher+turn+1)%len(r.all)]
		}
		return g.url
	})
	l.flow(100)
	began := time.Now()
	setAll(servers[r.index(old)], true, false)
	stop, acked := make(chan struct{}), atomic.Int64{}
	var minority sync.WaitGroup
	for i := range 3 {
		minority.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				answer, err := do(http.MethodPost, fmt.Sprintf("%s/metrics/job/minority/pusher/m%d", old.url, i), strings.NewReader(fmt.Sprintf("cut %d\n", n)))
				if err != nil {
					continue
				}
				_ = answer.Body.Close()
				if answer.StatusCode == http.StatusOK {
					acked.Add(1)
				}
			}
		})
	}
	eventually(t, "another one leads", func() bool {
		for _, g := range r.all {
			if g != old && g.metric("pushbridge_queue_leads ") == 1 {
				return true
			}
		}
		return false
	})
	l.flow(200)
	silence := l.silence(began)
	t.Logf("%v without an answer", silence.Round(time.Millisecond))
	if silence > 12*time.Second {
		t.Errorf("no push was answered for %v", silence)
	}
	eventually(t, "the one that is cut off is not ready", func() bool { return !old.ready() })
	close(stop)
	minority.Wait()
	if n := acked.Load(); n != 0 {
		t.Errorf("%d pushes were acknowledged on the side of the minority", n)
	}
	setAll(servers[r.index(old)], false, false)
	l.flow(100)
	l.stop()
	r.settled(l)
}

// samplesPerPush: the gauge, and the two times that the gateway adds.
const samplesPerPush = 3

// TestHeldRequests: what the one that led has sent is held on its way, and arrives behind
// what the next one has sent. The receiver sees repeats, and nothing out of order. While the
// next one sends what is in doubt, record by record, it would find repeats beside new ones.
func TestHeldRequests(t *testing.T) {
	r, _, receivers := newReplicasBehind(t)
	old := r.leader()
	l := startLoad(t, 6, r.anyone)
	l.flow(100)
	out := receivers[r.index(old)]
	setAll(out, false, true)
	l.flow(200)
	kept := float64(l.pushes.Load())
	old.kill()
	l.flow(200)
	leader := r.leader()
	eventually(t, "the next one has sent what the old one had on its way", func() bool {
		return leader.metric("pushbridge_remotewrite_samples_delivered_total") >= kept*samplesPerPush
	})
	setAll(out, false, false) // now it arrives
	l.flow(200)
	old.start()
	l.stop()
	r.settled(l)
}

// fault is something that is done and undone.
type fault struct {
	name string
	do   func() (undo func())
}

// faults are those that chance may do. Of the servers one at a time is harmed, so that there
// is a majority of them; of the replicas, too.
func (r *replicas) faults(pick *rand.Rand) []fault {
	g, s := r.all[pick.IntN(len(r.all))], r.servers[pick.IntN(len(r.servers))]
	return []fault{
		{"kill -9 of replica " + g.id, func() func() { g.kill(); return g.start }},
		{"a proper stop of replica " + g.id, func() func() { g.stop(); return g.start }},
		{"a pause of replica " + g.id, func() func() {
			_ = g.cmd.Process.Signal(syscall.SIGSTOP)
			return func() { _ = g.cmd.Process.Signal(syscall.SIGCONT) }
		}},
		{"kill -9 of server " + s.url, func() func() { s.kill(); return s.start }},
		{"SIGTERM of server " + s.url, func() func() { s.term(); return s.start }},
		{"a pause of server " + s.url, func() func() {
			s.signal(syscall.SIGSTOP, false)
			return func() { s.signal(syscall.SIGCONT, false) }
		}},
	}
}

// TestCrashCluster does at random to replicas and servers what can happen to them.
func TestCrashCluster(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-crash.seed=%d", seed)
	pick := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // chance, and no secret
	r := newReplicas(t)
	r.leader()
	l := startLoad(t, 8, r.anyone)
	l.flow(100)
	began, n := time.Now(), 0
	for ; time.Since(began) < *crashTime || n < 3; n++ {
		all := r.faults(pick)
		f := all[pick.IntN(len(all))]
		length := time.Duration(pick.IntN(5000)) * time.Millisecond
		at := time.Now()
		undo := f.do()
		time.Sleep(length) // as long as chance wants it
		undo()
		l.flow(100)
		t.Logf("%s for %v: %v without an answer", f.name, length, l.silence(at).Round(time.Millisecond))
	}
	l.stop()
	t.Logf("%d faults in %v: %d pushes acknowledged, %d failed, the longest time without an answer was %v",
		n, time.Since(began).Round(time.Second), l.pushes.Load(), l.failed.Load(), l.silence(began).Round(time.Millisecond))
	r.settled(l)
}

// ownFamilies are those that every process has of itself.
var ownFamilies = regexp.MustCompile(`^(# (HELP|TYPE) )?(pushbridge|prometheus_remote_storage|promhttp|pushgateway|go|process)_`)

// pushedText is the part of /metrics that was pushed.
func (g *gateway) pushedText() string {
	_, body := get(g.url + "/metrics")
	var kept strings.Builder
	for line := range strings.Lines(body) {
		if !ownFamilies.MatchString(line) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
