package web

import (
	"net/http"
)

// corsHeaders let scripts of any origin read the API. The values are those of
// Pushgateway.
func corsHeaders(h http.Header) {
	h.Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, Origin")
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Date")
	h.Set("Cache-Control", "no-cache, no-store, must-revalidate")
}

// Preflight answers OPTIONS, for which everything below /api/v1/ is alike: 200
// with CORS headers and no Allow, be there a route or not. Other methods pass.
func Preflight(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			corsHeaders(w.Header())
			return
		}
		next.ServeHTTP(w, r)
	})
}

// APIMetrics lists the groups and their metrics. It belongs at /api/v1/metrics.
func (h *Handler) APIMetrics() http.Handler { return apiGet(h.serveMetrics) }

// APIStatus tells flags, build and start time. It belongs at /api/v1/status.
func (h *Handler) APIStatus() http.Handler { return apiGet(h.serveStatus) }

// apiGet guards a read-only API route.
func apiGet(serve http.HandlerFunc) http.Handler {
	return Preflight(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			methodNotAllowed(w)
			return
		}
		corsHeaders(w.Header())
		w.Header().Set("Content-Type", "application/json")
		serve(w, r)
	}))
}

func (h *Handler) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	if err := writeGroupsJSON(w, sortedGroups(h.o.Store), h.o.Refused()); err != nil {
		h.o.Logger.Debug("metrics api cut short", "err", err)
		panic(http.ErrAbortHandler) // or half a list would pass for a whole one
	}
}

// apiAnswer is the envelope of every answer.
type apiAnswer struct {
	Status    string `json:"status"`
	Data      any    `json:"data,omitempty"`
	ErrorType string `json:"errorType,omitempty"`
	Error     string `json:"error,omitempty"`
}

func (h *Handler) serveStatus(w http.ResponseWriter, _ *http.Request) {
	h.answer(w, map[string]any{
		"flags":             emptyIfNil(h.o.Process.Flags),
		"build_information": emptyIfNil(h.o.Process.Build),
		"start_time":        h.o.Process.Started,
	})
}

func emptyIfNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
