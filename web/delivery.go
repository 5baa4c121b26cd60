package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// Push is what became of a push, or a DELETE, at each destination.
type Push struct {
	ID           string     `json:"id"`
	Destinations []Delivery `json:"destinations"`
}

// Delivery is what became of a record at one destination.
type Delivery struct {
	Destination string            `json:"destination"`
	State       string            `json:"state"`              // remotewrite.FateState
	Time        time.Time         `json:"time,omitzero"`      // since when that is so, where that is known
	Dropped     map[string]uint64 `json:"dropped,omitempty"`  // samples by reason, 0 where nobody knows how many
	InDoubt     uint64            `json:"in_doubt,omitempty"` // samples
	Suspect     bool              `json:"suspect,omitempty"`  // at most so many: perhaps of other pushes in the same request
	Error       string            `json:"error,omitempty"`    // of the receiver, about what it did not take; or why it is held
}

// Pushes looks up what became of pushes.
type Pushes interface {
	// Push returns what became of the push that id names, or why it names none. An error
	// that wraps ErrNoPush says that the id is one, and of no push here.
	Push(id string) (Push, error)

	// OfGroup returns what became of the latest record of g.
	OfGroup(g *group.Group) []Delivery
}

// ErrNoPush says that an id names no push of this gateway.
var ErrNoPush = errors.New("no such push")

// noPushes is where nothing is sent.
type noPushes struct{}

func (noPushes) Push(string) (Push, error)       { return Push{}, ErrNoPush }
func (noPushes) OfGroup(*group.Group) []Delivery { return nil }

// APIPush says what became of a push. It belongs at /api/v1/pushes/{id}.
func (h *Handler) APIPush() http.Handler { return apiGet(h.servePush) }

func (h *Handler) servePush(w http.ResponseWriter, r *http.Request) {
	p, err := h.o.Pushes.Push(r.PathValue("id"))
	switch {
	case errors.Is(err, ErrNoPush):
		h.answerError(w, http.StatusNotFound, "not_found", err)
	case err != nil:
		h.answerError(w, http.StatusBadRequest, "bad_data", err)
	default:
		h.answer(w, p)
	}
}
