package main_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var (
	crashKills = flag.Int("crash.kills", 20, "how often each crash test kills the server")
	crashTime  = flag.Duration("crash.time", 0, "share this much time among the crash tests, whatever -crash.kills says")
	crashSeed  = flag.Uint64("crash.seed", 1, "seed of the crash tests: pushes, faults and moments")
)

// TestCrash kills the server with kill -9 again and again, under concurrent
// pushes and with a receiver that refuses 10 % of the requests and loses 5 % of
// its answers. It holds the server to promises P1 (answered means kept), P2
// (order) and P3 (what ended is marked stale).
func TestCrash(t *testing.T) {
	binary := serverBinary(t)
	tests := []struct {
		name  string
		only1 bool // the receiver takes nothing but remote write 1.0
		clock bool // the server's clock jumps by up to half a second, and groups are refreshed every second
	}{
		{name: "remote write 1.0", only1: true},
		{name: "newest protocol"},
		{name: "clock steps and refresh", clock: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &crash{
				binary:   binary,
				receiver: newStrictReceiver(*crashSeed, tt.only1),
				rng:      rand.New(rand.NewPCG(*crashSeed, 2)),
				dir:      t.TempDir(),
				time:     *crashTime / time.Duration(len(tests)+1), // one share is TestCrashBounds's
			}
			if tt.clock {
				c.clock = filepath.Join(c.dir, "clock")
			}
			for i := range 8 {
				c.pushers = append(c.pushers, newPusher(*crashSeed, i))
			}
			for i := range 40 {
				p := newPusher(*crashSeed, 8+i)
				p.idle = true
				c.pushers = append(c.pushers, p)
			}
			c.run(t)
		})
	}
}

// serverBinary returns the binary that is killed, a process of its own: TestMain
// has put this test binary into the path as pushbridge, so that with -race the
// server is watched as well.
func serverBinary(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("pushbridge")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// crash is one run: many lives of a server on one storage directory.
type crash struct {
	binary   string
	dir      string
	clock    string // file with the offset of the server's clock, empty for none
	receiver *strictReceiver
	target   string // the receiver's URL
	pushers  []*pusher
	rng      *rand.Rand
	time     time.Duration // how long to go on, 0 for -crash.kills
}

func (c *crash) run(t *testing.T) {
	srv := httptest.NewServer(c.receiver)
	defer srv.Close()
	defer srv.CloseClientConnections()
	c.target = srv.URL
	c.receiver.trouble(0.10, 0.05)
	begin := time.Now()
	kills, early := lives(t, c, c.rng, 150*time.Millisecond, c.time)
	c.settle(t)
	acked := 0
	for _, p := range c.pushers {
		acked += p.acked
	}
	refreshed := c.refreshed()
	if c.clock != "" && kills >= 50 && refreshed == 0 {
		t.Errorf("no idle group was refreshed in %d lives", kills)
	}
	t.Logf("%d kills (%d before ready) in %v: %d pushes acknowledged, all arrived; %d refreshes; receiver: %s",
		kills, early, time.Since(begin).Round(time.Millisecond), acked, refreshed, c.receiver.summary())
}

// refreshed counts the values of idle groups that came again, at a later time.
func (c *crash) refreshed() int {
	n := 0
	for _, p := range c.pushers {
		for s := range p.events {
			if p.idle {
				n += len(c.receiver.points(s)) - 1
			}
		}
	}
	return n
}

// mortal is a run of many lives of a server.
type mortal interface {
	start(t *testing.T) *server
	observe(t *testing.T, url string)         // once it is ready
	push(t *testing.T, url string, s *server) // until it is dead
	check(t *testing.T, s *server)
}

// lives starts the server of m, pushes, and kills it at a random moment up to
// longest after it was ready, one time in five while it still starts, and again
// for as long as limit, or -crash.kills times if that is 0. It returns how often,
// and how often the server was not ready.
func lives(t *testing.T, m mortal, rng *rand.Rand, longest, limit time.Duration) (kills, early int) {
	t.Helper()
	for begin := time.Now(); limit > 0 && time.Since(begin) < limit || limit == 0 && kills < *crashKills; kills++ {
		moment := time.Duration(rng.Int64N(int64(longest)))
		s := m.start(t)
		if rng.IntN(5) == 0 {
			early++
			time.Sleep(moment / 8) // the moment of the kill, not a wait for anything
			s.kill()
			continue
		}
		url := s.ready(t)
		m.observe(t, url)
		timer := time.AfterFunc(moment, s.kill)
		m.push(t, url, s)
		timer.Stop()
		s.kill()
		m.check(t, s)
	}
	return kills, early
}

func (c *crash) check(t *testing.T, s *server) {
	t.Helper()
	if v := c.violations(); v != "" {
		t.Fatalf("promise P2 broken:\n%s\nserver: %s", v, s.tail())
	}
}

// push lets all pushers push until the server is gone.
func (c *crash) push(t *testing.T, url string, s *server) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: len(c.pushers)}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	errs := make([]error, len(c.pushers))
	var wg sync.WaitGroup
	for i, p := range c.pushers {
		wg.Go(func() { errs[i] = p.run(t.Context(), client, url) })
	}
	stop := c.stepClock(t, &wg)
	<-s.done
	stop()
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("%v\nserver: %s", err, s.tail())
	}
}

func (c *crash) stepClock(t *testing.T, wg *sync.WaitGroup) (stop func()) {
	if c.clock == "" {
		return func() {}
	}
	return stepClock(t, wg, c.clock, c.rng.Uint64())
}

// stepClock sets a server's clock forth and back by up to half a second until
// the returned function is called.
func stepClock(t *testing.T, wg *sync.WaitGroup, file string, seed uint64) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	rng := rand.New(rand.NewPCG(seed, 3))
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if err := setClock(file, time.Duration(rng.Int64N(int64(time.Second)))-time.Second/2); err != nil {
				t.Error(err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	return cancel
}

func setClock(file string, offset time.Duration) error {
	if err := os.WriteFile(file+".new", []byte(offset.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// settle starts the server a last time, lets the receiver recover, and waits
// until everything has arrived. A clean stop and start then changes nothing.
func (c *crash) settle(t *testing.T) {
	c.receiver.trouble(0, 0)
	s := c.start(t)
	defer func() { s.kill() }()
	c.observe(t, s.ready(t))
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = c.missing(); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatalf("acknowledged and lost: %v\nserver: %s", err, s.tail())
	}
	if code := s.stop(t); code != 0 {
		t.Errorf("exit code after SIGTERM is %d\nserver: %s", code, s.tail())
	}
	s = c.start(t)
	c.observe(t, s.ready(t))
	if err := c.missing(); err != nil {
		t.Errorf("after a clean restart: %v", err)
	}
	if v := c.violations(); v != "" {
		t.Errorf("promise P2 broken:\n%s\nserver: %s", v, s.tail())
	}
}

// missing returns what has not arrived yet. A series that no group has any more
// must have ended, whoever pushed it.
func (c *crash) missing() error {
	alive := map[string]float64{}
	for _, p := range c.pushers {
		if err := p.missing(c.receiver); err != nil {
			return err
		}
		maps.Copy(alive, p.now.series(p.keys))
	}
	for _, s := range c.receiver.names() {
		pts := c.receiver.points(s)
		if _, ok := alive[s]; !ok && strings.HasPrefix(s, "crash_") && !pts[len(pts)-1].stale() {
			return fmt.Errorf("%s has ended, and is not marked stale at the receiver", s)
		}
	}
	return nil
}

func (c *crash) violations() string {
	c.receiver.mu.Lock()
	defer c.receiver.mu.Unlock()
	return strings.Join(c.receiver.violations, "\n")
}

// observe reads /metrics and tells each pusher what is shown of its groups.
func (c *crash) observe(t *testing.T, url string) {
	t.Helper()
	shown := make([]map[string]float64, len(c.pushers))
	for i := range shown {
		shown[i] = map[string]float64{}
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	mfs, err := p.TextToMetricFamilies(bytes.NewReader(fetch(t, url+"/metrics")))
	if err != nil {
		t.Fatalf("parse /metrics: %v", err)
	}
	for name, mf := range mfs {
		if !strings.HasPrefix(name, "crash_") && name != "push_time_seconds" {
			continue
		}
		for _, m := range mf.Metric {
			i, labels := ownerOf(m)
			maps.Copy(shown[i], expand(name, labels, m))
		}
	}
	for i, p := range c.pushers {
		p.observe(t, shown[i])
	}
}

// ownerOf returns the pusher that a metric belongs to, and its labels without
// empty ones, as pairs.
func ownerOf(m *dto.Metric) (int, []string) {
	owner := 0
	var labels []string
	for _, l := range m.Label {
		if l.GetName() == "pusher" {
			owner, _ = strconv.Atoi(l.GetValue()) // only pushers of this test use it
		}
		if l.GetValue() != "" {
			labels = append(labels, l.GetName(), l.GetValue())
		}
	}
	return owner, labels
}

// expand returns the series of a metric as remote write names them.
func expand(name string, labels []string, m *dto.Metric) map[string]float64 {
	h := m.GetHistogram()
	if h == nil {
		v := m.GetGauge().GetValue()
		if name == "push_time_seconds" {
			v = 0
		}
		return map[string]float64{mustSeries(name, labels, nil): v}
	}
	got := map[string]float64{
		mustSeries(name+"_sum", labels, nil):   h.GetSampleSum(),
		mustSeries(name+"_count", labels, nil): float64(h.GetSampleCount()),
	}
	for _, b := range h.Bucket {
		le := strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64)
		got[mustSeries(name+"_bucket", labels, []string{"le", le})] = float64(b.GetCumulativeCount())
	}
	return got
}

// server is one life of the server.
type server struct {
	cmd     *exec.Cmd
	out     *bytes.Buffer // may be read when done is closed
	address string        // the file that it writes its address to
	done    chan struct{}
}

func (c *crash) start(t *testing.T) *server {
	t.Helper()
	args := []string{"--storage.path=" + filepath.Join(c.dir, "data"), "--remote-write.url=" + c.target, "--log.level=warn"}
	if c.clock != "" {
		if err := setClock(c.clock, 0); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--test.clock-offset-file="+c.clock, "--refresh.interval=1s")
	}
	return startServer(t, c.binary, c.dir, args...)
}

// startServer starts the binary on a free port, with its working directory and
// the file with its address in dir.
func startServer(t *testing.T, binary, dir string, args ...string) *server {
	t.Helper()
	s := &server{out: &bytes.Buffer{}, address: filepath.Join(dir, "address"), done: make(chan struct{})}
	if err := os.Remove(s.address); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	args = append([]string{"--web.listen-address=127.0.0.1:0", "--web.listen-address-file=" + s.address}, args...)
	s.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), binary, args...)
	s.cmd.Dir = dir
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait() // how it ended is read from ProcessState
		close(s.done)
	}()
	t.Cleanup(s.kill)
	return s
}

// ready waits until the server is ready, and returns its URL.
func (s *server) ready(t *testing.T) string {
	t.Helper()
	return s.answers(t, http.StatusOK)
}

// listening waits until the server answers at all, and returns its URL.
func (s *server) listening(t *testing.T) string {
	t.Helper()
	return s.answers(t, http.StatusOK, http.StatusServiceUnavailable)
}

// answers waits until the question whether the server is ready has one of the
// answers, and returns its URL.
func (s *server) answers(t *testing.T, statuses ...int) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		select {
		case <-s.done:
			t.Fatalf("the server has ended: %v\n%s", s.cmd.ProcessState, s.out)
		default:
		}
		b, err := os.ReadFile(s.address)
		url := "http://" + strings.TrimSpace(string(b))
		if err == nil && slices.Contains(statuses, readiness(t, url)) {
			return url
		}
	}
	s.kill()
	t.Fatalf("the server does not become ready\n%s", s.out)
	return ""
}

func readiness(t *testing.T, url string) int {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/-/ready", nil)
	if err != nil {
		return 0 // the address is half written
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func fetch(t *testing.T, url string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d, %v", url, resp.StatusCode, err)
	}
	return b
}

// kill is kill -9.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended already
	<-s.done
}

func (s *server) stop(t *testing.T) int {
	t.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.done:
	case <-time.After(30 * time.Second):
		t.Fatal("the server does not stop")
	}
	return s.cmd.ProcessState.ExitCode()
}

// tail returns the last lines of the log of a server that has ended.
func (s *server) tail() string {
	s.kill()
	lines := strings.Split(strings.TrimSpace(s.out.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}
