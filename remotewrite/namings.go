package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"go.yaml.in/yaml/v2"

	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/remotewrite"
	"github.com/pushbridge/pushbridge/wholefile"
)

// namings remembers under which names each destination was sent its series, so
// that they end when external labels or relabel rules have changed, over a restart
// too. docs/queue-format.md describes the file.
type namings struct {
	file string // empty: memory only
	log  *slog.Logger

	mu    sync.Mutex
	known map[string]*naming // by id
}

// naming is what is remembered of a destination.
type naming struct {
	Now    remotewrite.Naming   `yaml:"now"`
	Before []remotewrite.Naming `yaml:"before,omitempty"` // what may still be visible, oldest first
}

const (
	namingsName = "names.yml"
	maxBefore   = 3 // changes that are not dealt with yet; each costs a marker for every series
)

func newNamings(dir string, log *slog.Logger) *namings {
	n := &namings{log: log, known: map[string]*naming{}}
	if dir == "" {
		return n
	}
	n.file = filepath.Join(dir, namingsName)
	if err := n.read(); err != nil {
		log.Warn("cannot read under which names series were sent: those that have others now stay visible for a while",
			"file", n.file, "err", err)
		n.known = map[string]*naming{}
	}
	return n
}

func (n *namings) read() error {
	text, err := os.ReadFile(n.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = yaml.UnmarshalStrict(text, &n.known)
	}
	if err != nil {
		return err
	}
	for id, k := range n.known {
		if k == nil {
			return fmt.Errorf("destination %s: nothing is noted", id)
		}
		for _, x := range append(slices.Clone(k.Before), k.Now) {
			if err := x.Check(); err != nil {
				return fmt.Errorf("destination %s: %w", id, err)
			}
		}
	}
	return nil
}

// rename makes what is noted of a destination that was called by one of former, if
// nothing is noted of id, that of id.
func (n *namings) rename(id string, former []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, old := range former {
		if k := n.known[old]; k != nil && n.known[id] == nil {
			n.known[id] = k
			delete(n.known, old)
			n.writeLocked()
		}
	}
}

// change notes what the destination id is sent under from now on, and returns what
// it was sent under before. A new one has nothing behind it.
func (n *namings) change(id string, now remotewrite.Naming, isNew bool) []remotewrite.Naming {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := n.known[id]
	switch {
	case k == nil || isNew || k.Now.Place != now.Place:
		n.known[id] = &naming{Now: now}
	case k.Now.Equal(now):
		return slices.Clone(k.Before)
	default:
		before := append(slices.Clone(k.Before), k.Now)
		before = slices.DeleteFunc(before, now.Equal)
		if over := len(before) - maxBefore; over > 0 {
			n.log.Warn("names have changed too often: series with the oldest ones stay visible for a while", "destination", id)
			before = before[over:]
		}
		n.known[id] = &naming{Now: now, Before: before}
	}
	n.writeLocked()
	return slices.Clone(n.known[id].Before)
}

// ended notes that nothing is visible any more under what was before.
func (n *namings) ended(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if k := n.known[id]; k != nil && len(k.Before) > 0 {
		n.known[id] = &naming{Now: k.Now}
		n.writeLocked()
	}
}

// keep forgets destinations that the log does not know any more.
func (n *namings) keep(cursors []queue.CursorStatus) {
	n.mu.Lock()
	defer n.mu.Unlock()
	gone := false
	for id := range n.known {
		if !slices.ContainsFunc(cursors, func(c queue.CursorStatus) bool { return c.ID == id }) {
			delete(n.known, id)
			gone = true
		}
	}
	if gone {
		n.writeLocked()
	}
}

// writeLocked puts the file in place. Without it a restart with other names leaves
// the old ones visible for a while, nothing else.
func (n *namings) writeLocked() {
	if n.file == "" {
		return
	}
	text, err := yaml.Marshal(n.known)
	if err == nil {
		err = wholefile.Write(n.file, func(w io.Writer) error {
			_, err := w.Write(text)
			return err
		}, nil)
	}
	if err != nil {
		n.log.Warn("cannot write down under which names series are sent", "file", n.file, "err", err)
	}
}
