package queue

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Backoff between attempts to open a new segment after a failure.
const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// fail is the path of every write and fsync that did not work, a full disk
// included: everything that waits fails, the segment is left as it is, and a new
// one is opened, at once if the disk allows.
func (l *Log[R]) fail(batch []queued[R], cause error) {
	l.metrics.failures.Inc()
	l.setFailure(cause)
	l.disk.abandon()
	if l.o.Fsync != Always {
		l.snapshots.want() // records that were reported done may not be on disk
	}
	l.abort(batch, l.Err())
	l.again()
}

// again opens a new segment, at once unless that was done since the last batch
// that worked.
func (l *Log[R]) again() {
	if l.commit.retries > 0 {
		l.retryLater()
		return
	}
	l.reopen()
}

// unavailable reports whether there is no segment to write to. Only the commit
// loop sets and clears the failure.
func (l *Log[R]) unavailable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure != nil
}

// setFailure makes Err return cause. It logs the change, not each attempt.
func (l *Log[R]) setFailure(cause error) {
	l.mu.Lock()
	was := l.failure
	l.failure = fmt.Errorf("%w: %w", ErrUnavailable, cause)
	l.mu.Unlock()
	if was == nil {
		l.o.Logger.Error("cannot write the log: what waits fails, and so do new records until this heals", "err", cause)
	}
}

func (l *Log[R]) clearFailure() {
	l.mu.Lock()
	was := l.failure
	l.failure = nil
	l.mu.Unlock()
	if was != nil {
		l.o.Logger.Info("the log can be written again")
	}
}

// reopen opens a new segment, and arranges for another attempt when that fails.
func (l *Log[R]) reopen() {
	if l.disk == nil || l.disk.writable() {
		return
	}
	l.commit.retries++
	if err := l.openSegment(); err != nil {
		l.setFailure(err)
		l.retryLater()
		return
	}
	l.clearFailure()
}

// retryLater sets the timer for the next attempt. The pause grows until a batch
// was committed, so that a disk that takes headers but no records is not filled
// with headers.
func (l *Log[R]) retryLater() {
	pause := min(minBackoff<<min(l.commit.retries, 10), maxBackoff)
	l.commit.retry.Reset(pause/2 + rand.N(pause/2))
}

// openSegment opens a segment for the records behind the last one that was
// durable or failed. Failed sequences are named in its header.
func (l *Log[R]) openSegment() error {
	head := l.head.Load()
	first := max(head, l.commit.void) + 1
	h := segmentHeader{first: first, floor: l.Floor(), before: l.commit.total}
	if first > head+1 {
		h.void = head + 1
	}
	return l.disk.openSegment(h)
}

// syncInterval is the fsync of Interval. When it fails, the records since the
// last one may be lost by a power loss although they were reported done, which is
// what the mode means; a snapshot is asked for, to keep the state at least.
func (l *Log[R]) syncInterval() {
	if !l.commit.unsynced {
		return
	}
	l.commit.unsynced = false
	if err := l.disk.sync(); err != nil {
		l.metrics.failures.Inc()
		l.setFailure(err)
		l.disk.abandon()
		l.snapshots.want()
		l.snapshots.kick()
		l.again()
	}
}
