package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
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
)

// TestCrashLetters kills the server again and again while its receiver refuses some
// samples for good, and at times turns everything away. The books balance at each end, the
// dead letters are what was refused and counted so, and replaying them, with kills in the
// middle, delivers each of them, in order.
func TestCrashLetters(t *testing.T) {
	binary := serverBinary(t)
	for _, message := range []string{"prometheus.WriteRequest", "io.prometheus.write.v2.Request"} {
		t.Run(message, func(t *testing.T) {
			c := &lettersCrash{
				binary: binary, dir: t.TempDir(), rng: rand.New(rand.NewPCG(*crashSeed, 7)),
				receiver: &refusingReceiver{strict: newStrictReceiver(*crashSeed, false)},
			}
			srv := httptest.NewServer(c.receiver)
			defer srv.Close()
			defer srv.CloseClientConnections()
			c.config = filepath.Join(c.dir, "config.yml")
			// Small batches: 64 requests always tell which samples of one are refused.
			text := fmt.Sprintf("remote_write: [{name: it, url: %q, protobuf_message: %s, metadata_config: {send: false}, queue_config: {max_samples_per_send: 20}}]\n", srv.URL, message)
			if err := os.WriteFile(c.config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			kills, _ := lives(t, c, c.rng, 150*time.Millisecond, *crashTime/8)
			c.refusedAll(t)
			replays := c.replay(t)
			t.Logf("%d kills, %d while replaying: %d pushes, %d samples in letters, all delivered; receiver: %s",
				kills, replays, c.acked, c.letters, c.receiver.strict.summary())
		})
	}
}

func bad(a arrived) bool { return strings.HasPrefix(a.series, "crash_bad{") }

// refusingReceiver refuses samples of crash_bad as Prometheus does, in 1.0 with all of the
// request, and at times turns everything away.
type refusingReceiver struct {
	strict *strictReceiver

	mu       sync.Mutex
	away     bool
	mended   bool
	turned   int
	refusals int
}

func (r *refusingReceiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return // the sender was killed in the middle of it
	}
	got, err := decodeRequest(q.Header.Get("Content-Type"), body)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil:
		r.strict.mu.Lock()
		r.strict.violatedLocked("%v", err)
		r.strict.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
	case r.away:
		r.turned++
		w.WriteHeader(http.StatusUnauthorized)
	case !r.mended && slices.ContainsFunc(got, bad):
		r.refusals++
		good := slices.DeleteFunc(got, bad)
		if q.Header.Get("Content-Type") == contentV2 {
			r.strict.mu.Lock()
			r.strict.storeLocked(good)
			r.strict.mu.Unlock()
			w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(len(good)))
		}
		http.Error(w, "out of bounds", http.StatusBadRequest)
	default:
		r.strict.mu.Lock()
		r.strict.storeLocked(got)
		r.strict.mu.Unlock()
		w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(len(got)))
		w.WriteHeader(http.StatusNoContent)
	}
}

func (r *refusingReceiver) set(away, mended bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away, r.mended = away, mended
}

// lettersCrash is one run.
type lettersCrash struct {
	binary, dir, config string
	receiver            *refusingReceiver
	rng                 *rand.Rand
	acked               int
	letters             int // samples in them in the end
}

func (c *lettersCrash) start(t *testing.T) *server {
	t.Helper()
	return startServer(t, c.binary, c.dir, "--storage.path="+c.data(), "--config.file="+c.config, "--log.level=warn", "--refresh.interval=0")
}

func (c *lettersCrash) data() string { return filepath.Join(c.dir, "data") }

func (c *lettersCrash) observe(*testing.T, string) { c.receiver.set(c.rng.IntN(4) == 0, false) }

// push pushes with four jobs until the server is gone.
func (c *lettersCrash) push(t *testing.T, url string, s *server) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for job := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				body := fmt.Sprintf("crash_good %d\ncrash_bad %d\n", n, n)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, fmt.Sprintf("%s/metrics/job/j%d", url, job), strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					return // killed
				}
				_ = resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					mu.Lock()
					c.acked++
					mu.Unlock()
				}
			}
		})
	}
	<-s.done
	wg.Wait()
}

func (c *lettersCrash) check(t *testing.T, s *server) {
	t.Helper()
	s.kill()
	c.balance(t)
	if v := c.receiver.strict.violations; len(v) > 0 {
		t.Fatalf("promise P2 broken:\n%s", strings.Join(v, "\n"))
	}
}

// lettersBooks are the books of a destination as `queue inspect` has them.
type lettersBooks struct {
	Accepted  uint64
	Delivered uint64
	Dropped   map[string]uint64
	InDoubt   uint64 `json:"in_doubt"`
	Pending   uint64
}

// balance reads the books of a dead server: accepted = delivered + dropped + in doubt +
// pending.
func (c *lettersCrash) balance(t *testing.T) (b lettersBooks) {
	t.Helper()
	var report struct {
		Cursors []struct{ Books *lettersBooks }
	}
	if err := json.Unmarshal(c.command(t, "queue", "inspect", "--json", c.data()), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Cursors) == 0 || report.Cursors[0].Books == nil {
		return b
	}
	b = *report.Cursors[0].Books
	sum := b.Delivered + b.InDoubt + b.Pending
	for _, n := range b.Dropped {
		sum += n
	}
	if sum != b.Accepted {
		t.Fatalf("the books do not balance: %+v\n%s", b, c.command(t, "queue", "inspect", c.data()))
	}
	return b
}

func (c *lettersCrash) command(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.binary, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%d pushes were kept", strings.Join(args, " "), err, &said, c.acked)
	}
	return out
}

// settled starts a server, waits until nothing is pending and stops it.
func (c *lettersCrash) settled(t *testing.T) lettersBooks {
	t.Helper()
	s := c.start(t)
	url := s.ready(t)
	c.receiver.set(false, false)
	waitFor(t, s, "nothing is pending", func() bool {
		return strings.Contains(string(fetch(t, url+"/metrics")), "pushbridge_remotewrite_samples_pending{destination=\"it\"} 0\n")
	})
	if code := s.stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, s.tail())
	}
	return c.balance(t)
}

func waitFor(t *testing.T, s *server, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s\nserver: %s", what, s.tail())
		}
	}
}

// refusedAll checks that the letters are what was refused and counted so: samples of
// crash_bad, none of which the receiver has, each one once.
func (c *lettersCrash) refusedAll(t *testing.T) {
	t.Helper()
	b := c.settled(t)
	seen := map[string]bool{}
	for line := range strings.Lines(string(c.command(t, "dead-letters", "export", c.data()))) {
		var x struct {
			Labels    map[string]string
			Timestamp int64
			Reason    string
		}
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprint(x.Labels["job"], x.Timestamp)
		if x.Labels["__name__"] != "crash_bad" || x.Reason != "refused" || seen[key] {
			t.Errorf("letter of what was not refused, or twice: %s", line)
		}
		seen[key] = true
	}
	c.letters = len(seen)
	if uint64(c.letters) != b.Dropped["refused"] || len(b.Dropped) > 1 || c.letters == 0 {
		t.Errorf("%d samples in letters, books %+v\n%s", c.letters, b, c.command(t, "dead-letters", "list", c.data()))
	}
	if got := len(seen) + int(b.InDoubt); got < c.acked {
		t.Errorf("%d bad samples are accounted for, %d were pushed", got, c.acked)
	}
	if c.receiver.turned == 0 && *crashKills >= 20 {
		t.Error("the receiver never turned anything away")
	}
}

// replay replays the letters at a receiver that was mended, with kills in the middle.
func (c *lettersCrash) replay(t *testing.T) (kills int) {
	t.Helper()
	before := c.balance(t)
	for ; kills < 3; kills++ {
		s := c.start(t)
		s.ready(t)
		c.receiver.set(false, true)
		c.command(t, "dead-letters", "replay", c.data())
		time.Sleep(time.Duration(c.rng.Int64N(int64(20 * time.Millisecond)))) // the moment of the kill, not a wait for anything
		s.kill()
		c.balance(t)
	}
	s := c.start(t)
	url := s.ready(t)
	c.receiver.set(false, true)
	c.command(t, "dead-letters", "replay", c.data())
	waitFor(t, s, "all letters are delivered", func() bool {
		return strings.Contains(string(fetch(t, url+"/metrics")), "pushbridge_deadletter_samples{destination=\"it\"} 0\n")
	})
	if code := s.stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, s.tail())
	}
	after := c.balance(t)
	if len(after.Dropped) > 0 || after.Delivered != before.Delivered+uint64(c.letters) || after.InDoubt != before.InDoubt {
		t.Errorf("books %+v before, %+v after, %d letters", before, after, c.letters)
	}
	arrived := 0
	for _, name := range c.receiver.strict.names() {
		if strings.HasPrefix(name, "crash_bad{") {
			arrived += c.receiver.strict.count(name)
		}
	}
	if arrived != c.letters {
		t.Errorf("%d samples arrived, %d were in letters", arrived, c.letters)
	}
	if v := c.receiver.strict.violations; len(v) > 0 {
		t.Errorf("promise P2 broken:\n%s", strings.Join(v, "\n"))
	}
	return kills
}
