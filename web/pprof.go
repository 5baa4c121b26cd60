package web

import (
	"io"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
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
		serveProgram(w)
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

// serveProgram answers in the place of the command line, which tools ask for to name
// the program: its arguments may hold secrets, so only the name is told.
func serveProgram(w http.ResponseWriter) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, filepath.Base(os.Args[0])) // an error means that the client has gone
}
