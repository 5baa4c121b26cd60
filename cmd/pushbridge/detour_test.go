package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestDetour(t *testing.T) {
	var d detour
	d.add("/gate/{$}", http.MethodGet)
	d.add("/gate/status", http.MethodGet)
	d.add("/gate/static/", http.MethodGet)
	d.add("/gate/-/quit", http.MethodPut, http.MethodPost)
	for _, c := range []struct {
		name, method, path string
		status             int
		location           string
	}{
		{"slash at the end", "GET", "/gate/status/", 301, "/gate/status"},
		{"wrong case", "GET", "/gate/STATUS", 301, "/gate/status"},
		{"both", "GET", "/GATE/Status/", 301, "/gate/status"},
		{"query", "GET", "/gate/status/?a=b%20c", 301, "/gate/status?a=b%20c"},
		{"prefix without slash", "GET", "/gate", 301, "/gate/"},
		{"tree without slash", "GET", "/gate/static", 301, "/gate/static/"},
		{"wrong case of a tree", "GET", "/gate/STATIC/A%20B", 301, "/gate/static/A%20B"},
		{"below what has nothing below", "GET", "/gate/other", 404, ""},
		{"longer", "GET", "/gate/statusx", 404, ""},
		{"method that the route does not have", "PUT", "/gate/status/", 404, ""},
		{"HEAD", "HEAD", "/gate/status/", 404, ""},
		{"OPTIONS", "OPTIONS", "/gate/static", 404, ""},
		{"command", "PUT", "/gate/-/QUIT", 307, "/gate/-/quit"},
		{"command with a slash", "POST", "/gate/-/quit/", 307, "/gate/-/quit"},
		{"GET of a command", "GET", "/gate/-/quit/", 404, ""},
		{"something in the right place that the mux did not take", "GET", "/gate/status", 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			d.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil))
			if got := w.Header().Get("Location"); w.Code != c.status || got != c.location {
				t.Errorf("%s %s: %d %q, want %d %q", c.method, c.path, w.Code, got, c.status, c.location)
			}
		})
	}
}
