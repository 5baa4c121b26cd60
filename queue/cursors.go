package queue

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
)

// cursors are the positions of all destinations: the open ones, and the files
// that were found at open.
type cursors struct {
	d       *disk // nil: memory only
	log     *slog.Logger
	metrics *metrics
	nag     nag
	boot    [16]byte
	floor   func() int64
	totalAt func(seq uint64) (uint64, bool) // samples of all records up to seq
	head    uint64                          // end of the log at open

	mu    sync.Mutex
	open  map[string]*Cursor
	files map[string]cursorFile // by file name
}

func newCursors(log *slog.Logger, m *metrics, floor func() int64, totalAt func(uint64) (uint64, bool)) *cursors {
	return &cursors{
		log: log, metrics: m, floor: floor, totalAt: totalAt,
		open: map[string]*Cursor{}, files: map[string]cursorFile{},
	}
}

// Position is where one shard of a destination is.
type Position struct {
	Acked uint64 `json:"acked"`
	Sent  uint64 `json:"sent"`
}

// smallestAcked returns what all shards have acknowledged.
func smallestAcked(shards []Position) uint64 {
	acked := shards[0].Acked
	for _, s := range shards {
		acked = min(acked, s.Acked)
	}
	return acked
}

// CursorStatus describes a cursor.
type CursorStatus struct {
	ID     string
	Open   bool
	Shards []Position
	Ledger Ledger
}

// OpenCursor returns the cursor of the destination id, and makes it at the head
// of the log when there is none. isNew stays true over restarts until every shard
// has called Acked: so long the destination is owed the current state. When the
// number of shards has changed, all start from the smallest acknowledged
// position, and up to the largest sent one everything is in doubt.
//
// Open the cursors before Run: segments are kept only for those.
func (l *Log[R]) OpenCursor(id string, shards int) (c *Cursor, isNew bool, err error) {
	if shards < 1 || shards > maxShards || len(id) > maxCursorID {
		return nil, false, fmt.Errorf("cursor %q: %d shards are not possible", id, shards)
	}
	head, total := l.ring.end()
	if c, isNew, err = l.cursors.openCursor(id, shards, head, total); err != nil {
		return nil, false, err
	}
	if err := c.rebase(); err != nil {
		return nil, false, errors.Join(err, c.Close())
	}
	return c, isNew, nil
}

// RemoveCursor forgets the position of a destination that will not come back.
func (l *Log[R]) RemoveCursor(id string) error { return l.cursors.remove(id) }

// Cursors describes all cursors, also those that nobody has opened, by id.
func (l *Log[R]) Cursors() []CursorStatus { return l.cursors.list() }

func (cs *cursors) openCursor(id string, shards int, head, total uint64) (*Cursor, bool, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.open[id] != nil {
		return nil, false, fmt.Errorf("cursor %q is open already", id)
	}
	c := &Cursor{id: id, reg: cs, ledger: Ledger{Begun: total}, shards: make([]shardPosition, shards)}
	for i := range c.shards {
		c.shards[i] = shardPosition{acked: head, sent: head, base: unknownTotal}
	}
	name := cursorName(id)
	if cs.d != nil {
		if err := cs.resume(c, name); err != nil {
			return nil, false, fmt.Errorf("open cursor %q: %w", id, err)
		}
	}
	delete(cs.files, name)
	c.synced = c.ackedLocked()
	cs.open[id] = c
	return c, c.IsNew(), nil
}

// IsNew reports whether the destination is owed the current state: not every
// shard has acknowledged anything yet.
func (c *Cursor) IsNew() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.shards, func(p shardPosition) bool { return !p.started })
}

func (cs *cursors) remove(id string) error {
	cs.mu.Lock()
	c, name := cs.open[id], cursorName(id)
	delete(cs.open, id)
	delete(cs.files, name)
	cs.mu.Unlock()
	var err error
	if c != nil {
		err = c.finish()
	}
	if cs.d == nil {
		return err
	}
	if rerr := cs.d.fs.Remove(cs.d.path(name)); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		return fmt.Errorf("remove cursor %q: %w", id, rerr)
	}
	return errors.Join(err, cs.d.fs.SyncDir(cs.d.dir))
}

// forget takes a closed cursor from the open ones and remembers its file.
func (cs *cursors) forget(c *Cursor) error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.open[c.id] != c {
		return nil
	}
	delete(cs.open, c.id)
	if cs.d == nil {
		return nil
	}
	name := cursorName(c.id)
	b, err := readFile(cs.d.fs, cs.d.path(name))
	if err != nil {
		return err
	}
	cs.files[name], err = parseCursorFile(b, name, cs.d.id)
	return err
}

func (cs *cursors) list() []CursorStatus {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	var all []CursorStatus
	for _, c := range cs.open {
		s := CursorStatus{ID: c.id, Open: true}
		s.Ledger, _ = c.Ledger()
		for i := range c.shards {
			acked, sent := c.Position(i)
			s.Shards = append(s.Shards, Position{acked, sent})
		}
		all = append(all, s)
	}
	for _, f := range cs.files {
		if f.id != "" && !f.foreign {
			all = append(all, f.status())
		}
	}
	slices.SortFunc(all, func(a, b CursorStatus) int { return strings.Compare(a.ID, b.ID) })
	return all
}

func (f cursorFile) status() CursorStatus {
	s := CursorStatus{ID: f.id, Ledger: f.slot.ledger}
	for _, p := range f.slot.shards {
		s.Shards = append(s.Shards, Position{p.acked, p.sent})
	}
	if len(s.Shards) == 0 {
		s.Shards = []Position{{}} // damaged: it may be owed everything
	}
	return s
}

// opened returns the open cursors.
func (cs *cursors) opened() []*Cursor {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return slices.Collect(maps.Values(cs.open))
}

// sync makes all positions durable. What fails is tried again in a second.
func (cs *cursors) sync() {
	cs.keepInPlace()
	for _, c := range cs.opened() {
		if err := c.sync(); cs.nag.starts(c.id, err) {
			cs.log.Warn("cannot make a cursor durable", "cursor", c.id, "err", err)
		}
	}
}

// passed returns the sequence up to which every open cursor has acknowledged
// durably, and the largest number when none is open.
func (cs *cursors) passed() uint64 {
	passed := uint64(math.MaxUint64)
	for _, c := range cs.opened() {
		c.mu.Lock()
		passed = min(passed, c.synced)
		c.mu.Unlock()
	}
	return passed
}

// base returns the books at a position, if a cursor has noted them.
func (cs *cursors) base(seq uint64) (uint64, bool) {
	for _, c := range cs.opened() {
		c.mu.Lock()
		i := slices.IndexFunc(c.shards, func(p shardPosition) bool { return p.acked == seq && p.base != unknownTotal })
		total := uint64(0)
		if i >= 0 {
			total = c.shards[i].base
		}
		c.mu.Unlock()
		if i >= 0 {
			return total, true
		}
	}
	return 0, false
}

// close marks all open cursors as exact.
func (cs *cursors) close() error {
	var errs []error
	for _, c := range cs.opened() {
		errs = append(errs, c.finish())
	}
	return errors.Join(errs...)
}
