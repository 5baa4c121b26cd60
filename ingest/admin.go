package ingest

import "net/http"

// ServeWipe answers {prefix}/api/v1/admin/wipe: PUT ends every group, when the
// admin API is on. OPTIONS is answered as on every path of the API.
func (h *Handler) ServeWipe(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodOptions:
		apiOptions(w)
	case !h.adminAPI:
		http.NotFound(w, r)
	case r.URL.Path != h.prefix+wipePath:
		h.otherWipePath(w, r)
	case r.Method == http.MethodPut:
		h.wipes.ServeHTTP(w, r)
	default:
		otherMethod(w, r, wipeMethods)
	}
}

func (h *Handler) otherWipePath(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		redirect(w, r, h.prefix+wipePath)
		return
	}
	http.NotFound(w, r)
}

// apiOptions answers a preflight request the way the API does.
func apiOptions(w http.ResponseWriter) {
	for name, value := range map[string]string{
		"Access-Control-Allow-Headers":  "Accept, Authorization, Content-Type, Origin",
		"Access-Control-Allow-Methods":  "GET, POST, DELETE, OPTIONS",
		"Access-Control-Allow-Origin":   "*",
		"Access-Control-Expose-Headers": "Date",
		"Cache-Control":                 "no-cache, no-store, must-revalidate",
	} {
		w.Header().Set(name, value)
	}
}

func (h *Handler) wipe(w http.ResponseWriter, r *http.Request) {
	if err := h.gateway.Wipe(carriedOut(r), h.now()); err != nil {
		h.refuse(w, r, nil, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}
