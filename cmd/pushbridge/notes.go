package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"go.yaml.in/yaml/v2"

	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/wholefile"
)

// notes are what a storage directory knows of its destinations beside their positions:
// where they are, for people who look at it, and which of them an operator has paused. A
// pause outlives reloads and restarts: who works on a receiver must not find samples there
// because something else was restarted. In memory it ends with the process, as all else.
// Where replicas share a log the pause stands in that, for whoever leads next.
type notes struct {
	file   string // empty: memory only
	shared noteKeeper
	log    *slog.Logger

	mu sync.Mutex
	of map[string]note // by name
}

// noteKeeper keeps notes beside positions for all replicas: a queue.Lease.
type noteKeeper interface {
	Note(destination string) string
	SetNote(destination, text string) error
}

// note is of one destination.
type note struct {
	URL    string     `yaml:"url"`              // without secrets
	Paused *time.Time `yaml:"paused,omitempty"` // since when
}

func newNotes(file string, log *slog.Logger) *notes {
	n := &notes{file: file, log: log}
	var err error
	if n.of, err = readNotes(file); err != nil {
		log.Warn("cannot read which destinations are paused: none is", "file", file, "err", err)
	}
	return n
}

// readNotes reads the file, if there is one.
func readNotes(file string) (map[string]note, error) {
	of := map[string]note{}
	if file == "" {
		return of, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return of, nil
	}
	if err == nil {
		err = yaml.UnmarshalStrict(text, &of)
	}
	if err != nil || of == nil {
		return map[string]note{}, err
	}
	return of, nil
}

// paused returns since when a destination is paused, the zero time when it is not.
func (n *notes) paused(name string) time.Time {
	if n.shared != nil {
		since, err := time.Parse(time.RFC3339, n.shared.Note(name))
		if err != nil {
			return time.Time{} // there is no note
		}
		return since
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if since := n.of[name].Paused; since != nil {
		return *since
	}
	return time.Time{}
}

// pause notes that a destination is paused since then, or with the zero time that it is
// not.
func (n *notes) pause(name string, since time.Time) error {
	if n.shared != nil {
		text := ""
		if !since.IsZero() {
			text = since.UTC().Format(time.RFC3339)
		}
		return n.shared.SetNote(name, text)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	was := n.of[name]
	now := note{URL: was.URL}
	if !since.IsZero() {
		since = since.UTC().Truncate(time.Second)
		now.Paused = &since
	}
	n.of[name] = now
	err := n.writeLocked()
	if err != nil {
		n.of[name] = was
	}
	return err
}

// place notes where a destination is.
func (n *notes) place(name, url string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now := n.of[name]; now.URL != url {
		now.URL = url
		n.of[name] = now
		n.noteLocked()
	}
}

// keep forgets destinations that the log does not know any more.
func (n *notes) keep(cursors []queue.CursorStatus) {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := len(n.of)
	maps.DeleteFunc(n.of, func(name string, _ note) bool {
		return !slices.ContainsFunc(cursors, func(c queue.CursorStatus) bool { return c.ID == name })
	})
	if len(n.of) < before {
		n.noteLocked()
	}
}

// noteLocked writes what nobody waits for.
func (n *notes) noteLocked() {
	if err := n.writeLocked(); err != nil {
		n.log.Warn("cannot write down what is known of the destinations", "file", n.file, "err", err)
	}
}

func (n *notes) writeLocked() error {
	if n.file == "" {
		return nil
	}
	text, err := yaml.Marshal(n.of)
	if err == nil {
		err = wholefile.WriteBytes(n.file, text)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", n.file, err)
	}
	return nil
}
