package web

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/pushbridge/pushbridge/deadletter"
)

// DeadLetters are what the API shows of them; Export writes the samples of one.
type DeadLetters struct {
	Store  *deadletter.Store // nil: they are not kept
	Export func(w io.Writer, l deadletter.Letter) error
}

// lettersList is what /api/v1/dead-letters answers.
type lettersList struct {
	Kept         bool                 `json:"kept"` // false with --storage.dead-letters=0, or in memory
	Bytes        int64                `json:"bytes"`
	Destinations []deadletter.Summary `json:"destinations"`
	Matching     int                  `json:"matching"`
	Letters      []deadletter.Letter  `json:"letters"` // the first of those that match, in the order of their records
}

const (
	lettersShown = 100
	lettersMost  = 10_000
)

// APIDeadLetters lists dead letters: ?destination= and ?limit=. It belongs at
// /api/v1/dead-letters.
func (h *Handler) APIDeadLetters() http.Handler { return apiGet(h.serveLetters) }

// APIDeadLettersExport answers their samples, one JSON document a line. It belongs at
// /api/v1/dead-letters/export.
func (h *Handler) APIDeadLettersExport() http.Handler { return apiGet(h.exportLetters) }

func (h *Handler) serveLetters(w http.ResponseWriter, r *http.Request) {
	limit := lettersShown
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > lettersMost {
			h.answerError(w, http.StatusBadRequest, "bad_data", fmt.Errorf("limit %q: want a number from 0 to %d", text, lettersMost))
			return
		}
		limit = n
	}
	list := lettersList{Destinations: []deadletter.Summary{}, Letters: []deadletter.Letter{}}
	s := h.o.DeadLetters.Store
	if s == nil {
		h.answer(w, list)
		return
	}
	list.Kept = true
	list.Bytes, _ = s.Bytes()
	list.Destinations = s.Summaries()
	ids := s.IDs(r.URL.Query().Get("destination"), "")
	list.Matching = len(ids)
	for _, id := range ids[:min(limit, len(ids))] {
		if l, err := s.Read(id); err == nil { // else it has gone since
			list.Letters = append(list.Letters, l)
		}
	}
	h.answer(w, list)
}

func (h *Handler) exportLetters(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	s := h.o.DeadLetters.Store
	if s == nil {
		return
	}
	err := s.Each(r.URL.Query().Get("destination"), func(l deadletter.Letter) error { return h.o.DeadLetters.Export(w, l) })
	if err != nil {
		h.o.Logger.Debug("export of dead letters cut short", "err", err)
		panic(http.ErrAbortHandler) // or a part would pass for all
	}
}
