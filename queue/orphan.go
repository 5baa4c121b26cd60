package queue

import (
	"errors"
	"fmt"
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

// KeepOrphans makes orphans of all cursors that were found and not opened since, and
// tells of all that there are. It belongs behind the last OpenCursor before Run: the log
// is not kept for cursors that nobody has opened.
func (l *Log[R]) KeepOrphans() error {
	head, total := l.ring.end()
	for _, saved := range l.store.Cursors() {
		c, _, err := l.cursors.openCursor(saved.ID, len(saved.Slot.Shards), head, total, true)
		if err == nil {
			err = c.rebase()
		}
		if err != nil {
			return err
		}
	}
	l.cursors.mu.Lock()
	l.cursors.complete = true
	l.cursors.mu.Unlock()
	for _, s := range l.Cursors() {
		if !s.Orphaned.IsZero() {
			l.tellOrphan(s)
		}
	}
	return nil
}

// Orphan makes an orphan of the cursor of a destination that was removed.
func (l *Log[R]) Orphan(c *Cursor) error {
	if err := c.Orphan(); err != nil {
		return err
	}
	l.tellOrphan(c.status())
	return nil
}

func (l *Log[R]) tellOrphan(s CursorStatus) {
	l.o.Logger.Warn("destination is not configured any more: what it was not sent is kept, and goes out when it is configured again",
		"destination", s.ID, "samples", l.Pending(s), "until", l.KeptUntil(s).UTC().Format(time.RFC3339),
		"forget", "pushbridge queue forget DIR DESTINATION")
}

// KeptUntil returns when an orphan is forgotten.
func (l *Log[R]) KeptUntil(s CursorStatus) time.Time {
	return s.Orphaned.Add(max(0, l.o.OrphanRetention))
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
		case l.store.AskedToForget(c.id):
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

// seconds is the time at which something becomes an orphan. It is not before the
// newest record: a clock that is not set yet would end it as soon as it is.
func (cs *cursors) seconds() uint32 {
	return uint32(max(cs.now().Unix(), cs.floor()/1000, 1))
}

// removeOrphan removes an orphan from the store.
func (cs *cursors) removeOrphan(id string) error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.open[id]
	if c == nil || c.orphanedSince() == 0 {
		return fmt.Errorf("forget %q: %w", id, ErrNoOrphan)
	}
	return cs.removeLocked(c)
}

// removeLocked removes a cursor from the store.
func (cs *cursors) removeLocked(c *Cursor) error {
	c.io.Lock()
	defer c.io.Unlock()
	if err := cs.store.RemoveCursor(c.id); err != nil {
		return fmt.Errorf("remove cursor %q: %w", c.id, err)
	}
	delete(cs.open, c.id)
	if c.saver != nil {
		_ = c.saver.Close() // nothing is kept there
		c.saver = nil
	}
	return nil
}

// rename gives the first of the cursors called was, if there is one, the name id.
// If a crash comes between, the old one is an orphan with the same position.
func (cs *cursors) rename(id string, was []string, head, total uint64) error {
	if c, saved := cs.known(id); c != nil || saved != nil {
		return nil
	}
	for _, old := range was {
		c, saved := cs.known(old)
		if c == nil && saved == nil {
			continue
		}
		var err error
		if c == nil {
			c, _, err = cs.openCursor(old, len(saved.Slot.Shards), head, total, true)
		}
		if err == nil && c.orphanedSince() != 0 {
			err = cs.move(c, id)
		}
		return err
	}
	return nil
}

// known returns the cursor of that name, open or not.
func (cs *cursors) known(id string) (*Cursor, *Saved) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, saved := range cs.store.Cursors() {
		if saved.ID == id {
			return cs.open[id], &saved
		}
	}
	return cs.open[id], nil
}

// move puts a cursor with another name in the place of the orphan c.
func (cs *cursors) move(c *Cursor, id string) error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	saver, _, err := cs.store.OpenCursor(id)
	if err != nil {
		return fmt.Errorf("open cursor %q: %w", id, err)
	}
	c.mu.Lock()
	n := &Cursor{id: id, reg: cs, saver: saver, shards: c.shards, ledger: c.ledger, orphaned: c.orphaned}
	c.mu.Unlock()
	if err := n.begin(); err != nil {
		return errors.Join(err, saver.Close())
	}
	cs.open[id] = n
	return cs.removeLocked(c)
}
