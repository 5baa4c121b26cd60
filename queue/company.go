package queue

import "time"

// company says how long a batch waits for records that are likely to come: pushers that
// were just answered push again, and would otherwise always just miss the fsync that
// others wait for, so that few pushers share hardly any. Who is alone, or comes after a pause,
// waits for nobody.
type company struct {
	expected int           // records that the next batch may well have
	took     time.Duration // what the last batch did
	ended    time.Time     // when that was done
	timer    *time.Timer
}

const (
	// A batch of so many is good enough.
	mostCompany = 64
	// A store that is faster than this is not worth waiting for: the wait would be
	// longer than the timers of an idle process are exact.
	leastTook = 200 * time.Microsecond
)

// note says that a batch of n records ended after it took so long, while others waited.
// Those of the batch may come again.
func (c *company) note(n, waiting int, begun time.Time) {
	c.ended = time.Now()
	c.took = c.ended.Sub(begun)
	c.expected = min(n+waiting, mostCompany)
}

// patience returns how long a batch may wait, and for how many records.
func (c *company) patience() (time.Duration, int) {
	if c.expected < 2 || c.took < leastTook || time.Since(c.ended) > c.took {
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
	}
	c.company.timer.Stop()
	c.l.intake.awaited()
	return true
}
