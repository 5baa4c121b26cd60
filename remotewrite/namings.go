package remotewrite

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"

	"go.yaml.in/yaml/v2"

	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/wholefile"
)

// Namings remembers under which names each destination was sent its series, so
// that they end when external labels or relabel rules have changed, over a restart
// too. docs/queue-format.md describes the file. Its methods may be called at any time.
type Namings struct {
	file string // empty: memory only
	log  *slog.Logger

	mu    sync.Mutex
	known map[string]*noted // by id
}

// noted is what is remembered of a destination.
type noted struct {
	Now    Naming   `yaml:"now"`
	Before []Naming `yaml:"before,omitempty"` // what may still be visible, oldest first
}

// maxBefore is how many changes there may be that are not dealt with yet; each costs a
// marker for every series.
const maxBefore = 3

// NewNamings reads what a file has noted. Without a file, or one that can be read, nothing
// is remembered of before.
func NewNamings(file string, log *slog.Logger) *Namings {
	n := &Namings{file: file, log: log, known: map[string]*noted{}}
	if file == "" {
		return n
	}
	if err := n.read(); err != nil {
		log.Warn("cannot read under which names series were sent: those that have others now stay visible for a while",
			"file", n.file, "err", err)
		n.known = map[string]*noted{}
	}
	return n
}

// Follow notes under which names a destination with these settings and this cursor is sent
// its series from now on, and has o end what it was sent under before.
func (n *Namings) Follow(c *Config, o *Options) {
	id := c.ID()
	n.rename(id, c.FormerIDs())
	o.Former = n.change(id, NamingOf(c, o), o.Cursor.HasSent())
	o.FormerEnded = func() { n.ended(id) }
}

// Keep forgets destinations that the log does not know any more.
func (n *Namings) Keep(cursors []queue.CursorStatus) {
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

// rename makes what is noted of a destination that was called by one of former, if
// nothing is noted of id, that of id.
func (n *Namings) rename(id string, former []string) {
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
// it was sent under before. One that was never sent anything has nothing behind it.
func (n *Namings) change(id string, now Naming, hasSent bool) []Naming {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := n.known[id]
	switch {
	case k == nil || !hasSent || k.Now.Place != now.Place:
		n.known[id] = &noted{Now: now}
	case k.Now.Equal(now):
		return slices.Clone(k.Before)
	default:
		before := append(slices.Clone(k.Before), k.Now)
		before = slices.DeleteFunc(before, now.Equal)
		if over := len(before) - maxBefore; over > 0 {
			n.log.Warn("names have changed too often: series with the oldest ones stay visible for a while", "destination", id)
			before = before[over:]
		}
		n.known[id] = &noted{Now: now, Before: before}
	}
	n.writeLocked()
	return slices.Clone(n.known[id].Before)
}

// ended notes that nothing is visible any more under what was before.
func (n *Namings) ended(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if k := n.known[id]; k != nil && len(k.Before) > 0 {
		n.known[id] = &noted{Now: k.Now}
		n.writeLocked()
	}
}

func (n *Namings) read() error {
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

// writeLocked puts the file in place. Without it a restart with other names leaves
// the old ones visible for a while, nothing else.
func (n *Namings) writeLocked() {
	if n.file == "" {
		return
	}
	text, err := yaml.Marshal(n.known)
	if err == nil {
		err = wholefile.WriteBytes(n.file, text)
	}
	if err != nil {
		n.log.Warn("cannot write down under which names series are sent", "file", n.file, "err", err)
	}
}
