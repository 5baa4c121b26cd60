package web

import (
	"net/http"
	"time"
)

// Job is an expected job, and how it is doing: what the page and the API show of it.
type Job struct {
	Labels     map[string]string `json:"labels"`
	When       string            `json:"when"` // as the configuration says it
	Grace      float64           `json:"grace_seconds"`
	MaxRuntime float64           `json:"max_runtime_seconds,omitempty"`

	LastPush    time.Time `json:"last_push,omitzero"` // zero for never
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastStart   time.Time `json:"last_start,omitzero"`
	Running     bool      `json:"running"`
	Runtime     float64   `json:"runtime_seconds,omitempty"` // of the last run, or of this one so far

	Due     time.Time `json:"due"` // it is overdue then, unless it succeeds
	Overdue bool      `json:"overdue"`
	Hangs   bool      `json:"hangs"` // it runs for longer than it may
}

// APIJobs lists the expected jobs in the order of the configuration. It belongs at
// /api/v1/jobs.
func (h *Handler) APIJobs() http.Handler { return apiGet(h.serveJobs) }

func (h *Handler) serveJobs(w http.ResponseWriter, _ *http.Request) {
	list := h.o.Jobs()
	if list == nil {
		list = []Job{}
	}
	h.answer(w, list)
}
