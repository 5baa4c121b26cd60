package main

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// detour answers what no route takes. As Pushgateway's router does, it sends
// requests that miss a route by their case, or by a slash at the end, to that
// route: people have such addresses in their bookmarks and scrape configurations.
// Only methods that the route has are sent on.
type detour struct {
	routes []detourRoute
}

type detourRoute struct {
	path    string // all of it; with a slash at the end, everything below too
	exact   bool   // nothing below, although there is a slash
	methods []string
}

func (d *detour) add(path string, methods ...string) {
	path, exact := strings.CutSuffix(path, "{$}")
	d.routes = append(d.routes, detourRoute{path, exact, methods})
}

func (d *detour) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, route := range d.routes {
		path, ok := route.meant(r.URL.Path)
		if !ok || !slices.Contains(route.methods, r.Method) {
			continue
		}
		status := http.StatusTemporaryRedirect
		if r.Method == http.MethodGet {
			status = http.StatusMovedPermanently
		}
		http.Redirect(w, r, (&url.URL{Path: path, RawQuery: r.URL.RawQuery}).String(), status)
		return
	}
	http.NotFound(w, r)
}

// meant returns the path of the route that p means.
func (r *detourRoute) meant(p string) (string, bool) {
	if strings.EqualFold(strings.TrimSuffix(p, "/"), strings.TrimSuffix(r.path, "/")) {
		return r.path, p != r.path
	}
	n := len(r.path)
	if r.exact || !strings.HasSuffix(r.path, "/") || len(p) < n || !strings.EqualFold(p[:n], r.path) {
		return "", false
	}
	return r.path + p[n:], p[:n] != r.path
}
