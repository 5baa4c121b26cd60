package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/pushbridge/pushbridge/deadletter"
	"github.com/pushbridge/pushbridge/gateway"
)

const lettersPath = "/api/v1/dead-letters"

// openLetters opens where what receivers refuse for good is kept, beside the log.
func (s *server) openLetters() error {
	if s.storageDir == "" || s.settings.deadLetters == 0 {
		return nil
	}
	var err error
	if s.letters, err = deadletter.Open(s.storageDir, s.settings.deadLetters); err != nil {
		return err
	}
	for _, r := range s.letters.Damage() {
		if !r.Torn {
			s.log.Warn("a dead letter is damaged and passed over", "component", "deadletter", "file", r.File, "offset", r.Offset, "bytes", r.Length)
		}
	}
	return s.registry.Register(deadletter.NewMetrics(s.letters))
}

func (s *server) closeLetters() error {
	if s.letters == nil {
		return nil
	}
	return s.letters.Close()
}

// settleLetters takes back letters of records that a killed process had not acknowledged.
// It comes before a cursor is opened with another number of shards.
func (d *destinations) settleLetters() error {
	if d.o.Letters == nil {
		return nil
	}
	for _, c := range d.queue.Cursors() {
		acknowledged := make([]uint64, len(c.Shards))
		for i, p := range c.Shards {
			acknowledged[i] = p.Acked
		}
		if err := d.o.Letters.Settle(c.ID, acknowledged); err != nil {
			return err
		}
	}
	return nil
}

// replay makes a destination, or all for none, send its dead letters once more. It returns
// how many letters that are.
func (d *destinations) replay(destination string) (letters int, err error) {
	if d.o.Letters == nil {
		return 0, fmt.Errorf("dead letters are not kept: --%s is 0, or the queue is in memory", flagDeadLetters)
	}
	known := false
	for _, one := range d.list() {
		if id := one.sender.ID(); destination == "" || destination == id {
			known = true
			letters += len(d.o.Letters.IDs(id, ""))
			one.sender.Replay()
		}
	}
	if !known && destination != "" {
		return 0, fmt.Errorf("there is no destination %q", destination)
	}
	return letters, nil
}

// askedEvery is how often it is looked whether somebody beside the process asks for a
// replay.
const askedEvery = time.Second

// replayWhenAsked sends letters once more when `dead-letters replay DIR` asks for it.
func (s *server) replayWhenAsked(ctx context.Context) error {
	if s.letters == nil {
		<-ctx.Done()
		return nil
	}
	look := func() {
		if destination, asked := s.letters.Asked(); asked {
			n, err := s.destinations.replay(destination)
			s.log.Info("asked to send dead letters once more", "component", "deadletter", "destination", destination, "letters", n, "err", err)
		}
	}
	look()
	return gateway.Every(ctx, askedEvery, look)
}

// replayCommand answers POST …/dead-letters/replay?destination=NAME.
func (s *server) replayCommand(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodPost && r.Method != http.MethodPut:
		w.Header().Set("Allow", "OPTIONS, POST, PUT")
		answerError(w, http.StatusMethodNotAllowed, "bad_data", errors.New("only POST and PUT"))
		return
	case !s.settings.enableAdminAPI:
		answerError(w, http.StatusForbidden, "forbidden", errors.New("the admin API is not enabled: --"+flagEnableAdminAPI))
		return
	case foreign(r):
		answerForeign(w)
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil { // what is left of it could mean all destinations
		answerError(w, http.StatusBadRequest, "bad_data", fmt.Errorf("the query cannot be read: %w", err))
		return
	}
	n, err := s.destinations.replay(query.Get("destination"))
	if err != nil {
		answerError(w, http.StatusNotFound, "not_found", err)
		return
	}
	answerJSON(w, http.StatusAccepted, map[string]any{"status": "success", "data": map[string]int{"letters": n}})
}
