package queue

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Cursor is a destination's position in the log, for each of its shards: up to
// which sequence the destination has acknowledged, and up to which it may have
// been sent something. What lies between is in doubt after a restart. With the
// positions it keeps the destination's Ledger. All methods are safe for concurrent
// use.
type Cursor struct {
	id  string
	reg *cursors

	io         sync.Mutex // held while writing the file, taken before mu
	file       file       // nil: memory only, or closed
	slotAt     int        // the slot that is being overwritten
	generation uint64
	broken     bool // the file must be written anew
	buf        []byte

	mu     sync.Mutex
	shards []shardPosition
	ledger Ledger
	dirty  bool   // written since the last fsync
	synced uint64 // smallest acked position that a power loss cannot take back

	orphaned uint32 // when the destination went, in seconds since the epoch; 0: it is there
}

// ID returns what OpenCursor was given.
func (c *Cursor) ID() string { return c.id }

// Shards returns the number of shards.
func (c *Cursor) Shards() int { return len(c.shards) }

// Position returns what the shard has acknowledged, and up to where it may have
// been sent. Behind Open, records in between are in doubt: after a proper stop or
// kill -9 that is what was on its way; after a power loss it is everything from
// the last synced position to the end of the log.
func (c *Cursor) Position(shard int) (acked, sent uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.shards[shard]
	return p.acked, p.sent
}

// Acknowledged returns the smallest acknowledged position: a reader that starts
// there misses nothing.
func (c *Cursor) Acknowledged() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ackedLocked()
}

func (c *Cursor) ackedLocked() uint64 {
	acked := c.shards[0].acked
	for _, p := range c.shards {
		acked = min(acked, p.acked)
	}
	return acked
}

// Sent notes that records of the shard up to seq are about to leave. When it
// returns nil, kill -9 cannot make it unhappen: only then may they leave.
func (c *Cursor) Sent(shard int, seq uint64) error {
	return c.update(func() bool {
		p := &c.shards[shard]
		if seq <= p.sent {
			return false
		}
		p.sent = seq
		return true
	})
}

// Acked notes that the shard is done with everything up to seq: delivered, or
// counted as dropped. It counts as sent, too. Shards without anything of their
// own must be moved along, or segments are kept for them.
func (c *Cursor) Acked(shard int, seq uint64) error {
	return c.Settle(shard, seq, unknownTotal, Counts{})
}

// update changes positions and writes the slot. Positions stay changed when the
// write fails: they are true.
func (c *Cursor) update(change func() bool) error {
	c.io.Lock()
	defer c.io.Unlock()
	c.mu.Lock()
	changed := change()
	c.dirty = c.dirty || changed
	c.mu.Unlock()
	if !changed && !c.broken {
		return nil
	}
	return c.writeLocked(false)
}

// writeLocked writes the positions to the current slot. The page cache has them
// then, which is what kill -9 leaves.
func (c *Cursor) writeLocked(clean bool) error {
	if c.file == nil {
		return nil
	}
	if c.broken {
		return c.rebuildLocked(clean)
	}
	s := c.slotLocked(clean)
	at := slotsAt + int64(c.slotAt)*slotSize(len(s.shards))
	c.buf = appendSlot(c.buf[:0], c.reg.d.id, s)
	if err := writeAll(c.file, c.buf, at); err != nil {
		c.broken = true
		c.reg.metrics.cursorFailures.Inc()
		return fmt.Errorf("write cursor %s: %w", c.id, err)
	}
	return nil
}

// slotLocked returns the next version of the positions.
func (c *Cursor) slotLocked(clean bool) slot {
	c.generation++
	c.mu.Lock()
	defer c.mu.Unlock()
	return slot{
		generation: c.generation, clean: clean, boot: c.reg.boot,
		floor: c.reg.floor(), era: c.reg.d.era.Load(), orphaned: c.orphaned, ledger: c.ledger, shards: slices.Clone(c.shards),
	}
}

// sync makes the positions durable and turns to the other slot.
func (c *Cursor) sync() error {
	c.io.Lock()
	defer c.io.Unlock()
	return c.syncLocked()
}

func (c *Cursor) syncLocked() error {
	c.mu.Lock()
	dirty, acked := c.dirty, c.ackedLocked()
	c.dirty = false
	c.mu.Unlock()
	if !dirty && !c.broken {
		return nil
	}
	err := c.persistLocked()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.dirty = true
		return err
	}
	c.synced = acked
	return nil
}

// persistLocked is the fsync of sync. After a failure the file is not synced
// again but written anew: the kernel may have thrown away what it could not write.
func (c *Cursor) persistLocked() error {
	if c.file == nil {
		return nil
	}
	if c.broken {
		return c.rebuildLocked(false)
	}
	if err := c.file.Sync(); err != nil {
		c.broken = true
		c.reg.metrics.cursorFailures.Inc()
		return fmt.Errorf("sync cursor %s: %w", c.id, err)
	}
	c.slotAt = 1 - c.slotAt
	return nil
}

// rebuildLocked replaces the file by a new one with the same positions.
func (c *Cursor) rebuildLocked(clean bool) error {
	f, err := c.reg.d.createCursor(c.id, c.slotLocked(clean))
	if err != nil {
		c.broken = true
		c.reg.metrics.cursorFailures.Inc()
		return fmt.Errorf("write cursor %s: %w", c.id, err)
	}
	old := c.file
	c.file, c.slotAt, c.broken = f, 1, false
	if old != nil {
		_ = old.Close() // nothing in it is of use any more
	}
	return nil
}

// keepInPlace makes the file be written anew when its name leads elsewhere.
func (c *Cursor) keepInPlace(name string) {
	c.io.Lock()
	defer c.io.Unlock()
	if c.file == nil || c.broken {
		return
	}
	if same, err := c.file.At(name); err == nil && !same {
		c.broken = true
	}
}

// noteBases writes down the books at positions in front of the sequence end,
// because the segment that knows them is about to be dropped.
func (c *Cursor) noteBases(end uint64, totalAt func(seq uint64) (uint64, bool)) error {
	totals := map[uint64]uint64{}
	for _, seq := range c.positionsBefore(end) {
		if total, ok := totalAt(seq); ok {
			totals[seq] = total
		}
	}
	err := c.update(func() bool {
		changed := false
		for i := range c.shards {
			p := &c.shards[i]
			if total, ok := totals[p.acked]; ok && p.base == unknownTotal {
				p.base, changed = total, true
			}
		}
		return changed
	})
	return errors.Join(err, c.sync())
}

// positionsBefore returns the acknowledged positions in front of end whose books
// are not noted yet.
func (c *Cursor) positionsBefore(end uint64) []uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var seqs []uint64
	for _, p := range c.shards {
		if p.acked < end && p.base == unknownTotal {
			seqs = append(seqs, p.acked)
		}
	}
	return seqs
}

// finish marks the positions as exact and closes the file.
func (c *Cursor) finish() error {
	c.io.Lock()
	defer c.io.Unlock()
	if c.file == nil {
		return nil
	}
	err := c.writeLocked(true)
	if err == nil {
		err = c.persistLocked()
	}
	if cerr := c.file.Close(); err == nil {
		err = cerr
	}
	c.file = nil
	return err
}
