package queue

import (
	"errors"
	"fmt"
	"io"
)

// Shared is a Store whose log has records that this process did not commit: those of
// others, and those of its own of which it has learnt only later that they were kept.
type Shared interface {
	Store

	// Leads says whether this process is the one that may write, as far as it knows.
	Leads() bool

	// Leader returns who leads, as far as is known here.
	Leader() Leader

	// Held returns nil while no other process can lead, and otherwise why one may: when
	// this one was heard of last is too long ago. It is cheap, and asked before anything
	// leaves for a receiver.
	Held() error

	// Moved receives when there may be such records, or when it is worth while to try
	// whether the store is ready.
	Moved() <-chan struct{}

	// Note returns what is noted beside the cursor id, and SetNote notes it, durably and
	// for every process; an empty text is none. It goes with the cursor.
	Note(id string) string
	SetNote(id, text string) error
}

// Follower takes in records that the log has without having committed them.
type Follower[R any] struct {
	// Outdated says that everything which was built so far may build on something else
	// than what the log has: its generation has passed.
	Outdated func()

	// Fold gets each such record, in order, before readers do. It returns what whoever
	// committed it has emitted behind it, as far as that follows from the log.
	Fold func(r R, seq uint64) (emitted []R)
}

// Follow makes the log tell f of records that others commit. It must be called before
// Run.
func (l *Log[R]) Follow(f Follower[R]) { l.commit.follower = f }

// moved returns what says that there may be records of others.
func (c *committer[R]) moved() <-chan struct{} {
	if s, ok := c.l.store.(Shared); ok {
		return s.Moved()
	}
	return nil
}

// look sees to what a shared store has to say.
func (c *committer[R]) look() {
	if c.ready {
		c.check()
		return
	}
	c.reopen()
}

// play takes the role that a shared store says. A writer that fails for a while goes on
// being the one.
func (c *committer[R]) play() {
	if s, ok := c.l.store.(Shared); ok {
		leads := s.Leads()
		c.l.role.set(leads && (c.ready || c.l.Leads()))
	}
}

// follow takes in what a shared store has behind the last record. What waits was built
// without it, and so may be what is being built at the moment: both are refused.
func (c *committer[R]) follow() error {
	if _, ok := c.l.store.(Shared); !ok {
		return nil
	}
	c.l.store.Publish()
	t := c.following()
	followed := false
	for {
		var r R
		var e Entry
		err := t.Next(func(entry Entry, b []byte) (err error) {
			e = entry
			r, err = c.l.codec.decode(entry, b)
			return err
		})
		switch {
		case errors.As(err, new(*GapError)):
			c.l.o.Logger.Error("records of others that the state needs are missing", "err", err)
			c.at = t.At()
			continue
		case errors.Is(err, io.EOF):
			if followed {
				c.outdate()
			}
			return nil
		case err != nil:
			return fmt.Errorf("read what others have written: %w", err)
		}
		if !followed {
			c.outdate()
			followed = true
		}
		c.adopt(r, e)
	}
}

// following returns the log behind the last record. It goes on where it was, since to find that
// place anew may take reading all that is in front of it.
func (c *committer[R]) following() Tail {
	if c.tail == nil || c.tail.At().Seq != c.at.Seq {
		c.closeTail()
		c.tail = c.l.store.Tail(c.at)
	}
	return c.tail
}

func (c *committer[R]) closeTail() {
	if c.tail != nil {
		_ = c.tail.Close() // was only read from
		c.tail = nil
	}
}

// outdate refuses what waits, and from now on what was built before.
func (c *committer[R]) outdate() {
	c.refuse(c.l.intake.abort(nil), fmt.Errorf("%w: %w", ErrUnavailable, ErrAborted))
	c.l.intake.nextGeneration()
	if c.follower.Outdated != nil {
		c.follower.Outdated()
	}
}

// adopt makes a record of somebody else the newest.
func (c *committer[R]) adopt(r R, e Entry) {
	raise(&c.l.maxTime, e.Time)
	var emitted []R
	if c.follower.Fold != nil {
		emitted = c.follower.Fold(r, e.Seq)
	}
	c.at = Place{Seq: e.Seq, Total: e.Total, Exact: true}
	c.l.head.Store(e.Seq)
	items := []ringItem[R]{c.item(queued[R]{record: r, size: int64(c.l.codec.Size(r))}, e.Samples)}
	for _, r := range emitted {
		items = append(items, c.item(c.ephemeral(r), 0))
	}
	c.l.ring.publish(items)
}

func (c *committer[R]) ephemeral(r R) queued[R] {
	return queued[R]{record: r, size: int64(c.l.codec.Size(r)), ephemeral: true}
}
