package web

import (
	"net/http"
	"net/http/pprof"
)

const pprofPath = "/debug/pprof/"

// Pprof serves Go's profiles. It belongs at any prefix that ends in
// /debug/pprof/: the standard handlers would find no profile behind a route
// prefix, so the prefix is cut off for them.
func (h *Handler) Pprof() http.Handler {
	return GetOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ok := below(r.URL.Path, pprofPath)
		if !ok {
			http.NotFound(w, r)
			return
		}
		r = r.Clone(r.Context())
		r.URL.Path = pprofPath + name
		servePprof(name, w, r)
	}))
}

func servePprof(name string, w http.ResponseWriter, r *http.Request) {
	switch name {
	case "cmdline":
		pprof.Cmdline(w, r)
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		pprof.Index(w, r)
	}
}
