package ingest

import (
	"net/http"
	"path"
	"strings"
)

// PushPath is how the paths of pushes begin, below the route prefix.
const PushPath = "/metrics/job"

// The other routes of the write side, and what may be done there.
const (
	wipePath = "/api/v1/admin/wipe"

	pushMethods = "DELETE, OPTIONS, POST, PUT"
	wipeMethods = "OPTIONS, PUT"
)

// Owns reports whether h answers requests for the decoded path p: everything
// below the push API's path, whatever its case, and the wipe.
func (h *Handler) Owns(p string) bool {
	if h.ownsWipe(p) {
		return true
	}
	// A decoded .. may be a value (job/%2E%2E), so cleaning alone does not tell.
	return h.belowRoot(p) || h.belowRoot(cleanPath(p))
}

func (h *Handler) belowRoot(p string) bool {
	root := h.prefix + PushPath
	return len(p) >= len(root) && strings.EqualFold(p[:len(root)], root)
}

func (h *Handler) ownsWipe(p string) bool {
	return strings.TrimSuffix(p, "/") == h.prefix+wipePath
}

// ServeHTTP answers the requests whose path h owns, and 404 to others. Paths
// with empty or dot components are sent to the clean path first.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p, other := cleaned(r); other {
		redirect(w, r, p)
		return
	}
	if h.ownsWipe(r.URL.Path) {
		h.ServeWipe(w, r)
		return
	}
	h.decoded.ServeHTTP(w, r)
}

// route answers by method, once the body is decoded.
func (h *Handler) route(w http.ResponseWriter, r *http.Request) {
	if _, ok := match(h.prefix, r.URL.Path); !ok {
		h.noTarget(w, r)
		return
	}
	switch r.Method {
	case http.MethodPut, http.MethodPost:
		h.pushes.ServeHTTP(w, r)
	case http.MethodDelete:
		h.deletes.ServeHTTP(w, r)
	default:
		otherMethod(w, r, pushMethods)
	}
}

// target is a request path of the push API, taken apart but not yet decoded.
type target struct {
	base64 bool   // the path said job@base64
	job    string // the component behind it, perhaps empty
	labels string // the rest, from its slash on, perhaps empty
}

// match takes the path below prefix apart. The path is the decoded one, so
// that %2F separates components, as it does in Pushgateway.
func match(prefix, p string) (t target, ok bool) {
	rest, ok := strings.CutPrefix(p, prefix+PushPath)
	if !ok {
		return target{}, false
	}
	rest, t.base64 = strings.CutPrefix(rest, base64Suffix)
	if len(rest) < 2 || rest[0] != '/' {
		return target{}, false
	}
	t.job = rest[1:]
	if i := strings.IndexByte(t.job, '/'); i >= 0 {
		t.job, t.labels = t.job[:i], t.job[i:]
	}
	return t, true
}

// cleaned returns the escaped path of r without empty, "." and ".." components,
// and whether it differs from what was asked for. %2F and %2E are left alone.
func cleaned(r *http.Request) (string, bool) {
	p := r.URL.EscapedPath()
	c := cleanPath(p)
	return c, c != p
}

func cleanPath(p string) string {
	if strings.HasPrefix(p, "/") && !strings.Contains(p, "//") && !strings.Contains(p, "/.") {
		return p
	}
	c := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && c != "/" {
		c += "/"
	}
	return c
}

// canonical returns the push path that p means when case and empty components
// are overlooked in its fixed part.
func canonical(prefix, p string) (string, bool) {
	p = cleanPath(p)
	for _, fixed := range []string{prefix + PushPath + "/", prefix + PushPath + base64Suffix + "/"} {
		if len(p) > len(fixed) && strings.EqualFold(p[:len(fixed)], fixed) {
			return fixed + p[len(fixed):], true
		}
	}
	return "", false
}

// noTarget answers a request of the push API whose path is none of its routes.
// Only the methods that have routes there are sent elsewhere.
func (h *Handler) noTarget(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPut, http.MethodPost, http.MethodDelete:
		if r.URL.Path == h.prefix+PushPath+"/" {
			redirect(w, r, h.prefix+PushPath)
			return
		}
		if p, ok := canonical(h.prefix, r.URL.Path); ok {
			u := *r.URL
			u.Path, u.RawPath = p, ""
			redirect(w, r, u.EscapedPath())
			return
		}
		h.refusals.note(r, nil, h.now(), http.StatusNotFound, reasonPath, "404 page not found")
	}
	http.NotFound(w, r)
}

// redirect sends r to another escaped path of this server, keeping its query.
func redirect(w http.ResponseWriter, r *http.Request, escapedPath string) {
	if r.URL.RawQuery != "" {
		escapedPath += "?" + r.URL.RawQuery
	}
	http.Redirect(w, r, escapedPath, http.StatusTemporaryRedirect)
}

// otherMethod answers a method that a route does not have.
func otherMethod(w http.ResponseWriter, r *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	if r.Method == http.MethodOptions {
		return
	}
	http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
}
