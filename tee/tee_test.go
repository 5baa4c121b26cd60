package tee

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pushbridge/pushbridge/client"
)

// rig is a gateway with a tee, and another one that copies go to.
type rig struct {
	*Tee
	here http.Handler

	mu    sync.Mutex
	other http.HandlerFunc
	got   []string
}

// newRig accepts what does not say "bad".
func newRig(t *testing.T, maxBytes int64) *rig {
	t.Helper()
	r := &rig{other: func(http.ResponseWriter, *http.Request) {}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.got = append(r.got, req.Method+" "+req.RequestURI+" "+req.Header.Get("Content-Type")+" "+req.Header.Get("Content-Encoding")+" "+string(body))
		other := r.other
		r.mu.Unlock()
		other(w, req)
	}))
	t.Cleanup(srv.Close)
	c, err := client.New(client.Options{URL: srv.URL + "/there"})
	if err != nil {
		t.Fatal(err)
	}
	r.Tee = New(Options{Client: c, Prefix: "/here", MaxBytes: maxBytes, FlushDeadline: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	r.here = r.Copy(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("X-Known") != "" {
			return // as a push that was answered before
		}
		if body, _ := io.ReadAll(req.Body); strings.Contains(string(body), "bad") {
			http.Error(w, "no", http.StatusBadRequest)
		}
		if req.Header.Get("X-Abort") != "" {
			panic(http.ErrAbortHandler)
		}
	}))
	return r
}

func (r *rig) push(method, path, body string, header ...string) int {
	req := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	func() {
		defer func() { _ = recover() }() // as net/http does
		r.here.ServeHTTP(w, req)
	}()
	return w.Code
}

// flush sends what waits, as at the end of the process.
func (r *rig) flush(t *testing.T) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if r.bytes != 0 || len(r.waiting) != 0 {
		t.Errorf("%d bytes are counted of %d that wait", r.bytes, len(r.waiting))
	}
	return r.got
}

func (r *rig) counts() map[string]float64 {
	out := map[string]float64{"sent": testutil.ToFloat64(r.metrics.sent)}
	for _, reason := range []string{queueFull, cutOff, refusedCopy, stopped} {
		out[reason] = testutil.ToFloat64(r.metrics.dropped.WithLabelValues(reason))
	}
	return out
}

func TestCopy(t *testing.T) {
	r := newRig(t, 1<<20)
	r.push("PUT", "/here/metrics/job@base64/YS9i?ttl=1h&wait=delivered", "m 1\n", "Content-Type", "text/plain", "Content-Encoding", "x")
	r.push("POST", "/here/metrics/job/a%20b", "bad")
	r.push("POST", "/here/metrics/job/a", "m 2\n", "X-Abort", "1")
	r.push("GET", "/here/metrics/job/a", "")
	r.push("DELETE", "/here/metrics/job/a", "")
	want := []string{
		"PUT /there/metrics/job@base64/YS9i?ttl=1h text/plain x m 1\n",
		"DELETE /there/metrics/job/a   ",
	}
	if diff := cmp.Diff(want, r.flush(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(map[string]float64{"sent": 2, queueFull: 0, cutOff: 0, refusedCopy: 0, stopped: 0}, r.counts()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestCopyOfWhatWasKnown: a push that is accepted without a look at its body is copied with
// it. An empty one would empty the group there.
func TestCopyOfWhatWasKnown(t *testing.T) {
	r := newRig(t, 1<<20)
	r.push("PUT", "/here/metrics/job/a", "m 1\n", "X-Known", "1")
	if diff := cmp.Diff([]string{"PUT /there/metrics/job/a   m 1\n"}, r.flush(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	r.here.ServeHTTP(httptest.NewRecorder(), &http.Request{
		Method: "PUT", URL: &url.URL{Path: "/here/metrics/job/a"}, Header: http.Header{"X-Known": {"1"}},
		Body: io.NopCloser(io.MultiReader(strings.NewReader("m 2"), iotest.ErrReader(io.ErrUnexpectedEOF))),
	})
	r.flush(t)
	if diff := cmp.Diff(map[string]float64{"sent": 1, queueFull: 0, cutOff: 1, refusedCopy: 0, stopped: 0}, r.counts()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestBound drops the oldest, and what alone is too large; every push is answered.
func TestBound(t *testing.T) {
	r := newRig(t, 8<<10)
	for _, path := range []string{"/1", "/2", "/3", "/4"} {
		r.push("PUT", "/here"+path, strings.Repeat("x", 2000))
	}
	if status := r.push("PUT", "/here/5", strings.Repeat("x", 20_000)); status != http.StatusOK {
		t.Errorf("answered %d", status)
	}
	if r.bytes > 8<<10 {
		t.Errorf("%d bytes are counted", r.bytes)
	}
	n := len(r.flush(t))
	if got := r.counts(); got["sent"] != float64(n) || got["sent"]+got[queueFull] != 5 || got[queueFull] < 2 {
		t.Errorf("%d copies, %v", n, got)
	}
}

// TestManyWithoutBody bounds the number too.
func TestManyWithoutBody(t *testing.T) {
	r := newRig(t, 8<<10)
	for range 100 {
		r.push("DELETE", "/here/metrics/job/a", "")
	}
	if len(r.waiting) > 8 {
		t.Errorf("%d wait", len(r.waiting))
	}
}

// TestOtherIsAway sends again what was not answered, before what came later, and gives up
// what was refused.
func TestOtherIsAway(t *testing.T) {
	r := newRig(t, 1<<20)
	answers := []int{503, 500, 200, 400, 200}
	r.other = func(w http.ResponseWriter, _ *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		w.WriteHeader(answers[0])
		answers = answers[1:]
	}
	for _, path := range []string{"/1", "/2", "/3"} {
		r.push("PUT", "/here"+path, "")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	for deadline := time.Now().Add(time.Minute); testutil.ToFloat64(r.metrics.sent) < 2 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	want := []string{"PUT /there/1   ", "PUT /there/1   ", "PUT /there/1   ", "PUT /there/2   ", "PUT /there/3   "}
	if diff := cmp.Diff(want, r.got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(map[string]float64{"sent": 2, queueFull: 0, cutOff: 0, refusedCopy: 1, stopped: 0}, r.counts()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestStopped counts what could not be sent any more.
func TestStopped(t *testing.T) {
	r := newRig(t, 1<<20)
	r.other = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	r.push("PUT", "/here/1", "")
	r.push("PUT", "/here/2", "")
	r.flush(t)
	if got := r.counts(); got[stopped] != 2 {
		t.Errorf("%v", got)
	}
}
