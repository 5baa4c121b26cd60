package queue

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// MaxShards bounds the shards of a cursor.
const MaxShards = 4096

// cursors are the open positions of destinations.
type cursors struct {
	store   Cursors
	log     *slog.Logger
	metrics *metrics
	nag     nag
	floor   func() int64
	now     func() time.Time
	totalAt func(seq uint64) (uint64, bool) // samples of all records up to seq
	head    uint64                          // end of the log at open

	mu       sync.Mutex
	open     map[string]*Cursor
	complete bool // all that the log is kept for are open
}

func newCursors(s Cursors, log *slog.Logger, m *metrics) *cursors {
	return &cursors{store: s, log: log, metrics: m, open: map[string]*Cursor{}}
}

// Position is where one shard of a destination is.
type Position struct {
	Acked uint64 `json:"acked"`
	Sent  uint64 `json:"sent"`
}

// SmallestAcked returns what all shards have acknowledged.
func SmallestAcked(shards []Position) uint64 {
	acked := shards[0].Acked
	for _, s := range shards {
		acked = min(acked, s.Acked)
	}
	return acked
}

// CursorStatus describes a cursor.
type CursorStatus struct {
	ID       string
	Open     bool      // somebody sends for it
	Orphaned time.Time // since when nobody does, and what waits is kept all the same; zero when it is not
	Shards   []Position
	Ledger   Ledger
}

// OpenCursor returns the cursor of the destination id, and makes it at the head
// of the log when there is none. isNew stays true over restarts until every shard
// has called Acked: so long the destination is owed the current state. When the
// number of shards has changed, all start from the smallest acknowledged
// position, and up to the largest sent one everything is in doubt. A destination
// that was known by one of the ids in was goes on where it was.
//
// Open the cursors before Run: the log is kept only for those, and for orphans.
func (l *Log[R]) OpenCursor(id string, shards int, was ...string) (c *Cursor, isNew bool, err error) {
	if shards < 1 || shards > MaxShards {
		return nil, false, fmt.Errorf("cursor %q: %d shards are not possible", id, shards)
	}
	head, total := l.ring.end()
	if err := l.cursors.rename(id, was, head, total); err != nil {
		return nil, false, err
	}
	if c, isNew, err = l.cursors.openCursor(id, shards, head, total, false); err != nil {
		return nil, false, err
	}
	if err := c.rebase(); err != nil {
		return nil, false, errors.Join(err, c.Orphan())
	}
	return c, isNew, nil
}

// Cursors describes all cursors, also those that nobody has opened, by id.
func (l *Log[R]) Cursors() []CursorStatus { return l.cursors.list() }

func (cs *cursors) openCursor(id string, shards int, head, total uint64, orphan bool) (*Cursor, bool, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c := cs.open[id]; c != nil {
		if c.orphanedSince() == 0 {
			return nil, false, fmt.Errorf("cursor %q is open already", id)
		}
		return c, c.IsNew(), c.takeUp(shards)
	}
	saver, saved, err := cs.store.OpenCursor(id)
	if err != nil {
		return nil, false, fmt.Errorf("open cursor %q: %w", id, err)
	}
	c := &Cursor{id: id, reg: cs, saver: saver, ledger: Ledger{Begun: total}, shards: make([]ShardSlot, shards)}
	if orphan {
		c.orphaned = cs.seconds()
	}
	for i := range c.shards {
		c.shards[i] = ShardSlot{Acked: head, Sent: head, Base: UnknownTotal}
	}
	if saved != nil {
		cs.adopt(c, saved)
	}
	// From here on a power loss must be noticed.
	if err := c.begin(); err != nil {
		return nil, false, errors.Join(fmt.Errorf("open cursor %q: %w", id, err), saver.Close())
	}
	cs.open[id] = c
	return c, c.IsNew(), nil
}

// begin saves the positions durably.
func (c *Cursor) begin() error {
	c.io.Lock()
	defer c.io.Unlock()
	if err := c.saveLocked(false); err != nil {
		return err
	}
	return c.syncLocked()
}

// IsNew reports whether the destination is owed the current state: not every
// shard has acknowledged anything yet.
func (c *Cursor) IsNew() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.shards, func(p ShardSlot) bool { return !p.Started })
}

// HasSent reports whether anything may have been sent to the destination since the cursor
// was made, be it that it is still new.
func (c *Cursor) HasSent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.shards, func(p ShardSlot) bool { return p.Started || p.Sent > p.Acked })
}

func (cs *cursors) list() []CursorStatus {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	var all []CursorStatus
	for _, c := range cs.open {
		all = append(all, c.status())
	}
	for _, saved := range cs.store.Cursors() {
		all = append(all, saved.Slot.status(saved.ID))
	}
	slices.SortFunc(all, func(a, b CursorStatus) int { return strings.Compare(a.ID, b.ID) })
	return all
}

func (c *Cursor) status() CursorStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Slot{Orphaned: c.orphaned, Ledger: c.ledger, Shards: c.shards}
	status := s.status(c.id)
	status.Open = c.orphaned == 0
	return status
}

func (s *Slot) status(id string) CursorStatus {
	status := CursorStatus{ID: id, Orphaned: s.OrphanedSince(), Ledger: s.Ledger}
	for _, p := range s.Shards {
		status.Shards = append(status.Shards, Position{p.Acked, p.Sent})
	}
	return status
}

// OrphanedSince returns since when nobody sends for the cursor, the zero time when
// somebody does.
func (s *Slot) OrphanedSince() time.Time {
	if s.Orphaned == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s.Orphaned), 0)
}

// opened returns the open cursors.
func (cs *cursors) opened() []*Cursor {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return slices.Collect(maps.Values(cs.open))
}

// sync makes all positions durable. What fails is tried again in a second.
func (cs *cursors) sync() {
	for _, c := range cs.opened() {
		if err := c.sync(); cs.nag.starts(c.id, err) {
			cs.log.Warn("cannot make a cursor durable", "cursor", c.id, "err", err)
		}
	}
}

// passed returns the sequence up to which every open cursor has acknowledged
// durably, and the largest number when none is open.
func (cs *cursors) passed() uint64 {
	all, _ := cs.passedBy()
	return all
}

// passedBy is passed, and the same for those cursors that somebody sends for.
func (cs *cursors) passedBy() (all, used uint64) {
	all, used = math.MaxUint64, math.MaxUint64
	for _, c := range cs.opened() {
		c.mu.Lock()
		all = min(all, c.synced)
		if c.orphaned == 0 {
			used = min(used, c.synced)
		}
		c.mu.Unlock()
	}
	return all, used
}

// base returns the books at a position, if a cursor has noted them.
func (cs *cursors) base(seq uint64) (uint64, bool) {
	for _, c := range cs.opened() {
		c.mu.Lock()
		i := slices.IndexFunc(c.shards, func(p ShardSlot) bool { return p.Acked == seq && p.Base != UnknownTotal })
		total := uint64(0)
		if i >= 0 {
			total = c.shards[i].Base
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
