package queue

import (
	"fmt"
	"slices"
)

// adopt sets c's positions from what was saved.
func (cs *cursors) adopt(c *Cursor, saved *Saved) {
	old := saved.Slot.Shards
	if c.orphaned != 0 && saved.Slot.Orphaned != 0 {
		c.orphaned = saved.Slot.Orphaned
	}
	if c.ledger = saved.Slot.Ledger; len(old) != len(c.shards) || c.ledger.Begun == UnknownTotal {
		old = c.merge(old, len(c.shards))
	}
	copy(c.shards, old)
	if saved.Exact {
		return
	}
	for i := range c.shards {
		c.shards[i].Sent = max(c.shards[i].Sent, cs.head)
	}
	cs.log.Warn("the machine stopped without warning, or the cursor is damaged: what was not acknowledged is in doubt",
		"cursor", c.id, "acked_seq", c.ackedLocked(), "head_seq", cs.head)
}

// merge returns n times the position that is safe for all of the shards in old. What
// some of them have settled behind it goes out again.
func (c *Cursor) merge(old []ShardSlot, n int) []ShardSlot {
	p := old[0]
	for _, o := range old[1:] {
		if o.Acked < p.Acked {
			p.Acked, p.Base = o.Acked, o.Base
		}
		p.Sent = max(p.Sent, o.Sent)
		p.Started = p.Started && o.Started
	}
	c.ledger.Again, c.ledger.MissedTo = UnknownTotal, 0
	return slices.Repeat([]ShardSlot{p}, n)
}

// Reshard gives a cursor that nobody uses at the moment another number of shards:
// all start from the smallest acknowledged position, and up to the largest sent
// one everything is in doubt. What was settled in between is accepted again in the
// Ledger. The log goes on keeping what is behind it.
func (c *Cursor) Reshard(shards int) error {
	if shards < 1 || shards > MaxShards {
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

// reshard gives c another number of shards. It returns true when it has that number
// already.
func (c *Cursor) reshard(shards int) (same bool) {
	c.io.Lock()
	defer c.io.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if same = len(c.shards) == shards; !same {
		c.shards = c.merge(c.shards, shards)
	}
	return same
}
