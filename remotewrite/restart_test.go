package remotewrite

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/disk"
)

// life is one life of a process over a directory.
type life struct {
	*rig
	d    *Destination
	stop func()
	dir  string
}

func newLife(t *testing.T, dir string, r http.RoundTripper, change func(*Config)) *life {
	t.Helper()
	c := configFor(t, "http://receiver/")
	c.ProtobufMessage, c.Metadata.Send = Message1, false
	if change != nil {
		change(&c)
	}
	l := &life{dir: dir, rig: newRig(t, rigOptions{dir: dir, disk: disk.Options{Fsync: disk.Off, MinFreeBytes: -1}})}
	l.d = l.destination(c, Options{Transport: r})
	l.start()
	l.stop = running(t, l.d)
	return l
}

// killed ends a life as kill -9 does, and returns the directory that it leaves.
// The network of r must be down already.
func (l *life) killed(t *testing.T) string {
	t.Helper()
	to := l.dir + "x"
	kill(t, l.dir, to)
	l.end()
	return to
}

func (l *life) end() {
	l.stop()
	l.rig.stop()
}

// holding is a network that holds up requests, as somebody may who has read them whole.
type holding struct {
	to *receiver

	mu   sync.Mutex
	on   bool
	held [][]byte
}

var errHeld = errors.New("held up")

func (h *holding) RoundTrip(req *http.Request) (*http.Response, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.on {
		return h.to.RoundTrip(req)
	}
	b, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	h.held = append(h.held, b)
	return nil, errHeld
}

func (h *holding) hold(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.on = on
}

func (h *holding) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.held)
}

// TestRefreshHeldOverARestart: a refresh that was on its way when the process ended is sent
// again, as it was, before anything newer is. So it is nothing new when it arrives at last.
func TestRefreshHeldOverARestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := &holding{to: &receiver{}}
		l := newLife(t, filepath.Join(dir, "a"), h, nil)
		settled(t, l.d)
		l.put("a 1", "job", "j")
		settled(t, l.d)
		time.Sleep(time.Minute)
		h.hold(true)
		l.refresh()
		await(t, "the refresh is on its way", func() bool { return h.count() > 0 })
		left := l.killed(t)
		h.hold(false)
		time.Sleep(time.Second)
		l = newLife(t, left, h, nil)
		l.put("a 2", "job", "j")
		settled(t, l.d)
		for _, b := range h.held {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://receiver/", bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			(&client{headers: http.Header{"Content-Encoding": {"snappy"}, "User-Agent": {userAgent()}}}).setHeaders(req, Protocol1, 0)
			resp, err := h.to.RoundTrip(req) // which it may refuse, since it has it
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
		}
		l.end()
		noProblems(t, h.to)
		if got := h.to.got(); len(got) != 3 {
			t.Errorf("got %q, want the push, the refresh and the next push", got)
		}
	})
}

func TestNewDestinationGetsTheStateFirst(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		first := &receiver{}
		l := newLife(t, filepath.Join(dir, "a"), first, func(c *Config) { c.Name = "first" })
		settled(t, l.d)
		l.put("a 1", "job", "j")
		l.put("a 2", "job", "j")
		l.put("b 3", "job", "k")
		settled(t, l.d)
		l.end()
		time.Sleep(time.Hour)

		second := &receiver{}
		l = newLife(t, filepath.Join(dir, "a"), second, func(c *Config) { c.Name = "second" })
		books := settled(t, l.d)
		state, _ := l.d.ledger.ofUnstored()
		if books.Accepted != 0 || state.Delivered != 6 {
			t.Errorf("books %+v, of the state %+v", books, state)
		}
		l.put("a 4", "job", "j")
		settled(t, l.d)
		got := second.got()
		if len(got) != 3 || got[2] != "a{job=j} 4" {
			t.Errorf("got %q", got)
		}
		for _, s := range second.stored {
			if time.Since(time.UnixMilli(s.time)) > time.Minute {
				t.Errorf("not newly stamped: %v", s)
			}
		}
		l.end()
		l = newLife(t, filepath.Join(dir, "a"), second, func(c *Config) { c.Name = "second" })
		settled(t, l.d)
		if state, _ := l.d.ledger.ofUnstored(); state.Delivered != 0 {
			t.Errorf("sent the state again: %+v", state)
		}
		l.end()
		noProblems(t, second)
	})
}

func TestNewDestinationIsOwedTheStateUntilItHasIt(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t, filepath.Join(dir, "a"), &receiver{}, func(c *Config) { c.Name = "first" })
		l.put("a 1", "job", "j")
		l.put("b 1", "job", "k")
		settled(t, l.d)
		l.end()

		r := &receiver{answer: func(*request, int) reply { return reply{err: errors.New("down")} }}
		second := func(c *Config) { c.Name = "second" }
		l = newLife(t, filepath.Join(dir, "a"), r, second)
		l.put("a 2", "job", "j")
		time.Sleep(time.Minute)
		next := l.killed(t)

		r.answer = nil
		l = newLife(t, next, r, second)
		settled(t, l.d)
		l.end()
		noProblems(t, r)
		got := strings.Join(r.got(), "\n")
		if !strings.Contains(got, "b{job=k} 1") || !strings.Contains(got, "a{job=j} 2") {
			t.Errorf("got %s", got)
		}
	})
}

// What is between acknowledged and sent goes out alone, and what a receiver
// refuses of it is in doubt.
func TestReplayIsCareful(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(_ *request, n int) reply {
			if n == 0 {
				time.Sleep(time.Second) // meanwhile a batch gathers
				return reply{}
			}
			return reply{lost: true} // stored, and nobody knows
		}}
		l := newLife(t, filepath.Join(dir, "a"), r, nil)
		settled(t, l.d)
		l.put("a 1", "job", "j")
		await(t, "first request", func() bool { return len(r.all()) == 1 })
		l.put("a 2", "job", "j") // these three are in one batch
		l.put("a 3", "job", "j")
		l.put("b 1", "job", "j", "instance", "i")
		time.Sleep(2 * time.Second)
		l.put("a 4", "job", "j") // not tried
		synctest.Wait()
		r.answer = func(*request, int) reply { return reply{err: errors.New("down")} }
		next := l.killed(t)
		before := len(r.all())

		r.answer = nil
		l = newLife(t, next, r, nil)
		books := settled(t, l.d)
		var sizes []int
		for _, q := range r.all()[before:] {
			sizes = append(sizes, len(q.samples))
		}
		same(t, []int{3, 1, 2, 1, 1, 3, 3, 3}, sizes) // of a 2 none is taken
		if books.InDoubt != 3 || books.Delivered != 9 || len(books.Dropped) != 0 {
			t.Errorf("books %+v", books) // a 2 is not the newest any more: refused, and stored
		}
		same(t, []string{"a{job=j} 1", "a{job=j} 2", "a{job=j} 3", "b{instance=i,job=j} 1", "a{job=j} 4"}, r.got())
		noProblems(t, r)
		l.end()
	})
}

// TestReplayIsCut has a bad sample in a push that was on its way when the process
// was killed: a receiver that has rolled it back gets the others all the same.
func TestReplayIsCut(t *testing.T) {
	for _, style := range styles {
		for _, m := range []ProtobufMessage{Message1, Message2} {
			t.Run(style+" "+string(m), func(t *testing.T) {
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) { replayIsCut(t, dir, withBad(style), m) })
			})
		}
	}
}

func replayIsCut(t *testing.T, dir string, k *backend, m ProtobufMessage) {
	t.Helper()
	const n = 30
	message := func(c *Config) { c.ProtobufMessage = m }
	r := &receiver{answer: func(*request, int) reply { return reply{hang: true} }}
	l := newLife(t, filepath.Join(dir, "a"), r, message)
	settled(t, l.d)
	l.put(manySeries(n), "job", "j")
	await(t, "first request", func() bool { return len(r.all()) == 1 })
	next := l.killed(t)

	r = &receiver{answer: k.answer}
	l = newLife(t, next, r, message)
	books := settled(t, l.d)
	if books.Delivered != n+1 || books.InDoubt != 1 || k.got() != n+1 {
		t.Errorf("%d stored, books %+v", k.got(), books)
	}
	l.end()
}

func TestCleanRestartRepeatsNothing(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		for i, shards := range []int{4, 1, 3, 4} {
			l := newLife(t, filepath.Join(dir, "a"), r, func(c *Config) { c.Queue.MaxShards = shards })
			settled(t, l.d)
			for job := range 5 {
				l.put(fmt.Sprintf("a %d", i), "job", fmt.Sprint(job))
			}
			settled(t, l.d)
			l.end()
		}
		noProblems(t, r)
		seen := map[string]bool{}
		for _, q := range r.all() {
			for _, s := range q.samples {
				if seen[s.String()] {
					t.Errorf("sent twice: %v", s)
				}
				seen[s.String()] = true
			}
		}
	})
}

// downWhile returns a receiver that cannot be reached while down is set.
func downWhile(down *atomic.Bool) *receiver {
	return &receiver{answer: func(*request, int) reply {
		if down.Load() {
			return reply{err: errors.New("down")}
		}
		return reply{}
	}}
}

func TestDownReceiverGetsEverythingLater(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		r := downWhile(&down)
		small := func(c *Config) { c.Queue.Capacity = 20 }
		l := newLife(t, filepath.Join(dir, "a"), r, small)
		settled(t, l.d)
		for i := range 50 {
			l.put(fmt.Sprintf("a %d", i), "job", "j")
			time.Sleep(time.Minute)
		}
		l.end() // a stop in the middle of the outage
		l = newLife(t, filepath.Join(dir, "a"), r, small)
		l.put("a 50", "job", "j")
		if s := l.d.Status(); s.Books.Pending != 153 {
			t.Errorf("status %+v", s)
		}
		time.Sleep(time.Minute)
		if s := l.d.Status(); s.State != StateFailing || s.Lag < 50*time.Minute || s.LastError == "" {
			t.Errorf("status %+v", s)
		}
		down.Store(false)
		settled(t, l.d)
		if s := l.d.Status(); s.State != StateOK || s.Lag != 0 || s.Books.Pending != 0 || s.LastSuccess.IsZero() {
			t.Errorf("status %+v", s)
		}
		got := r.got()
		for i := range 51 {
			if len(got) <= i || got[i] != fmt.Sprintf("a{job=j} %d", i) {
				t.Fatalf("got %q", got)
			}
		}
		noProblems(t, r)
		l.end()
	})
}

func TestGapIsCounted(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		r := downWhile(&down)
		c := configFor(t, "http://receiver/")
		c.ProtobufMessage, c.Metadata.Send, c.Queue.Capacity = Message1, false, 10
		g := newRig(t, rigOptions{dir: dir, queue: queue.Options{RingBytes: 1 << 12}, disk: disk.Options{
			Fsync: disk.Off, MinFreeBytes: -1, MaxBytes: 64 << 10,
		}})
		reg := prometheus.NewPedanticRegistry()
		d := g.destination(c, Options{Transport: r, Registerer: reg})
		g.start()
		stop := running(t, d)
		var total uint64
		for i := range 400 {
			g.put(fmt.Sprintf("a{x=\"%d%s\"} %d", i, randomText(300), i), "job", "j")
			if i%50 == 0 {
				if err := g.Snapshot(); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
		}
		total = g.pushed.Load()
		down.Store(false)
		b := settled(t, d)
		if b.Accepted != total || b.Dropped["disk_bound"] == 0 {
			t.Errorf("of %d: %+v", total, b)
		}
		if got := testutil.ToFloat64(d.metrics.samples.dropped.WithLabelValues("disk_bound")); got != float64(b.Dropped["disk_bound"]) {
			t.Errorf("metric %v", got)
		}
		noProblems(t, r)
		stop()
		g.stop()
	})
}

// randomText does not compress.
func randomText(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(rand.IntN(26))
	}
	return string(b)
}

func TestDestinationsAreIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, rigOptions{})
		var all []*Destination
		healthy := &receiver{}
		for name, r := range map[string]*receiver{
			"healthy": healthy,
			"dead":    {answer: func(*request, int) reply { return reply{err: errors.New("refused")} }},
			"slow":    {answer: func(*request, int) reply { time.Sleep(10 * time.Second); return reply{} }},
		} {
			c := configFor(t, "http://receiver/")
			c.Name, c.ProtobufMessage = name, Message1
			c.Metadata.Send = false
			all = append(all, g.destination(c, Options{Transport: r}))
		}
		g.start()
		for _, d := range all {
			running(t, d)
		}
		for i := range 100 {
			began := time.Now()
			g.put(fmt.Sprintf("a %d", i), "job", "j")
			if took := time.Since(began); took > 100*time.Millisecond {
				t.Errorf("push took %v", took)
			}
			time.Sleep(time.Second)
		}
		for _, q := range healthy.all() {
			for _, s := range q.samples {
				if delay := q.at.Sub(time.UnixMilli(s.time)); delay > 200*time.Millisecond {
					t.Errorf("%v arrived after %v", s, delay)
				}
			}
		}
	})
}

// A group of which nothing is sent, since another one has its series but for an empty
// label, is no part of the first state: a destination is owed nothing of it.
func TestFirstStateWithAGroupThatIsNotSent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, rigOptions{dir: dir, disk: disk.Options{Fsync: disk.Off, MinFreeBytes: -1}})
		g.start()
		g.put("", "job", "a", "x", "")
		g.put("", "job", "a")
		g.stop()
		r := &receiver{}
		l := newLife(t, dir, r, nil)
		settled(t, l.d)
		l.put("m 1", "job", "b")
		settled(t, l.d)
		for n := range l.d.shards {
			if acked, _ := l.d.cursor.Position(n); acked < l.log.Head() {
				await(t, "acknowledged", func() bool { acked, _ := l.d.cursor.Position(n); return acked == l.log.Head() })
			}
		}
		l.end()
		noProblems(t, r)
	})
}

// The clock mark that the first state comes behind could not be written, or cannot
// be read: the state may hold what was not written either, and is asked for again.
func TestFirstStateThatWasNotWritten(t *testing.T) {
	g := newRig(t, rigOptions{})
	d := g.destination(configFor(t, "http://receiver/"), Options{})
	g.start()
	asked := 0
	d.o.State = func() *Restatement {
		asked++
		return &Restatement{Records: []*group.Record{benchRecord(t, 10)}}
	}
	x := &dispatcher{d: d}
	x.oweFirst()
	failed := errors.New("the disk is full")
	for _, row := range []struct {
		at    uint64
		mark  uint64 // settled before, unless 0
		err   error
		asked int
		put   bool
	}{
		{1, 0, nil, 1, false}, {2, 0, failed, 2, false}, // not written
		{3, 4, nil, 2, false}, {5, 0, nil, 3, false}, // written, and passed over: it cannot be read
		{5, 7, nil, 3, false}, {6, 0, nil, 3, false}, {7, 0, nil, 3, true},
	} {
		if row.mark != 0 || row.err != nil {
			x.owed.state.Settle(row.mark, row.err)
		}
		x.at = row.at
		if err := x.restate(t.Context(), &x.owed); err != nil {
			t.Fatal(err)
		}
		if put := d.shardOf("nightly_import").unsettled.Load() > 0; asked != row.asked || put != row.put {
			t.Errorf("at %d: asked %d times, put %t", row.at, asked, put)
		}
	}
}
