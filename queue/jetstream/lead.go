package jetstream

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// standing is whether this replica leads, and by which claim.
type standing struct {
	leads   bool
	claimed claimed                 // what it leads, or led, by
	mine    atomic.Pointer[claimed] // the same for everybody
	tried   claimed                 // the newest that was tried
	lost    error                   // why it does not lead
	follows bool                    // the log runs: what others write is folded in at once
	healthy time.Time               // since when a silent stream has answered each time
}

// claimed is what a claim is known by.
type claimed struct{ epoch, nonce uint64 }

// maxFollowed bounds what waits to be folded in: what does not fit is read later.
const maxFollowed = 256

// tell takes a message that a server has sent unasked.
func (c *chain) tell(m message) {
	select {
	case c.followed <- m:
	default:
	}
}

// hear folds in what others write. Whoever leads and hears of a message that is not its
// own leads no longer.
func (c *chain) hear(m message) {
	if !c.follows || m.seq <= c.v.last() {
		return // before the log runs, or known
	}
	if c.leads {
		c.leads, c.lost = false, errFenced
	}
	var err error
	if m.seq == c.v.last()+1 {
		err = c.v.fold(m)
	} else {
		err = c.catchUp()
	}
	if err != nil {
		c.log.Warn("cannot follow the stream", "err", err)
	}
	c.poke()
}

// probe finds out, when the one that leads is silent, whether it is that, or the stream:
// only one that could have been written to says something of the other.
func (c *chain) probe() {
	silence := c.v.silence()
	switch {
	case c.leads || !c.follows:
		return
	case silence < c.o.Lease/2:
		c.healthy = time.Time{}
		return
	}
	if err := c.catchUpWithin(attemptTime); err != nil {
		c.healthy = time.Time{}
	} else if c.healthy.IsZero() {
		c.healthy = time.Now()
	}
	if c.mayClaim() == nil {
		c.poke()
	}
}

// reclaim goes on leading after a write whose end is not known, if nobody else has led
// since. Whoever has lost it to somebody else needs more than that: see claim.
func (c *chain) reclaim() error {
	if c.leads {
		return nil
	}
	if l := c.v.leading(); c.claimed == (claimed{}) || c.claimed != (claimed{l.epoch, l.nonce}) {
		return c.lost
	}
	return c.claimIf(func(l leader) bool { return c.claimed == claimed{l.epoch, l.nonce} })
}

// claim makes this replica the one that leads, if it may.
func (c *chain) claim() error {
	c.follows = true
	return c.claimIf(func(leader) bool { return true })
}

func (c *chain) claimIf(good func(leader) bool) error {
	if c.leads {
		return nil
	}
	err := c.mayClaim()
	if err == nil {
		if err := c.catchUp(); err != nil {
			return err
		}
		err = c.mayClaim()
	}
	if err == nil && !good(c.v.leading()) {
		err = errFenced
	}
	if err != nil {
		c.lost = err
		return err
	}
	c.tried = claimed{c.v.leading().epoch + 1, rand.Uint64()}
	err = c.append(func(w *writing) {
		content := appendString(nil, c.o.ID)
		content = appendString(content, c.o.Address)
		content = appendSigned(content, c.now().UnixMilli())
		w.body = appendItem(w.body, itemClaim, content)
	})
	if err != nil {
		return fmt.Errorf("claim to lead: %w", err)
	}
	c.leads, c.lost, c.claimed = true, nil, c.tried
	mine := c.claimed
	c.mine.Store(&mine)
	c.log.Info("this replica leads", "replica", c.o.ID, "epoch", c.claimed.epoch)
	return nil
}

// grace is what a replica waits longer than a leader's lease lasts.
const grace = 300 * time.Millisecond

// mayClaim returns why this replica may not lead at present. Whoever led under its own
// name before it began is not there any more.
func (c *chain) mayClaim() error {
	if err := c.v.elsewhere(&c.o); err != nil {
		return err
	}
	l := c.v.leading()
	own := claimed{l.epoch, l.nonce}
	switch {
	case l.epoch == 0 || l.gone || own == c.claimed || own == c.tried:
		return nil
	case c.tried == claimed{} && l.id == c.o.ID:
		return nil
	case c.v.silence() >= c.o.Lease+grace && !c.healthy.IsZero() && time.Since(c.healthy) >= c.o.Lease/2:
		return nil
	}
	return &LeaderError{ID: l.id, Address: l.address, Epoch: l.epoch, Since: l.since}
}

// LeaderError says that another replica leads.
type LeaderError struct {
	ID      string
	Address string
	Epoch   uint64
	Since   time.Time
}

// Error names the replica.
func (e *LeaderError) Error() string {
	return fmt.Sprintf("replica %q leads since %s (epoch %d)", e.ID, e.Since.UTC().Format(time.RFC3339), e.Epoch)
}

// Is says that it is a queue.ErrElsewhere.
func (e *LeaderError) Is(target error) bool { return target == queue.ErrElsewhere }

// resign lets the others lead at once.
func (c *chain) resign() error {
	if !c.leads {
		return nil
	}
	err := c.append(func(w *writing) { w.body = appendItem(w.body, itemResign, nil) })
	c.leads, c.lost = false, errNeverLed
	return err
}

func (v *view) leading() leader {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.leader
}

func (v *view) silence() time.Duration {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return time.Since(v.heard)
}
