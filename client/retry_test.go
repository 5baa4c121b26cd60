package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// gateway answers each request by the next of steps, and notes what came.
type gateway struct {
	*httptest.Server
	mu    sync.Mutex
	steps []http.HandlerFunc
	got   []string // method, path, body
	ids   []string
}

func newGateway(t *testing.T, steps ...http.HandlerFunc) (*gateway, *Client) {
	t.Helper()
	g := &gateway{steps: steps}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	c, err := New(Options{URL: g.URL, AttemptTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return g, c
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	g.mu.Lock()
	g.got = append(g.got, r.Method+" "+r.URL.Path+" "+string(body))
	g.ids = append(g.ids, r.Header.Get(IDHeader))
	step := g.steps[0]
	if len(g.steps) > 1 {
		g.steps = g.steps[1:]
	}
	g.mu.Unlock()
	step(w, r)
}

func status(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, text, code) }
}

// lost takes the push and is gone before it has answered.
func lost(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func kept(http.ResponseWriter, *http.Request) {}

func TestDo(t *testing.T) {
	refused := func(status int, text string) error { return &RefusedError{status, text} }
	for _, tt := range []struct {
		name     string
		steps    []http.HandlerFunc
		attempts int
		want     error
	}{
		{"kept", []http.HandlerFunc{kept}, 1, nil},
		{"accepted", []http.HandlerFunc{status(202, "")}, 1, nil},
		{"the answer is lost", []http.HandlerFunc{lost, kept}, 2, nil},
		{"busy", []http.HandlerFunc{status(503, "full"), status(429, "slow down"), kept}, 3, nil},
		{"refused", []http.HandlerFunc{status(400, "no")}, 1, refused(400, "no")},
		{"refused after an error", []http.HandlerFunc{status(500, ""), status(401, "who?")}, 2, refused(401, "who?")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, c := newGateway(t, tt.steps...)
			err := c.Do(t.Context(), NewPush(http.MethodPut, []Label{{"job", "a"}}, []byte("m 1\n")))
			if diff := cmp.Diff(tt.want, err); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if len(g.ids) != tt.attempts {
				t.Errorf("%d attempts, want %d", len(g.ids), tt.attempts)
			}
			for i, id := range g.ids {
				if id == "" || id != g.ids[0] || g.got[i] != "PUT /metrics/job/a m 1\n" {
					t.Errorf("attempt %d: id %q, %s", i, id, g.got[i])
				}
			}
		})
	}
}

// transport answers after a while, unless nobody waits so long.
type transport time.Duration

func (d transport) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-time.After(time.Duration(d)):
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}
}

// TestLongBody: what takes long to be sent has more time than what has an answer to wait for
// only.
func TestLongBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{base: "http://h", timeout: 10 * time.Second, http: &http.Client{Transport: transport(45 * time.Second)}}
		if err := c.Once(t.Context(), Request{Method: http.MethodPut, Body: make([]byte, 4_000_000)}); err != nil {
			t.Errorf("4 MB in 45 s: %v", err)
		}
		for _, size := range []int{0, 1000, 3_000_000} {
			if err := c.Once(t.Context(), Request{Method: http.MethodPut, Body: make([]byte, size)}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%d bytes in 45 s: %v", size, err)
			}
		}
	})
}

// TestRedirects takes no page that a push was sent to for an answer to it.
func TestRedirects(t *testing.T) {
	elsewhere := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", status) }
	}
	for _, tt := range []struct {
		name   string
		status int
		want   []string // what comes
		kept   bool
	}{
		{"the same again, elsewhere", 307, []string{"POST /metrics/job/a m 1\n", "POST /elsewhere m 1\n"}, true},
		{"the same again, for ever", 308, []string{"POST /metrics/job/a m 1\n", "POST /elsewhere m 1\n"}, true},
		{"a page instead", 302, []string{"POST /metrics/job/a m 1\n"}, false},
		{"a page instead, for ever", 301, []string{"POST /metrics/job/a m 1\n"}, false},
		{"see there", 303, []string{"POST /metrics/job/a m 1\n"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, c := newGateway(t, elsewhere(tt.status), kept)
			err := c.Do(t.Context(), NewPush(http.MethodPost, []Label{{"job", "a"}}, []byte("m 1\n")))
			refused, _ := errors.AsType[*RefusedError](err)
			if tt.kept != (err == nil) || !tt.kept && (refused == nil || refused.Status != tt.status) {
				t.Errorf("got %v", err)
			}
			if diff := cmp.Diff(tt.want, g.got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestRetryAfterBeyondTheEnd does not wait for what would come too late.
func TestRetryAfterBeyondTheEnd(t *testing.T) {
	_, c := newGateway(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "36000")
		http.Error(w, "full", http.StatusServiceUnavailable)
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	err := c.Do(ctx, NewPush(http.MethodPost, []Label{{"job", "a"}}, nil))
	if _, ok := errors.AsType[*UnreachableError](err); !ok || ctx.Err() != nil || err.Error() != "not reached, attempt 1: answered 503: full" {
		t.Errorf("got %v, %v", err, ctx.Err())
	}
}

// TestFinish does not cut off a request that has begun, as it may arrive all the same, and
// behind what is pushed next.
func TestFinish(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, c := newGateway(t, func(http.ResponseWriter, *http.Request) { cancel() })
	if err := c.Finish(ctx, NewPush(http.MethodPost, []Label{{"job", "a"}}, nil)); err != nil {
		t.Error(err)
	}
	if err := c.Finish(ctx, NewPush(http.MethodPost, []Label{{"job", "a"}}, nil)); err == nil {
		t.Error("an attempt began after the end")
	}
}

// TestWait tells what was delivered from what is only kept.
func TestWait(t *testing.T) {
	const text = "kept, not delivered: "
	for _, tt := range []struct {
		name   string
		method string
		id     string
		status int
		want   string
	}{
		{"delivered", "PUT", "7", 200, ""},
		{"not in time", "PUT", "7", 202, text + "{}"},
		{"a gateway that does not know", "PUT", "", 200, text + "the gateway does not tell: it is no pushbridge, or an old one"},
		{"DELETE of nothing", "DELETE", "", 202, ""},
		{"refused", "PUT", "", 400, "refused with 400: {}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, c := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.RawQuery != "wait=delivered&timeout=1m30s" {
					t.Errorf("query %s", r.URL.RawQuery)
				}
				if tt.id != "" {
					w.Header().Set(pushIDHeader, tt.id)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, "{}")
			})
			p := NewPush(tt.method, []Label{{"job", "a"}}, nil)
			p.Wait = 90 * time.Second
			got := ""
			if err := c.Do(t.Context(), p); err != nil {
				got = err.Error()
			}
			if got != tt.want || len(g.ids) != 1 {
				t.Errorf("got %q in %d attempts, want %q", got, len(g.ids), tt.want)
			}
		})
	}
}

func TestErrorsHideSecrets(t *testing.T) {
	c, err := New(Options{URL: "http://user:secret@127.0.0.1:1/"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err = c.Do(ctx, NewPush(http.MethodPost, []Label{{"job", "a"}}, nil))
	if err == nil || contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
