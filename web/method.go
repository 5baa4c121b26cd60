package web

import (
	"net/http"
	"strings"
)

// GetOnly guards a read-only route as Pushgateway's router does: GET passes,
// OPTIONS is answered 200 and anything else, HEAD included, 405. Both of the
// latter name the allowed methods.
func GetOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet:
			next.ServeHTTP(w, r)
		case http.MethodOptions:
			w.Header().Set("Allow", allowGet)
		default:
			methodNotAllowed(w)
		}
	})
}

const allowGet = "GET, OPTIONS"

func methodNotAllowed(w http.ResponseWriter) {
	w.Header().Set("Allow", allowGet)
	http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
}

// below returns what follows the last occurrence of root in path: the route
// prefix before it is none of a handler's business.
func below(path, root string) (rest string, ok bool) {
	i := strings.LastIndex(path, root)
	if i < 0 {
		return "", false
	}
	return path[i+len(root):], true
}
