package web

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/state"
)

// TestMethods asks every route with every method. The answers are Pushgateway's.
func TestMethods(t *testing.T) {
	type answer struct {
		Status      int
		Allow, CORS string
	}
	refused := answer{405, "GET, OPTIONS", ""}
	page := map[string]answer{"GET": {200, "", ""}, "OPTIONS": {200, "GET, OPTIONS", ""}, "other": refused}
	api := map[string]answer{"GET": {200, "", "*"}, "OPTIONS": {200, "", "*"}, "other": refused}
	absent := map[string]answer{"GET": {404, "", ""}, "OPTIONS": {200, "", "*"}, "other": {404, "", ""}}

	for path, h := range routesOf(newTestHandler(newGateway())) {
		want := page
		switch {
		case path == "/api/v1/nothing":
			want = absent
		case strings.HasPrefix(path, "/api/"):
			want = api
		}
		for _, method := range []string{"GET", "OPTIONS", "HEAD", "POST", "PUT", "DELETE", "PATCH"} {
			resp := request(t, h, method, path)
			got := answer{resp.Status, resp.Header.Get("Allow"), resp.Header.Get("Access-Control-Allow-Origin")}
			w, ok := want[method]
			if !ok {
				w = want["other"]
			}
			if diff := cmp.Diff(w, got); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", method, path, diff)
			}
			if text := resp.Body; got.Status == 405 && text != "Method Not Allowed\n" {
				t.Errorf("%s %s: body %q", method, path, text)
			}
		}
	}
}

func TestPreflight(t *testing.T) {
	teapot := Preflight(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	resp := request(t, teapot, http.MethodOptions, "/api/v1/admin/wipe")
	if got := resp.Header.Get("Access-Control-Allow-Methods"); resp.Status != 200 || got != "GET, POST, DELETE, OPTIONS" {
		t.Errorf("OPTIONS: got %d and %q", resp.Status, got)
	}
	resp = request(t, teapot, http.MethodPut, "/api/v1/admin/wipe")
	if resp.Status != http.StatusTeapot || len(resp.Header) != 0 {
		t.Errorf("PUT: got %d %v, want what the handler answers", resp.Status, resp.Header)
	}
}

func TestHealth(t *testing.T) {
	reason := errors.New("open segment 4: no space left on device")
	var ready error
	h := New(Options{Store: state.New(state.Options{}), Gatherer: prometheus.NewRegistry(), Ready: func() error { return ready }})
	f := func(what http.Handler, status int, text string) {
		t.Helper()
		resp := request(t, what, http.MethodGet, "/")
		if got := resp.Body; resp.Status != status || got != text {
			t.Errorf("got %d %q, want %d %q", resp.Status, got, status, text)
		}
	}
	f(h.Healthy(), 200, "OK")
	f(h.Ready(), 200, "OK")
	ready = reason
	f(h.Healthy(), 200, "OK")
	f(h.Ready(), 503, "not ready: open segment 4: no space left on device\n")
}

func TestPprof(t *testing.T) {
	h := newTestHandler(newGateway()).Pprof()
	f := func(path string, status int, want string) {
		t.Helper()
		resp := request(t, h, http.MethodGet, path)
		if got := resp.Body; resp.Status != status || !strings.Contains(got, want) {
			t.Errorf("%s: got %d %q, want %d with %q", path, resp.Status, got, status, want)
		}
	}
	for _, prefix := range []string{"", "/behind/a/prefix"} {
		f(prefix+"/debug/pprof/", 200, "goroutine?debug=1")
		f(prefix+"/debug/pprof/goroutine?debug=1", 200, "goroutine profile:")
		f(prefix+"/debug/pprof/cmdline", 200, "web.test")
		f(prefix+"/debug/pprof/symbol", 200, "num_symbols")
		f(prefix+"/debug/pprof/nothing", 404, "Unknown profile")
	}
	f("/elsewhere", 404, "404 page not found")
}

func TestStatic(t *testing.T) {
	h := newTestHandler(newGateway()).Static()
	f := func(path string, status int, contentType string) {
		t.Helper()
		resp := request(t, h, http.MethodGet, path)
		if got := resp.Header.Get("Content-Type"); resp.Status != status || got != contentType {
			t.Errorf("%s: got %d %q, want %d %q", path, resp.Status, got, status, contentType)
		}
	}
	for _, prefix := range []string{"", "/behind/static"} {
		f(prefix+"/static/page.css", 200, "text/css; charset=utf-8")
		f(prefix+"/static/page.js?v=1", 200, "text/javascript; charset=utf-8")
		f(prefix+"/static/icon-good.svg", 200, "image/svg+xml")
		f(prefix+"/static/", 200, "text/html; charset=utf-8")
		f(prefix+"/static/page.html", 404, "text/plain; charset=utf-8")
	}
	resp := request(t, h, http.MethodGet, "/static/page.js")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/static/page.js", nil)
	r.Header.Set("If-None-Match", resp.Header.Get("ETag"))
	if again := serve(h, r); again.Status != http.StatusNotModified {
		t.Errorf("unchanged file: got %d, want 304", again.Status)
	}
}
