package jetstream_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// fence is how the gateway tells the servers what it expects, and unfenced is what a build has
// instead that believes to be alone. The binary that is shipped has no switch for it.
var (
	fence = []string{
		"Header: nats.Header{jetstream.ExpectedLastSeqHeader: {strconv.FormatUint(expect, 10)}},",
		"return a.Seq, nil",
	}
	unfenced = []string{
		`Header: nats.Header{"Expected-By-Nobody": {strconv.FormatUint(expect, 10)}},`,
		"_ = a; return expect + 1, nil",
	}
)

// unfencedBinary builds the gateway without the fence.
func unfencedBinary(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir, source := t.TempDir(), filepath.Join(root, "queue", "jetstream", "nats.go")
	b, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := range fence {
		if strings.Count(text, fence[i]) != 1 {
			t.Fatalf("%s has not exactly one %q", source, fence[i])
		}
		text = strings.Replace(text, fence[i], unfenced[i], 1)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{source: write(t, filepath.Join(dir, "nats.go"), []byte(text))}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "pushbridge")
	build := exec.CommandContext(context.Background(), "go", "build", "-overlay", write(t, filepath.Join(dir, "overlay.json"), overlay), "-o", path, "./cmd/pushbridge")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// TestFence: the one that leads stands still until another one leads, and hears of nothing when it
// goes on, since what the servers send unasked does not reach it. It believes to lead. The servers do not let it
// write: what is acknowledged has a place of its own in the log, and is kept. Without the
// fence the very same gives places out twice: so this test sees what it is for.
func TestFence(t *testing.T) {
	t.Run("with", func(t *testing.T) {
		r, servers, _ := newReplicasOf(t, "", true)
		l := r.awakenDeaf(servers)
		r.settled(l)
	})
	t.Run("without", func(t *testing.T) {
		r, servers, _ := newReplicasOf(t, unfencedBinary(t), true)
		l := r.awakenDeaf(servers)
		n := l.twice()
		t.Logf("%d of %d acknowledged pushes have got a place that another one has", n, l.pushes.Load())
		if n == 0 {
			t.Error("without the fence no place in the log was given out twice")
		}
	})
}

// awakenDeaf does it, and returns what was pushed meanwhile.
func (r *replicas) awakenDeaf(servers [][]*proxy) *load {
	r.t.Helper()
	old := r.all[0]
	old.kill()
	for _, p := range servers[0] {
		p.exchange([2]string{"SUB gateway.tail ", "SUB gateway.deaf "})
	}
	old.start()
	for _, g := range r.all[1:] {
		g.kill()
	}
	eventually(r.t, "the deaf one leads", old.ready)
	for _, g := range r.all[1:] {
		g.start()
		eventually(r.t, g.id+" is up", func() bool { status, _ := get(g.url + "/-/healthy"); return status == http.StatusOK })
	}
	l := startLoad(r.t, 6, func(pusher, turn int) string { // to the deaf one until it refuses, or always to another one
		if pusher%2 == 0 {
			return r.all[turn%3].url
		}
		return r.all[1+(pusher/2+turn)%2].url
	})
	l.flow(30)
	_ = old.cmd.Process.Signal(syscall.SIGSTOP)
	eventually(r.t, "another one leads", func() bool {
		return r.all[1].metric("pushbridge_queue_leads ")+r.all[2].metric("pushbridge_queue_leads ") == 1
	})
	l.flow(30)
	_ = old.cmd.Process.Signal(syscall.SIGCONT)
	before := l.acked[0].Load()
	eventually(r.t, "a push to the one that stood still is answered, here or elsewhere", func() bool { return l.acked[0].Load() > before+5 })
	l.flow(100)
	l.stop()
	for _, p := range servers[0] { // it hears again
		p.exchange([2]string{})
		p.set(true, false)
		p.set(false, false)
	}
	return l
}
