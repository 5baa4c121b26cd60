package queue

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// resume takes the positions from the file that was found at open, and makes sure
// that a power loss from here on is noticed.
func (cs *cursors) resume(c *Cursor, name string) error {
	found, exists := cs.files[name]
	if exists && !found.foreign {
		cs.adopt(c, found)
	}
	c.generation = found.slot.generation
	usable := exists && found.found && found.doubtful == nil && found.version == cursorVersion &&
		len(found.slot.shards) == len(c.shards)
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
	old, ledger := found.slot.shards, found.slot.ledger
	if c.orphaned != 0 && found.slot.orphaned != 0 {
		c.orphaned = found.slot.orphaned
	}
	if !found.found {
		old, ledger = []shardPosition{{base: unknownTotal, started: true}}, Ledger{Begun: unknownTotal}
	}
	if c.ledger = ledger; len(old) != len(c.shards) || found.version == 1 {
		old = c.merge(old, len(c.shards))
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

// merge returns n times the position that is safe for all of the shards in old. What
// some of them have settled behind it goes out again.
func (c *Cursor) merge(old []shardPosition, n int) []shardPosition {
	p := old[0]
	for _, o := range old[1:] {
		if o.acked < p.acked {
			p.acked, p.base = o.acked, o.base
		}
		p.sent = max(p.sent, o.sent)
		p.started = p.started && o.started
	}
	c.ledger.Again, c.ledger.MissedTo = unknownTotal, 0
	return slices.Repeat([]shardPosition{p}, n)
}

// Reshard gives a cursor that nobody uses at the moment another number of shards:
// all start from the smallest acknowledged position, and up to the largest sent
// one everything is in doubt. What was settled in between is accepted again in the
// Ledger. The log goes on keeping what is behind it.
func (c *Cursor) Reshard(shards int) error {
	if shards < 1 || shards > maxShards {
		return fmt.Errorf("cursor %q: %d shards are not possible", c.id, shards)
	}
	if c.reshard(shards) {
		return nil
	}
	if err := c.rebase(); err != nil {
		return err
	}
	return c.sync()
}

// reshard gives c another number of shards, and makes its file be written anew. It
// returns true when it has that number already.
func (c *Cursor) reshard(shards int) (same bool) {
	c.io.Lock()
	defer c.io.Unlock()
	c.mu.Lock()
	if same = len(c.shards) == shards; !same {
		c.broken = c.file != nil
		c.shards = c.merge(c.shards, shards)
	}
	c.mu.Unlock()
	return same
}

// load reads all cursor files. It returns the largest sequence that any of them
// knows.
func (cs *cursors) load(d *disk, files []fileInfo) (last uint64, err error) {
	cs.d, cs.boot = d, bootHash(d.fs.BootID())
	for _, info := range files {
		if strings.HasSuffix(info.name, forgetSuffix) {
			_ = d.fs.Remove(d.path(info.name)) // who asked has waited for a process that has ended
		}
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
		last = max(last, c.slot.ledger.MissedTo)
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
