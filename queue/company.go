package queue

import "time"

// company says how long a batch waits for records that are likely to come: pushers that
// were just answered push again, and would otherwise always just miss the fsync that
// others wait for, so that few pushers share hardly any. Who is alone, or comes after a pause,
// waits for nobody.
type company struct {
	expected int           // records that the next batch may well have
	came     int           // batches in a row by whose end as many had come as they expected
	took     time.Duration // what the last batch did
	ended    time.Time     // when that was done
	timer    *time.Timer
}

const (
	// A batch of so many is good enough.
	mostCompany = 64
	// Company that came so often is waited for as long as a batch takes, other company half as long.
	reliable = 3
	// A store that is faster than this is not worth waiting for.
	leastTook = 50 * time.Microsecond
	// And one that is faster than this not for company that may not come: the timers of an
	// idle process are not exact, and the wait would be five times as long.
	exactTook = 200 * time.Microsecond
)

// note says that a batch of n records ended after it took so long, while others waited.
// Those of the batch may come again.
func (c *company) note(n, waiting int, begun time.Time) {
	switch {
	case c.expected < 2: // it had no company to wait for
	case n+waiting >= c.expected:
		c.came++
	default:
		c.came = 0
	}
	c.ended = time.Now()
	c.took = c.ended.Sub(begun)
	c.expected = min(n+waiting, mostCompany)
}

// stayedAway says that a batch has waited, and its company did not come. If that was reliable,
// it is not any more, whatever comes while the batch is on its way.
func (c *company) stayedAway() {
	if c.came >= reliable {
		c.came = -1
	}
}

// patience returns how long a batch may wait, and for how many records.
func (c *company) patience() (time.Duration, int) {
	if c.expected < 2 || c.took < leastTook || time.Since(c.ended) > c.took {
		return 0, 0
	}
	if c.came >= reliable {
		return c.took, c.expected
	}
	if c.took < exactTook {
		return 0, 0
	}
	return c.took / 2, c.expected
}

// gather waits until a batch has the company that it expects, or its patience ends. It
// reports false when nothing is queued: what comes a moment later is not to be committed
// without company.
func (c *committer[R]) gather() bool {
	patience, n := c.company.patience()
	if n == 0 {
		return true
	}
	switch queued, enough := c.l.intake.await(n); {
	case queued == 0:
		return false
	case enough:
		return true
	}
	c.company.timer.Reset(patience)
	select {
	case <-c.l.intake.wake:
	case <-c.company.timer.C:
		c.company.stayedAway()
	}
	c.company.timer.Stop()
	c.l.intake.awaited()
	return true
}
