package jetstream_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for a fact.
const patience = time.Minute

// gateway is a pushbridge process on a stream; it can be ended and started again.
type gateway struct {
	t       testing.TB
	id, url string
	binary  string // empty: binary(t)
	args    []string
	log     string
	cmd     *exec.Cmd
}

func binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("PUSHBRIDGE_BINARY")
	if path == "" {
		t.Fatal("PUSHBRIDGE_BINARY names no binary: use make e2e")
	}
	return path
}

// gateway starts one with a destination at the url to, if there is one.
func (c *cluster) gateway(id, to string, args ...string) *gateway {
	c.t.Helper()
	g := c.newGateway(id, "--replica.id="+id, "--storage.nats-stream=gateway")
	g.args = append(g.args, "--replica.advertise-url="+g.url)
	for _, u := range c.urls() {
		g.args = append(g.args, "--storage.nats-url="+u)
	}
	if to != "" {
		g.args = append(g.args, "--remote-write.url="+to)
	}
	g.args = append(g.args, args...)
	g.start()
	return g
}

// newGateway returns one that is not started.
func (c *cluster) newGateway(id string, args ...string) *gateway {
	c.t.Helper()
	port := ports(c.t, 1)[0]
	g := &gateway{t: c.t, id: id, url: fmt.Sprintf("http://127.0.0.1:%d", port), log: filepath.Join(c.t.TempDir(), "gateway-"+id+".log")}
	g.args = append([]string{fmt.Sprintf("--web.listen-address=127.0.0.1:%d", port), "--web.enable-admin-api"}, args...)
	c.t.Cleanup(func() {
		g.kill()
		if b, err := os.ReadFile(g.log); err == nil && c.t.Failed() {
			c.t.Logf("gateway %s: %s", g.id, tailOf(string(b), 60))
		}
	})
	return g
}

func (g *gateway) start() {
	g.t.Helper()
	out, err := os.OpenFile(g.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		g.t.Fatal(err)
	}
	defer out.Close()
	g.cmd = exec.CommandContext(context.Background(), cmp.Or(g.binary, binary(g.t)), g.args...)
	g.cmd.Stdout, g.cmd.Stderr = out, out
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := g.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
}

// kill ends it as kill -9 does.
func (g *gateway) kill() {
	if g.cmd != nil {
		_ = g.cmd.Process.Kill() // it may have ended
		_ = g.cmd.Wait()
		g.cmd = nil
	}
}

// stop ends it properly.
func (g *gateway) stop() {
	g.t.Helper()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		g.t.Fatal(err)
	}
	if err := g.cmd.Wait(); err != nil {
		g.t.Errorf("gateway %s: %v", g.id, err)
	}
	g.cmd = nil
}

var client = &http.Client{Timeout: 20 * time.Second}

// do sends a request that ends by itself.
func do(method, url string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(context.Background(), method, url, body)
	if err != nil {
		return nil, err
	}
	return client.Do(r)
}

// get returns the answer to a GET, and its status, 0 for none.
func get(url string) (status int, body string) {
	r, err := do(http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err.Error()
	}
	return r.StatusCode, string(b)
}

// eventually waits for a fact.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}

func (g *gateway) ready() bool {
	status, _ := get(g.url + "/-/ready")
	return status == http.StatusOK
}

// metric returns the sum of the samples whose line begins with prefix.
func (g *gateway) metric(prefix string) float64 {
	_, body := get(g.url + "/metrics")
	sum := 0.0
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			fields := strings.Fields(rest)
			if len(fields) > 0 {
				v, _ := strconv.ParseFloat(fields[len(fields)-1], 64)
				sum += v
			}
		}
	}
	return sum
}

// receiver is `pushbridge receive`, which judges the order of what it gets.
type receiver struct{ url string }

func newReceiver(t testing.TB) *receiver {
	t.Helper()
	file := filepath.Join(t.TempDir(), "address")
	output := filepath.Join(t.TempDir(), "samples")
	cmd := exec.CommandContext(context.Background(), binary(t), "receive", "--web.listen-address=127.0.0.1:0", "--web.listen-address-file="+file,
		"--strict", "--times", "--output="+output)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			logViolations(t, output)
		}
	})
	r := &receiver{}
	eventually(t, "the receiver listens", func() bool {
		b, err := os.ReadFile(file)
		r.url = "http://" + strings.TrimSpace(string(b))
		return err == nil && len(b) > 0
	})
	return r
}

// logViolations says what was wrong with what arrived, and what arrived right before.
func logViolations(t testing.TB, output string) {
	text, err := os.ReadFile(output)
	if err != nil {
		t.Error(err)
		return
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if strings.Contains(line, "VIOLATION") {
			t.Logf("arrived:\n%s", strings.Join(lines[max(0, i-20):i+1], "\n"))
		}
	}
}

func (r *receiver) write() string { return r.url + "/api/v1/write" }

// stats returns what the receiver counted.
func (r *receiver) stats(t testing.TB) (s struct{ Requests, Samples, Series, Violations, Repeats int }) {
	t.Helper()
	_, body := get(r.url + "/api/v1/stats")
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return s
}

// load is pushers, of which each writes rising values to a group of its own.
type load struct {
	t       testing.TB
	targets func(pusher, turn int) string
	end     context.CancelFunc
	done    sync.WaitGroup
	acked   []atomic.Int64 // the last value that was answered 200
	tried   []atomic.Int64
	turns   []atomic.Int64 // pushes that were not answered 200
	pushes  atomic.Int64
	failed  atomic.Int64 // not answered 200
	cut     atomic.Int64 // not answered at all: whoever was asked was not there, or ended

	mu      sync.Mutex
	answers []time.Time    // when pushes were answered 200
	ids     map[string]int // how often each push id was given
}

func startLoad(t testing.TB, pushers int, targets func(pusher, turn int) string) *load {
	ctx, end := context.WithCancel(context.Background())
	l := &load{t: t, targets: targets, end: end, acked: make([]atomic.Int64, pushers), tried: make([]atomic.Int64, pushers), turns: make([]atomic.Int64, pushers), ids: map[string]int{}}
	for i := range pushers {
		l.done.Go(func() { l.push(ctx, i) })
	}
	t.Cleanup(func() { end(); l.done.Wait() })
	return l
}

func (l *load) push(ctx context.Context, i int) {
	for n := int64(1); ctx.Err() == nil; n++ {
		l.tried[i].Store(n)
		body := strings.NewReader(fmt.Sprintf("# TYPE pushed gauge\npushed %d\n", n))
		r, err := do(http.MethodPost, fmt.Sprintf("%s/metrics/job/load/pusher/p%d", l.targets(i, int(l.turns[i].Load())), i), body)
		if err == nil {
			text, _ := io.ReadAll(r.Body)
			if r.StatusCode != http.StatusOK {
				l.t.Logf("%d: %s", r.StatusCode, text)
			}
			_ = r.Body.Close()
		}
		if err != nil || r.StatusCode != http.StatusOK {
			if l.turns[i].Add(1); err != nil {
				l.cut.Add(1)
			} else {
				l.failed.Add(1)
			}
			time.Sleep(20 * time.Millisecond)
			continue
		}
		l.acked[i].Store(n)
		l.pushes.Add(1)
		l.mu.Lock()
		l.answers = append(l.answers, time.Now())
		l.ids[r.Header.Get("X-Pushbridge-Push-Id")]++
		l.mu.Unlock()
	}
}

// stop ends the pushing.
func (l *load) stop() { l.end(); l.done.Wait() }

// flow waits until pushes are answered.
func (l *load) flow(n int64) {
	l.t.Helper()
	from := l.pushes.Load()
	eventually(l.t, "pushes are answered", func() bool { return l.pushes.Load() >= from+n })
}

// twice returns how many acknowledged pushes have got an id that another one has: a place in the
// log that was given out twice. It is why the servers are told what a writer expects.
func (l *load) twice() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, times := range l.ids {
		if id != "" {
			n += times - 1
		}
	}
	return n
}

// silence returns the longest time without an answer behind from.
func (l *load) silence(from time.Time) (longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.answers {
		if at.After(from) {
			longest, from = max(longest, at.Sub(from)), at
		}
	}
	return longest
}

var pushed = regexp.MustCompile(`(?m)^pushed\{instance="",job="load",pusher="p(\d+)"\} (\S+)$`)

// kept holds a gateway to everything that was acknowledged: it shows the last value that was
// answered, or a later one that was not.
func (l *load) kept(g *gateway) {
	l.t.Helper()
	acked := make([]int64, len(l.acked))
	for i := range acked {
		acked[i] = l.acked[i].Load()
	}
	_, body := get(g.url + "/metrics")
	shown := map[int]int64{}
	for _, m := range pushed.FindAllStringSubmatch(body, -1) {
		i, _ := strconv.Atoi(m[1])
		v, _ := strconv.ParseFloat(m[2], 64)
		shown[i] = int64(v)
	}
	for i := range acked {
		if v := shown[i]; v < acked[i] || v > l.tried[i].Load() {
			l.t.Errorf("gateway %s shows %d of pusher %d: %d was acknowledged, %d tried", g.id, v, i, acked[i], l.tried[i].Load())
		}
	}
}

// arrived waits until the destination has everything, in order, and the books say so.
func arrived(t testing.TB, g *gateway, r *receiver) {
	t.Helper()
	books := func(what string) float64 { return g.metric("pushbridge_remotewrite_samples_" + what + "{") }
	eventually(t, "nothing is pending", func() bool {
		return books("accepted_total") > 0 && books("pending") == 0
	})
	accepted, delivered := books("accepted_total"), books("delivered_total")
	if lost := books("dropped_total") + books("in_doubt_total"); accepted != delivered || lost != 0 {
		t.Errorf("the books: %v accepted, %v delivered, %v dropped or in doubt", accepted, delivered, lost)
	}
	if s := r.stats(t); s.Violations != 0 || s.Samples == 0 {
		t.Errorf("the receiver counted %+v", s)
	}
}
