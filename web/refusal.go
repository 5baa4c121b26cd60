package web

import (
	"encoding/base64"
	"net/http"
	"time"
)

// Refusal is a request that was refused: what the page and the API show of it.
type Refusal struct {
	Time   time.Time `json:"time"`
	Client string    `json:"client"` // the address that the request came from
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Job    string    `json:"job,omitempty"`
	Key    string    `json:"key,omitempty"` // names the group, as in /api/v1/groups; it need not exist
	Status int       `json:"status"`
	Reason string    `json:"reason"` // as in pushbridge_ingest_refused_total
	Text   string    `json:"text"`   // what the client was told
}

// Refusals are the requests that were refused of late.
type Refusals interface {
	Latest() []Refusal                        // the latest first
	Last(groupID string) (r Refusal, ok bool) // of the group with that ID
}

// noRefusals is where nothing was refused.
type noRefusals struct{}

func (noRefusals) Latest() []Refusal           { return nil }
func (noRefusals) Last(string) (Refusal, bool) { return Refusal{}, false }

// APIRefused lists the requests that were refused of late, the latest first. It belongs
// at /api/v1/refused.
func (h *Handler) APIRefused() http.Handler { return apiGet(h.serveRefused) }

func (h *Handler) serveRefused(w http.ResponseWriter, r *http.Request) {
	limit, err := numberOf(r.URL.Query(), "limit", defaultLimit, 1, maxLimit)
	if err != nil {
		h.answerError(w, http.StatusBadRequest, "bad_data", err)
		return
	}
	list := h.o.Refusals.Latest()
	if list == nil {
		list = []Refusal{}
	}
	h.answer(w, list[:min(limit, len(list))])
}

// KeyOf is how links and the API name the group with this ID.
func KeyOf(id string) string { return base64.RawURLEncoding.EncodeToString([]byte(id)) }
