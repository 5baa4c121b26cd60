package replica

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/lane"
	"github.com/pushbridge/pushbridge/queue"
)

// stream is a log that somebody else writes, as the test says.
type stream struct {
	*queue.Memory

	mu      sync.Mutex
	leader  queue.Leader
	records [][]byte
	moved   chan struct{}
}

func (s *stream) Leads() bool             { return s.Leader().Here }
func (s *stream) Held() error             { return nil }
func (s *stream) Moved() <-chan struct{}  { return s.moved }
func (s *stream) Ready(floor int64) error { return queue.ErrElsewhere }

func (s *stream) Note(string) string           { return "" }
func (s *stream) SetNote(string, string) error { return queue.ErrElsewhere }

func (s *stream) Leader() queue.Leader {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.leader
	l.Head = uint64(len(s.records))
	return l
}

func (s *stream) lead(l queue.Leader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leader = l
}

// write adds what another replica has written.
func (s *stream) write(r *group.Record) {
	s.mu.Lock()
	s.records = append(s.records, group.EncodeRecord(nil, r))
	s.mu.Unlock()
	s.moved <- struct{}{}
}

func (s *stream) Tail(at queue.Place) queue.Tail { return &tail{s, at} }

type tail struct {
	s  *stream
	at queue.Place
}

func (t *tail) At() queue.Place { return t.at }
func (t *tail) Close() error    { return nil }

func (t *tail) Next(decode func(queue.Entry, []byte) error) error {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if t.at.Seq >= uint64(len(t.s.records)) {
		return io.EOF
	}
	b := t.s.records[t.at.Seq]
	t.at.Seq++
	return decode(queue.Entry{Seq: t.at.Seq}, b)
}

// intake takes everything in.
type intake struct{}

func (intake) Keep(_ http.ResponseWriter, r *http.Request) ([]byte, func(bool), error) {
	b, err := io.ReadAll(r.Body)
	return b, func(bool) {}, err
}
func (intake) Key(*http.Request) group.Labels { return key }
func (intake) Refuse(w http.ResponseWriter, _ *http.Request, err error) {
	http.Error(w, err.Error(), http.StatusBadRequest)
}

var key = group.NewLabels([]group.Label{{Name: "job", Value: "a"}})

// rig is a replica, and the others as far as it sees them.
type rig struct {
	t testing.TB
	*stream
	*Replicas

	mu    sync.Mutex
	asked []string // "NAME METHOD PATH BODY"
}

func openRig(t testing.TB, hold time.Duration) *rig {
	t.Helper()
	r := &rig{t: t, stream: &stream{Memory: queue.NewMemory(), moved: make(chan struct{})}}
	g, err := gateway.Open(r.stream, gateway.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Replicas, err = New(Options{Gateway: g, Intake: intake{}, ID: "me", Prefix: "/here", HoldTimeout: hold}); err != nil {
		t.Fatal(err)
	}
	return r
}

// newRig returns one whose log runs. It learns that others lead.
func newRig(t testing.TB, hold time.Duration) *rig {
	t.Helper()
	r := openRig(t, hold)
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.o.Gateway.Log().Run(ctx) }()
	t.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

// other is another replica, which answers as the test says.
func (r *rig) other(name string, answer http.HandlerFunc) queue.Leader {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		r.asked = append(r.asked, fmt.Sprintf("%s %s %s %s", name, q.Method, q.URL.RequestURI(), b))
		r.mu.Unlock()
		answer(w, q)
	}))
	r.t.Cleanup(srv.Close)
	epoch := uint64(name[0] - 'a' + 1)
	return queue.Leader{ID: name, Address: srv.URL + "/there", Epoch: epoch}
}

// behindLane makes a replica lead that serves h as a gateway does.
func (r *rig) behindLane(h http.Handler) {
	r.t.Helper()
	inner, err := new(net.ListenConfig).Listen(r.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	quiet := log.New(io.Discard, "", 0)
	l := lane.New(inner, lane.Options{Handler: h, Path: "/metrics/job", HeaderTimeout: time.Minute, IdleTimeout: time.Minute, ErrorLog: quiet})
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ErrorLog: quiet}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l) // until it is closed
	}()
	r.t.Cleanup(func() {
		_ = srv.Close()
		l.Cut()
		<-served
	})
	r.lead(queue.Leader{ID: "a", Address: "http://" + inner.Addr().String(), Epoch: 1})
}

func (r *rig) questions() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

// record is that of a push with a token.
func record(t testing.TB, token string) *group.Record {
	t.Helper()
	n, err := strconv.Atoi(token)
	if err != nil || n == 0 {
		t.Fatalf("token %q: %v", token, err)
	}
	return &group.Record{Kind: group.KindPut, Labels: key, Time: 5, Push: 7*int64(time.Millisecond) + int64(n), Part: group.NewBuilder().Part()}
}

func answered(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Said", "yes")
	w.WriteHeader(http.StatusAccepted)
}

// TestForwardOnce: whatever becomes of the one that leads, a push is carried out once, or nobody can
// know.
func TestForwardOnce(t *testing.T) {
	const once = "a PUT /there/metrics/job/a?x=1 m 1\n"
	cut := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for _, row := range []struct {
		name   string
		hold   time.Duration
		play   func(r *rig)
		status int
		asked  []string
	}{
		{"answered", time.Minute, func(r *rig) { r.lead(r.other("a", answered)) }, 202, []string{once}},
		{"it does not lead any more", time.Minute, func(r *rig) {
			b := r.other("b", answered)
			r.lead(r.other("a", func(w http.ResponseWriter, _ *http.Request) {
				r.lead(b)
				w.Header().Set(elsewhereHeader, untouched)
				w.WriteHeader(http.StatusMisdirectedRequest)
			}))
		}, 202, []string{once, "b" + once[1:]}},
		{"it is not there", time.Minute, func(r *rig) {
			gone := r.other("a", answered)
			b := r.other("b", answered)
			gone.Address = "http://127.0.0.1:1"
			r.lead(gone)
			time.AfterFunc(50*time.Millisecond, func() { r.lead(b) })
		}, 202, []string{"b" + once[1:]}},
		{"cut, and kept", time.Minute, func(r *rig) {
			b := r.other("b", answered)
			r.lead(r.other("a", func(w http.ResponseWriter, q *http.Request) {
				r.write(record(r.t, q.Header.Get(tokenHeader)))
				r.lead(b)
				cut(w, q)
			}))
		}, 200, []string{once}},
		{"lost the lead, and kept", time.Minute, func(r *rig) {
			r.lead(r.other("a", func(w http.ResponseWriter, q *http.Request) {
				go r.write(record(r.t, q.Header.Get(tokenHeader)))
				w.Header().Set(elsewhereHeader, unknown)
				w.WriteHeader(http.StatusServiceUnavailable)
			}))
		}, 200, []string{once}},
		{"cut, and not kept", time.Minute, func(r *rig) {
			b := r.other("b", answered)
			r.lead(r.other("a", func(w http.ResponseWriter, q *http.Request) {
				other := record(r.t, q.Header.Get(tokenHeader))
				other.Push++ // somebody else's push
				r.write(other)
				r.lead(b)
				cut(w, q)
			}))
		}, 202, []string{once, "b" + once[1:]}},
		{"cut, and it goes on leading", 200 * time.Millisecond, func(r *rig) { r.lead(r.other("a", cut)) }, 503, []string{once}},
		{"it stands still until another one leads", time.Minute, func(r *rig) {
			b := r.other("b", answered)
			r.lead(r.other("a", func(_ http.ResponseWriter, q *http.Request) {
				r.lead(b)
				<-q.Context().Done()
			}))
		}, 202, []string{once, "b" + once[1:]}},
		{"it stops, and another one leads", time.Minute, func(r *rig) {
			a, b := r.other("a", answered), r.other("b", answered)
			a.Gone = true
			r.lead(a)
			time.AfterFunc(50*time.Millisecond, func() { r.lead(b) })
		}, 202, []string{"b" + once[1:]}},
		{"nobody leads", 200 * time.Millisecond, func(*rig) {}, 503, nil},
	} {
		for _, query := range []string{"?x=1", ""} { // by net/http, and without it
			t.Run(row.name+query, func(t *testing.T) { forwardedOnce(t, row.hold, row.play, query, row.status, row.asked) })
		}
	}
}

func forwardedOnce(t *testing.T, hold time.Duration, play func(*rig), query string, status int, asked []string) {
	t.Helper()
	r := newRig(t, hold)
	play(r)
	here := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("carried out here") })
	w := httptest.NewRecorder()
	q := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/here/metrics/job/a"+query, strings.NewReader("m 1\n"))
	r.Forward(here).ServeHTTP(w, q)
	if w.Code != status || (w.Code == http.StatusServiceUnavailable) != (w.Header().Get("Retry-After") != "") {
		t.Errorf("answered %d %v %s, want %d", w.Code, w.Header(), w.Body, status)
	}
	if w.Code == http.StatusOK && w.Header().Get(gateway.PushIDHeader) != r.o.Gateway.PushID(1, key).String() {
		t.Errorf("the push is called %v", w.Header())
	}
	if w.Code == http.StatusAccepted && w.Header().Get("X-Said") != "yes" {
		t.Errorf("headers %v", w.Header())
	}
	if got, want := strings.Join(r.questions(), ""), strings.ReplaceAll(strings.Join(asked, ""), "?x=1", query); got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	if n := testutil.ToFloat64(r.metrics.held); n != 0 {
		t.Errorf("%v are held", n)
	}
}

// TestReadYourWrite: an answer waits until what it tells of can be read here.
func TestReadYourWrite(t *testing.T) {
	r := newRig(t, time.Minute)
	r.lead(r.other("a", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set(headHeader, "1")
		time.AfterFunc(50*time.Millisecond, func() { r.write(record(t, q.Header.Get(tokenHeader))) })
	}))
	w := httptest.NewRecorder()
	q := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/here/metrics/job/a", strings.NewReader("m 1\n"))
	r.Forward(nil).ServeHTTP(w, q)
	if g := r.o.Gateway.State().Lookup(key); g == nil || w.Code != http.StatusOK || w.Header().Get(headHeader) != "" {
		t.Errorf("answered %d %v, and the group is %+v", w.Code, w.Header(), g)
	}
}

// TestNamesOfPushesAreForwarded: the one that adds up must know which pushes come again.
func TestNamesOfPushesAreForwarded(t *testing.T) {
	r := newRig(t, time.Minute)
	headers := make(chan http.Header, 1)
	r.lead(r.other("a", func(w http.ResponseWriter, q *http.Request) {
		headers <- q.Header.Clone()
		answered(w, q)
	}))
	q := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/here/metrics/job/a", nil)
	for _, name := range []string{"Idempotency-Key", "X-Pushbridge-Push-Id"} {
		q.Header.Set(name, "name of "+name)
	}
	r.Forward(nil).ServeHTTP(httptest.NewRecorder(), q)
	seen := <-headers
	for _, name := range []string{"Idempotency-Key", "X-Pushbridge-Push-Id"} {
		if got := seen.Get(name); got != "name of "+name {
			t.Errorf("%s: the leader got %q", name, got)
		}
	}
}

// TestForwardedPlainly: a lane takes what was forwarded, also behind requests that it does not take, and
// nobody asks it for what is none of its own.
func TestForwardedPlainly(t *testing.T) {
	r := newRig(t, time.Minute)
	ways := make(chan string, 1)
	r.behindLane(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		if q.Method != http.MethodGet {
			ways <- fmt.Sprintf("%T", w)
		}
	}))
	for i, row := range []struct{ method, path, body, want string }{
		{http.MethodPut, "/metrics/job/a", "m 1\n", "*lane.answer"},
		{http.MethodPost, "/metrics/job/a%2Fb", "m 1\n", "*lane.answer"},
		{http.MethodPut, "/metrics/job/a?wait=delivered", "m 1\n", "*http.response"},
		{http.MethodPut, "/metrics/job/a", "", "*http.response"},
		{http.MethodDelete, "/metrics/job/a", "", "*http.response"},
		{http.MethodPut, "/metrics/job/a", strings.Repeat("m 1\n", 100_000), "*http.response"},
		{http.MethodPut, "/metrics/job/a", strings.Repeat("m 1\n", 10_000), "*lane.answer"},
	} {
		r.ask(t.Context())
		w := httptest.NewRecorder()
		r.Forward(nil).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), row.method, "/here"+row.path, strings.NewReader(row.body)))
		if got := <-ways; w.Code != http.StatusOK || got != row.want {
			t.Errorf("request %d: %d, by %s, want %s", i, w.Code, got, row.want)
		}
	}
}

// TestForwardedOnce: what another replica has forwarded goes no further.
func TestForwardedOnce(t *testing.T) {
	r := newRig(t, time.Minute)
	r.lead(r.other("a", answered))
	w := httptest.NewRecorder()
	q := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/here/metrics/job/a", strings.NewReader("m 1\n"))
	q.Header.Set(byHeader, "b")
	q.Header.Set(epochHeader, "1")
	r.Forward(nil).ServeHTTP(w, q)
	if w.Code != http.StatusMisdirectedRequest || w.Header().Get(elsewhereHeader) != untouched || r.questions() != nil {
		t.Errorf("answered %d %v, asked %q", w.Code, w.Header(), r.questions())
	}
}

// TestTelling: another replica hears with each answer how far the log is, and when nobody knows what
// became of its request.
func TestTelling(t *testing.T) {
	r := openRig(t, time.Minute) // a log that does not run takes records, and does not lead
	r.lead(queue.Leader{ID: "me", Epoch: 7, Here: true})
	for _, row := range []struct {
		answer          http.HandlerFunc
		status          int
		text, elsewhere string
	}{
		{func(http.ResponseWriter, *http.Request) {}, http.StatusOK, "", ""},
		{answered, http.StatusAccepted, "", ""},
		{func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "yes") }, http.StatusOK, "yes", ""},
		{func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) }, http.StatusServiceUnavailable, "no\n", unknown},
	} {
		w := httptest.NewRecorder()
		q := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/here/metrics/job/a", strings.NewReader("m 1\n"))
		q.Header.Set(byHeader, "b")
		q.Header.Set(epochHeader, "7")
		r.Forward(row.answer).ServeHTTP(w, q)
		if got := w.Header().Get(elsewhereHeader); w.Code != row.status || w.Body.String() != row.text || got != row.elsewhere || w.Header().Get(headHeader) != "0" {
			t.Errorf("answered %d %q %v, want %+v", w.Code, w.Body, w.Header(), row)
		}
	}
}

// TestReady: a replica that does not lead is of use while it is up to date and can reach the one
// that does.
func TestReady(t *testing.T) {
	r := newRig(t, 200*time.Millisecond)
	a := r.other("a", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	r.lead(a)
	for r.o.Gateway.Log().Err() == nil { // it does not run yet
		time.Sleep(time.Millisecond)
	}
	if err := r.Replicas.Ready(); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("before it has asked: %v", err)
	}
	r.ask(t.Context())
	if err := r.Replicas.Ready(); err != nil {
		t.Errorf("when it was answered: %v", err)
	}
	a.Silent = time.Second
	r.lead(a)
	if err := r.Replicas.Ready(); err == nil || !strings.Contains(err.Error(), "nothing was heard") {
		t.Errorf("in silence: %v", err)
	}
}
