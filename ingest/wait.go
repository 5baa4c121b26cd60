package ingest

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/group"
)

// Deliveries is what knows of destinations.
type Deliveries interface {
	// Check returns why nobody can wait for a destination; for an empty name, for all of
	// them.
	Check(destination string) error

	// Wait returns when the record is settled at the destination, for an empty name at
	// all of them, or when ctx ends. It says what became of it, and whether all of it
	// was delivered.
	Wait(ctx context.Context, id gateway.PushID, destination string) (report any, delivered bool)
}

const (
	defaultWait = 30 * time.Second
	maxWait     = 10 * time.Minute
)

// wait is what a push says about waiting: ?wait=delivered[:DESTINATION]&timeout=30s.
type wait struct {
	wanted      bool
	destination string // empty: all
	timeout     time.Duration
}

// waitOf reads the query of a push.
func (h *Handler) waitOf(r *http.Request) (wait, error) {
	q, err := queryOf(r)
	if err != nil || !q.Has("wait") {
		return wait{}, err
	}
	what, destination, named := strings.Cut(q.Get("wait"), ":")
	if what != "delivered" || named && destination == "" {
		return wait{}, queryErrorf("wait in the query must be delivered or delivered:DESTINATION, is %q", group.Brief(q.Get("wait")))
	}
	if h.deliveries == nil {
		return wait{}, queryErrorf("wait in the query: there is no destination to wait for")
	}
	if err := h.deliveries.Check(destination); err != nil {
		return wait{}, queryErrorf("wait in the query: %w", err)
	}
	timeout, err := timeoutOf(q)
	return wait{true, destination, timeout}, err
}

func timeoutOf(q url.Values) (time.Duration, error) {
	if !q.Has("timeout") {
		return defaultWait, nil
	}
	d, err := model.ParseDuration(group.Brief(q.Get("timeout")))
	if err != nil {
		return 0, queryErrorf("timeout in the query: %w", err)
	}
	if time.Duration(d) > maxWait {
		return 0, queryErrorf("timeout in the query must be at most %s, is %s", model.Duration(maxWait), d)
	}
	return time.Duration(d), nil
}

// accepted answers a change that is kept: with status, or, where the client waits for
// its delivery, with 200 when it was delivered and 202 when it was not, or not yet. The
// end of its connection ends the waiting, not what it waits for.
func (h *Handler) accepted(w http.ResponseWriter, r *http.Request, id gateway.PushID, status int, waiting wait) {
	if id.Seq > 0 {
		w.Header().Set(gateway.PushIDHeader, id.String())
	}
	if !waiting.wanted || id.Seq == 0 {
		if status != http.StatusOK {
			w.WriteHeader(status)
		}
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), waiting.timeout)
	defer cancel()
	report, delivered := h.deliveries.Wait(ctx, id, waiting.destination)
	status = http.StatusAccepted
	if delivered {
		status = http.StatusOK
	}
	h.answerJSON(w, status, report)
}
