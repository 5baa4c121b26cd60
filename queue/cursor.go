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

	io      sync.Mutex // held while saving, taken before mu
	saver   Saver      // nil: closed
	unsaved bool       // the store has refused the positions

	mu     sync.Mutex
	shards []ShardSlot
	ledger Ledger
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
	return p.Acked, p.Sent
}

// Acknowledged returns the smallest acknowledged position: a reader that starts
// there misses nothing.
func (c *Cursor) Acknowledged() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ackedLocked()
}

func (c *Cursor) ackedLocked() uint64 {
	acked := c.shards[0].Acked
	for _, p := range c.shards {
		acked = min(acked, p.Acked)
	}
	return acked
}

// Sent notes that records of the shard up to seq are about to leave. When it
// returns nil, kill -9 cannot make it unhappen: only then may they leave.
func (c *Cursor) Sent(shard int, seq uint64) error {
	return c.update(func() bool {
		p := &c.shards[shard]
		if seq <= p.Sent {
			return false
		}
		p.Sent = seq
		return true
	})
}

// Acked notes that the shard is done with everything up to seq: delivered, or
// counted as dropped. It counts as sent, too. Shards without anything of their
// own must be moved along, or segments are kept for them.
func (c *Cursor) Acked(shard int, seq uint64) error {
	return c.Settle(shard, seq, UnknownTotal, Outcome{})
}

// update changes positions and saves them. Positions stay changed when that fails:
// they are true.
func (c *Cursor) update(change func() bool) error {
	c.io.Lock()
	defer c.io.Unlock()
	c.mu.Lock()
	changed := change()
	c.mu.Unlock()
	if !changed && !c.unsaved {
		return nil
	}
	return c.saveLocked(false)
}

// saveLocked saves the positions.
func (c *Cursor) saveLocked(clean bool) error {
	if c.saver == nil {
		return nil
	}
	c.mu.Lock()
	s := Slot{
		Clean: clean, Floor: c.reg.floor(), Orphaned: c.orphaned, Ledger: c.ledger, Shards: slices.Clone(c.shards),
	}
	c.mu.Unlock()
	return c.outcomeLocked("write", c.saver.Save(s))
}

// outcomeLocked notes whether the store has the positions.
func (c *Cursor) outcomeLocked(what string, err error) error {
	c.unsaved = err != nil
	if err == nil {
		return nil
	}
	c.reg.metrics.cursorFailures.Inc()
	return fmt.Errorf("%s cursor %s: %w", what, c.id, err)
}

// sync makes the positions durable.
func (c *Cursor) sync() error {
	c.io.Lock()
	defer c.io.Unlock()
	return c.syncLocked()
}

func (c *Cursor) syncLocked() error {
	if c.saver == nil {
		return nil
	}
	c.mu.Lock()
	acked := c.ackedLocked()
	c.mu.Unlock()
	if err := c.outcomeLocked("sync", c.saver.Sync()); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.synced = acked
	return nil
}

// noteBases writes down the books at positions in front of the sequence end,
// because the part of the log that knows them is about to be dropped.
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
			if total, ok := totals[p.Acked]; ok && p.Base == UnknownTotal {
				p.Base, changed = total, true
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
		if p.Acked < end && p.Base == UnknownTotal {
			seqs = append(seqs, p.Acked)
		}
	}
	return seqs
}

// finish marks the positions as exact and lets go of them.
func (c *Cursor) finish() error {
	c.io.Lock()
	defer c.io.Unlock()
	if c.saver == nil {
		return nil
	}
	err := c.saveLocked(true)
	if err == nil {
		err = c.syncLocked()
	}
	if cerr := c.saver.Close(); err == nil {
		err = cerr
	}
	c.saver = nil
	return err
}
