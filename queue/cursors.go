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
	boot    [16]byte
	floor   func() int64
	head    uint64 // end of the log at open

	mu    sync.Mutex
	open  map[string]*Cursor
	files map[string]cursorFile // by file name
}

func newCursors(log *slog.Logger, m *metrics, floor func() int64) *cursors {
	return &cursors{
		log: log, metrics: m, floor: floor,
		open: map[string]*Cursor{}, files: map[string]cursorFile{},
	}
}

// Position is where one shard of a destination is.
type Position struct {
	Acked uint64 `json:"acked"`
	Sent  uint64 `json:"sent"`
}

// CursorStatus describes a cursor.
type CursorStatus struct {
	ID     string     `json:"id"`
	Open   bool       `json:"open"`
	Shards []Position `json:"shards"`
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
	return l.cursors.openCursor(id, shards, l.Head())
}

// RemoveCursor forgets the position of a destination that will not come back.
func (l *Log[R]) RemoveCursor(id string) error { return l.cursors.remove(id) }

// Cursors describes all cursors, also those that nobody has opened, by id.
func (l *Log[R]) Cursors() []CursorStatus { return l.cursors.list() }

func (cs *cursors) openCursor(id string, shards int, head uint64) (*Cursor, bool, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.open[id] != nil {
		return nil, false, fmt.Errorf("cursor %q is open already", id)
	}
	c := &Cursor{id: id, reg: cs, shards: make([]shardPosition, shards)}
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
	return c, c.isNew(), nil
}

func (c *Cursor) isNew() bool {
	return slices.ContainsFunc(c.shards, func(p shardPosition) bool { return !p.started })
}

// resume takes the positions from the file that was found at open, and makes sure
// that a power loss from here on is noticed.
func (cs *cursors) resume(c *Cursor, name string) error {
	found, exists := cs.files[name]
	if exists && !found.foreign {
		cs.adopt(c, found)
	}
	c.generation = found.slot.generation
	usable := exists && found.found && found.doubtful == nil && len(found.slot.shards) == len(c.shards)
	if !usable {
		if exists && (found.doubtful != nil || found.foreign) {
			cs.d.copyAside(name)
		}
		return c.rebuildLocked(false)
	}
	f, err := cs.d.fs.Edit(cs.d.path(name))
	if err != nil {
		return err
	}
	// The slot that was found may be in the page cache only: it must be on disk
	// before the other one is touched.
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	c.file, c.slotAt = f, 1-found.which
	if err := c.writeLocked(false); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := c.persistLocked(); err != nil {
		return errors.Join(err, f.Close())
	}
	return nil
}

// adopt sets c's positions from what was found. Nothing found means that all of
// the log is in doubt: delivering twice is better than not at all.
func (cs *cursors) adopt(c *Cursor, found cursorFile) {
	old := found.slot.shards
	if !found.found {
		old = []shardPosition{{base: unknownTotal, started: true}}
	}
	if len(old) != len(c.shards) {
		old = slices.Repeat([]shardPosition{merge(old)}, len(c.shards))
	}
	exact := found.found && found.doubtful == nil &&
		(found.slot.clean || found.slot.boot == cs.boot && cs.boot != [16]byte{})
	copy(c.shards, old)
	if exact {
		return
	}
	for i := range c.shards {
		c.shards[i].sent = max(c.shards[i].sent, cs.head)
	}
	cs.log.Warn("the machine stopped without warning, or the cursor is damaged: what was not acknowledged is in doubt",
		"cursor", c.id, "acked_seq", c.ackedLocked(), "head_seq", cs.head)
}

// merge returns the position that is safe for all of the shards in old.
func merge(old []shardPosition) shardPosition {
	p := old[0]
	for _, o := range old[1:] {
		if o.acked < p.acked {
			p.acked, p.base = o.acked, o.base
		}
		p.sent = max(p.sent, o.sent)
		p.started = p.started && o.started
	}
	return p
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
	s := CursorStatus{ID: f.id}
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

// sync makes all positions durable. An error is logged by the caller of Sent and
// Acked, and tried again in a second.
func (cs *cursors) sync() {
	for _, c := range cs.opened() {
		if err := c.sync(); err != nil {
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

// load reads all cursor files. It returns the largest sequence that any of them
// knows.
func (cs *cursors) load(d *disk, files []fileInfo) (last uint64, err error) {
	cs.d, cs.boot = d, bootHash(d.fs.BootID())
	for _, info := range files {
		if !strings.HasSuffix(info.name, cursorSuffix) {
			continue
		}
		b, err := readFile(d.fs, d.path(info.name))
		if err != nil {
			return 0, err
		}
		c, err := parseCursorFile(b, info.name, d.id)
		if err != nil {
			return 0, err
		}
		cs.files[info.name] = c
		cs.reportFile(d, c, info)
		for _, p := range c.slot.shards {
			last = max(last, p.acked, p.sent)
		}
	}
	return last, nil
}

// reportFile says what is wrong with a cursor file. A copy of a damaged one is
// kept when the cursor is opened and the file written anew.
func (cs *cursors) reportFile(d *disk, c cursorFile, info fileInfo) {
	switch {
	case c.foreign:
		d.report(&CorruptionError{File: info.name, Length: info.size, Err: errForeign})
	case c.doubtful != nil:
		d.report(&CorruptionError{File: info.name, Length: info.size, Err: c.doubtful})
	}
}

// createCursor writes a new cursor file under a temporary name and puts it in
// place, durably.
func (d *disk) createCursor(id string, s slot) (file, error) {
	name := cursorName(id)
	f, err := d.writeTemp(name, func(f file) error {
		return writeAll(f, buildCursorFile(d.id, id, s), 0)
	})
	if err != nil {
		return nil, err
	}
	if err := d.fs.Rename(d.path(name+tempSuffix), d.path(name)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := d.fs.SyncDir(d.dir); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// readFile reads a small file whole.
func readFile(fs fsys, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b := make([]byte, size)
	n, _, err := readPages(f, b, 0)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return b[:n], f.Close()
}
