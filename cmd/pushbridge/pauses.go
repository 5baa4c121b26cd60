package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v2"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/wholefile"
)

// pauses are the destinations that an operator has paused. They outlive reloads and
// restarts: who works on a receiver must not find samples there because something else was
// restarted. In memory they end with the process, as all else.
type pauses struct {
	file string // empty: memory only
	log  *slog.Logger

	mu    sync.Mutex
	since map[string]time.Time // by name
}

func newPauses(file string, log *slog.Logger) *pauses {
	p := &pauses{file: file, log: log, since: map[string]time.Time{}}
	if file == "" {
		return p
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = yaml.UnmarshalStrict(text, &p.since)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("cannot read which destinations are paused: none is", "file", file, "err", err)
		p.since = map[string]time.Time{}
	}
	return p
}

// of returns since when a destination is paused, the zero time when it is not.
func (p *pauses) of(name string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since[name]
}

// set notes that a destination is paused since then, or with the zero time that it is
// not.
func (p *pauses) set(name string, since time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := maps.Clone(p.since)
	delete(p.since, name)
	if !since.IsZero() {
		p.since[name] = since.UTC().Truncate(time.Second)
	}
	err := p.writeLocked()
	if err != nil {
		p.since = was
	}
	return err
}

// keep forgets destinations that the log does not know any more.
func (p *pauses) keep(cursors []queue.CursorStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.since)
	maps.DeleteFunc(p.since, func(name string, _ time.Time) bool {
		return !slices.ContainsFunc(cursors, func(c queue.CursorStatus) bool { return c.ID == name })
	})
	if len(p.since) == n {
		return
	}
	if err := p.writeLocked(); err != nil {
		p.log.Warn("cannot write down which destinations are paused", "err", err)
	}
}

func (p *pauses) writeLocked() error {
	if p.file == "" {
		return nil
	}
	text, err := yaml.Marshal(p.since)
	if err == nil {
		err = wholefile.Write(p.file, func(w io.Writer) error {
			_, err := w.Write(text)
			return err
		}, nil)
	}
	if err != nil {
		return fmt.Errorf("write down that it is paused: %w", err)
	}
	return nil
}

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
	since := d.pauses.of(name)
	if !since.IsZero() == on {
		return nil // as it is
	}
	if on {
		since = d.o.Now()
	} else {
		since = time.Time{}
	}
	if err := d.pauses.set(name, since); err != nil {
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
// on. A page of another origin must not do that, though browsers would let it ask.
func (s *server) pauseRoute() http.Handler {
	var foreign http.CrossOriginProtection
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
		case foreign.Check(r) != nil:
			answerError(w, http.StatusForbidden, "forbidden", errors.New("asked for by a page of another origin"))
		default:
			s.answerPause(w, name, pause)
		}
	})
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
