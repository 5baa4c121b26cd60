package queue

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// An orphan is a cursor whose destination is configured no longer. A file that is
// empty for the moment of a reload, or one start without a flag, must not cost
// what waits: the log keeps an orphan and what lies behind it, within its bounds,
// until the destination is back, Options.OrphanRetention has passed, or an
// operator has it forgotten.

// ErrNoOrphan is what Forget returns for an id that is not, or no longer, that of
// an orphan.
var ErrNoOrphan = errors.New("there is no destination of this name that is not configured")

// forgetSuffix ends the name of an empty file beside a cursor that asks the
// process that has the directory open to forget the orphan.
const forgetSuffix = ".forget"

// KeepOrphans makes orphans of all cursors that were found and not opened since.
// It returns those that there are, and belongs behind the last OpenCursor before
// Run: segments are not kept for cursors that nobody has opened.
func (l *Log[R]) KeepOrphans() ([]CursorStatus, error) {
	head, total := l.ring.end()
	for _, f := range l.cursors.unopened() {
		c, _, err := l.cursors.openCursor(f.id, max(1, len(f.slot.shards)), head, total, true)
		if err == nil {
			err = c.rebase()
		}
		if err != nil {
			return nil, err
		}
	}
	var orphans []CursorStatus
	for _, s := range l.Cursors() {
		if !s.Orphaned.IsZero() {
			orphans = append(orphans, s)
		}
	}
	return orphans, nil
}

// Orphan says that nobody sends for the cursor any more. OpenCursor takes it up
// again.
func (c *Cursor) Orphan() error {
	err := c.update(func() bool {
		c.orphaned = c.reg.seconds()
		return true
	})
	return errors.Join(err, c.sync())
}

// takeUp ends being an orphan.
func (c *Cursor) takeUp(shards int) error {
	c.reshard(shards)
	return c.update(func() bool {
		c.orphaned = 0
		return true
	})
}

// orphanedSince returns since when nobody sends for the cursor, 0 if somebody does.
func (c *Cursor) orphanedSince() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.orphaned
}

// orphans returns how many there are, and how many samples are kept for them.
func (l *Log[R]) orphans() (n int, pending uint64) {
	for _, s := range l.Cursors() {
		if !s.Orphaned.IsZero() {
			n++
			pending += l.Pending(s)
		}
	}
	return n, pending
}

// Forget ends an orphan. What it had not acknowledged is lost, and counted.
func (l *Log[R]) Forget(id, reason string) error {
	samples := uint64(0)
	for _, s := range l.Cursors() {
		if s.ID == id {
			samples = l.Pending(s)
		}
	}
	if err := l.cursors.removeOrphan(id); err != nil {
		return err
	}
	l.metrics.abandoned.Add(float64(samples))
	l.o.Logger.Warn("a destination that is no longer configured is forgotten: what it was not sent is dropped",
		"destination", id, "samples", samples, "reason", reason)
	return nil
}

// endOrphans forgets orphans whose time is over, and those that an operator does
// not want any more.
func (l *Log[R]) endOrphans() {
	for _, c := range l.cursors.opened() {
		reason := ""
		switch since := c.orphanedSince(); {
		case since == 0:
			continue
		case int64(l.cursors.seconds())-int64(since) >= int64(l.o.OrphanRetention/time.Second):
			reason = "it was not configured for " + l.o.OrphanRetention.String()
		case l.disk.askedToForget(c.id):
			reason = "an operator asked for it"
		default:
			continue
		}
		err := l.Forget(c.id, reason)
		if err == nil || errors.Is(err, ErrNoOrphan) {
			continue
		}
		if l.cursors.nag.starts("forget "+c.id, err) {
			l.o.Logger.Warn("cannot forget a destination", "destination", c.id, "err", err)
		}
	}
}

// askedToForget reports whether there is the file that asks for it.
func (d *disk) askedToForget(id string) bool {
	if d == nil {
		return false
	}
	name := d.path(cursorName(id) + forgetSuffix)
	f, err := d.fs.Open(name)
	if err != nil {
		return false
	}
	_ = f.Close() // is empty
	return true
}

// seconds is the time at which something becomes an orphan. It is not before the
// newest record: a clock that is not set yet would end it as soon as it is.
func (cs *cursors) seconds() uint32 {
	return uint32(max(cs.now().Unix(), cs.floor()/1000, 1))
}

// unopened returns the files that OpenCursor was not asked for.
func (cs *cursors) unopened() []cursorFile {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	var files []cursorFile
	for name, f := range cs.files {
		if f.id != "" && !f.foreign && name == cursorName(f.id) {
			files = append(files, f)
		}
	}
	return files
}

// removeOrphan closes an orphan and removes its file.
func (cs *cursors) removeOrphan(id string) error {
	cs.mu.Lock()
	c := cs.open[id]
	if c == nil || c.orphanedSince() == 0 {
		cs.mu.Unlock()
		return fmt.Errorf("forget %q: %w", id, ErrNoOrphan)
	}
	err := cs.removeFile(id)
	if err == nil {
		delete(cs.open, id)
	}
	cs.mu.Unlock()
	if err == nil {
		_ = c.finish() // of a file that is gone
	}
	return err
}

// removeFile removes a cursor's file, and then the one that asks for it.
func (cs *cursors) removeFile(id string) error {
	if cs.d == nil {
		return nil
	}
	name := cs.d.path(cursorName(id))
	for _, name := range []string{name, name + forgetSuffix} {
		if err := cs.d.fs.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove cursor %q: %w", id, err)
		}
	}
	return cs.d.fs.SyncDir(cs.d.dir)
}

// rename gives the first of the cursors called was, if there is one, the name id.
// If a crash comes between, the old one is an orphan with the same position.
func (cs *cursors) rename(id string, was []string, head, total uint64) error {
	if cs.known(id) {
		return nil
	}
	for _, old := range was {
		if !cs.known(old) {
			continue
		}
		shards := 1
		cs.mu.Lock()
		if f, ok := cs.files[cursorName(old)]; ok {
			shards = max(1, len(f.slot.shards))
		}
		c := cs.open[old]
		cs.mu.Unlock()
		var err error
		if c == nil {
			c, _, err = cs.openCursor(old, shards, head, total, true)
		}
		if err == nil && c.orphanedSince() != 0 {
			err = cs.move(c, id)
		}
		return err
	}
	return nil
}

// known reports whether there is a cursor of that name, open or not.
func (cs *cursors) known(id string) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	f, ok := cs.files[cursorName(id)]
	return cs.open[id] != nil || ok && !f.foreign
}

// move puts a cursor with another name in the place of the orphan c.
func (cs *cursors) move(c *Cursor, id string) error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c.mu.Lock()
	n := &Cursor{id: id, reg: cs, shards: c.shards, ledger: c.ledger, synced: c.synced, orphaned: c.orphaned}
	c.mu.Unlock()
	if cs.d != nil {
		if err := n.rebuildLocked(false); err != nil {
			return err
		}
	}
	delete(cs.open, c.id)
	cs.open[id] = n
	return errors.Join(c.finish(), cs.removeFile(c.id))
}
