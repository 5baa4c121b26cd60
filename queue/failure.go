package queue

import (
	"errors"
	"math/rand/v2"
	"time"
)

// Backoff between attempts to make the store ready after a failure.
const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// fail is the path of everything that the store refused: what waits fails, and the
// store is made ready again, at once if it can be.
func (c *committer[R]) fail(batch []queued[R], cause error) {
	c.failed(cause)
	c.abort(batch)
	c.again()
}

// failed notes that the store has refused something.
func (c *committer[R]) failed(cause error) {
	c.ready = false
	c.l.metrics.failures.Inc()
	if errors.Is(cause, ErrElsewhere) { // before anybody is refused for it; the store may read later who leads
		c.l.role.set(false)
	}
	c.l.intake.fail(cause)
	c.play()
	if errors.Is(cause, ErrAtRisk) { // the state at least can be saved
		c.l.snapshots.want()
		c.l.snapshots.kick()
	}
}

// abort fails batch and everything queued behind it.
func (c *committer[R]) abort(batch []queued[R]) {
	c.refuse(c.l.intake.abort(batch), c.l.Err())
}

// refuse answers records that are in the queue no more.
func (c *committer[R]) refuse(batch []queued[R], err error) {
	for _, q := range batch {
		if q.done != nil {
			q.done(0, err)
		}
	}
	c.l.metrics.aborted.Add(float64(len(batch)))
	c.l.intake.release(batch)
}

// again makes the store ready, at once unless that was tried since the last batch that
// worked.
func (c *committer[R]) again() {
	if c.retries > 0 {
		c.retryLater()
		return
	}
	c.reopen()
}

// reopen makes the store ready, and arranges for another attempt when that fails.
func (c *committer[R]) reopen() {
	defer c.play()
	if c.ready {
		return
	}
	c.retries++
	err := c.l.store.Ready(c.l.Floor())
	if ferr := c.follow(); ferr != nil {
		err = errors.Join(err, ferr)
	}
	if err != nil {
		c.l.intake.fail(err)
		c.retryLater()
		return
	}
	c.ready = true
	c.l.intake.heal()
}

// retryLater sets the timer for the next attempt. The pause grows until a batch was
// committed: a disk that takes new segments but no records must not be filled with
// segments.
func (c *committer[R]) retryLater() {
	pause := min(minBackoff<<min(c.retries, 10), maxBackoff)
	c.retry.Reset(pause/2 + rand.N(pause/2))
}

// sync does what commits have left to later. When it fails, what waits need not: the
// next attempt may be in time.
func (c *committer[R]) sync() {
	if err := c.l.store.Sync(); err != nil {
		c.failed(err)
		c.again()
	}
}

// check looks whether a restart would find what was written.
func (c *committer[R]) check() {
	if err := c.l.store.Check(); err != nil {
		c.fail(nil, err)
	}
}

// Steps are the parts of Run, to be called one at a time in the place of it: so a test
// of a store decides what happens in which order, and the same seed makes the same
// operations.
type Steps struct {
	Commit   func()       // everything that is queued
	Ready    func()       // what Run begins with, and does again some time after a failure
	Sync     func()       // as after SyncInterval
	Check    func()       // as every second
	Maintain func()       // retention and the syncing of cursors, as every second
	Cursors  func()       // only the syncing of cursors
	Finish   func() error // what Run ends with
}

// Steps returns the parts of Run.
func (l *Log[R]) Steps() Steps {
	c := &l.commit
	return Steps{
		Commit: c.commitQueued, Ready: c.reopen, Sync: c.sync, Check: c.check,
		Maintain: l.house.maintain, Cursors: l.cursors.sync, Finish: c.finish,
	}
}
