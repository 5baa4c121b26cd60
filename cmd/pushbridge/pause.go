package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// errNoDestination says that nothing of that name is configured.
var errNoDestination = errors.New("there is no such destination")

// pause makes the destination of that name send nothing from now on, or go on.
func (d *destinations) pause(name string, on bool) error {
	d.changing.Lock() // a reload would open it as it was
	defer d.changing.Unlock()
	list := d.list()
	i := slices.IndexFunc(list, func(one *destination) bool { return one.section.ID() == name })
	if i < 0 {
		return fmt.Errorf("%w: %q", errNoDestination, group.Brief(name))
	}
	since := d.notes.paused(name)
	if !since.IsZero() == on {
		return nil // as it is
	}
	if on {
		since = d.o.Now()
	} else {
		since = time.Time{}
	}
	if err := d.notes.pause(name, since); err != nil {
		return err
	}
	if on {
		list[i].sender.Pause(since)
	} else {
		list[i].sender.Resume()
	}
	return nil
}

// The routes of pausing, behind the name of a destination, which may have slashes.
const (
	destinationsPath = "/api/v1/destinations/"
	pauseSuffix      = "/pause"
	resumeSuffix     = "/resume"
)

// pauseRoute answers POST to …/destinations/NAME/pause and …/resume, when the admin API is
// on.
func (s *server) pauseRoute() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, rest, _ := strings.Cut(r.URL.Path, destinationsPath)
		name, pause := strings.CutSuffix(rest, pauseSuffix)
		resume := false
		if !pause {
			name, resume = strings.CutSuffix(rest, resumeSuffix)
		}
		switch {
		case !s.settings.enableAdminAPI, !pause && !resume, name == "":
			http.NotFound(w, r)
		case r.Method == http.MethodOptions:
			w.Header().Set("Allow", "OPTIONS, POST")
		case r.Method != http.MethodPost:
			w.Header().Set("Allow", "OPTIONS, POST")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		case foreign(r):
			answerForeign(w)
		default:
			s.answerPause(w, name, pause)
		}
	})
}

// foreign says whether a page of another origin asks: it must change nothing here, though
// browsers let it ask.
func foreign(r *http.Request) bool {
	var protection http.CrossOriginProtection
	return protection.Check(r) != nil
}

const foreignAnswer = "asked for by a page of another origin"

func answerForeign(w http.ResponseWriter) {
	answerError(w, http.StatusForbidden, "forbidden", errors.New(foreignAnswer))
}

func (s *server) answerPause(w http.ResponseWriter, name string, pause bool) {
	err := s.destinations.pause(name, pause)
	switch {
	case errors.Is(err, errNoDestination):
		answerError(w, http.StatusNotFound, "not_found", err)
	case err != nil:
		answerError(w, http.StatusInternalServerError, "internal", err)
	default:
		answerJSON(w, http.StatusOK, map[string]any{
			"status": "success", "data": map[string]any{"name": name, "paused": pause},
		})
	}
}

func answerError(w http.ResponseWriter, status int, kind string, err error) {
	answerJSON(w, status, map[string]any{"status": "error", "errorType": kind, "error": err.Error()})
}

func answerJSON(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache, no-store, must-revalidate")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the client has gone, and that is all
}
