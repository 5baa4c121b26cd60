package web

import (
	"io"
	"net/http"
)

// Healthy answers 200 as long as the process can answer at all.
func (h *Handler) Healthy() http.Handler {
	return GetOnly(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeOK(w)
	}))
}

// Ready answers 200 while pushes can be taken, and 503 with the reason while
// they cannot.
func (h *Handler) Ready() http.Handler {
	return GetOnly(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := h.o.Ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		writeOK(w)
	}))
}

// writeOK sends the body that health checks of Pushgateway compare with: two
// letters, no newline. An error means that the client has gone.
func writeOK(w http.ResponseWriter) {
	_, _ = io.WriteString(w, "OK")
}
