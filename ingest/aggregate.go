package ingest

import (
	"net/http"

	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/group"
)

// IdempotencyKeyHeader has what a client calls a push, the same for each attempt.
const IdempotencyKeyHeader = "Idempotency-Key"

// aggregate makes c a change of the group in which the rules add up what is pushed to its
// key, and gives it the name that the client has for it.
func (h *Handler) aggregate(r *http.Request, c group.Change) group.Change {
	how, _ := h.gateway.State().Rules().Aggregation(c.Labels)
	if how == nil {
		return c
	}
	if id := pushName(r); id != "" {
		c.Key = group.NewPushKey(c.Labels, id)
	}
	c.How, c.Labels = how, how.Key(c.Labels)
	return c
}

// pushName returns what the client calls the push, empty when it has no name.
func pushName(r *http.Request) string {
	if id := r.Header.Get(IdempotencyKeyHeader); id != "" {
		return id
	}
	return r.Header.Get(gateway.PushIDHeader)
}

// answeredBefore reports whether a client that adds sends the id that this gateway gave
// the push when it was kept.
func (h *Handler) answeredBefore(r *http.Request, c group.Change) (gateway.PushID, bool) {
	if c.How == nil {
		return gateway.PushID{}, false
	}
	id, err := h.gateway.Find(r.Header.Get(gateway.PushIDHeader))
	return id, err == nil && id.Job == group.HashJob(c.Labels.Job())
}
