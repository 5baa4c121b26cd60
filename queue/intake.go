package queue

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// intake is where records wait for the commit loop, and where it is decided whether
// any are taken.
type intake[R any] struct {
	limit int64 // of waiting
	log   *slog.Logger
	wake  chan struct{} // receives when something waits

	mu         sync.Mutex
	queue      []queued[R]
	spare      []queued[R] // room of a batch that is done with, for the queue after this one
	wanted     int         // so many must wait before the commit loop is woken, see await
	generation uint64      // raised when records fail, see Append
	waiting    int64       // bytes queued and in the batch being committed
	failure    error       // why nothing can be written at present
	full       bool        // at a bound with Reject
	closed     bool        // Run has ended
}

// queued is a record on its way to the store.
type queued[R any] struct {
	record    R
	size      int64
	ephemeral bool
	done      func(seq uint64, err error)
}

// add queues q, unless what it was built on has failed.
func (in *intake[R]) add(q queued[R], generation uint64) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.closed:
		return ErrClosed
	case in.generation != generation:
		return ErrAborted
	case q.ephemeral && in.failure != nil:
		return in.failure
	case q.ephemeral && in.waiting > in.limit:
		return ErrBusy
	}
	in.queue = append(in.queue, q)
	in.waiting += in.charge(q)
	if len(in.queue) >= in.wanted || in.fillsBatch() {
		poke(in.wake)
	}
	return nil
}

// await returns how many records are queued, and whether they are enough: n, or a batch in
// bytes. When they are some, but not enough, it has the commit loop woken when they are, until
// awaited is called. Only the commit loop does.
func (in *intake[R]) await(n int) (queued int, enough bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	select {
	case <-in.wake: // for what is queued already; under the lock, as add pokes
	default:
	}
	queued = len(in.queue)
	if enough = queued >= n || in.fillsBatch(); queued > 0 && !enough {
		in.wanted = n
	}
	return queued, enough
}

// fillsBatch reports whether what waits fills a batch, or lets nothing more in.
func (in *intake[R]) fillsBatch() bool { return in.waiting >= min(maxBatchBytes, in.limit) }

// awaited has the commit loop woken by every record again.
func (in *intake[R]) awaited() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.wanted = 0
}

// length returns how many records are queued.
func (in *intake[R]) length() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.queue)
}

// charge is what q counts for while it waits. A single record, however large, must not
// keep everybody else out: it is there already.
func (in *intake[R]) charge(q queued[R]) int64 { return min(q.size, in.limit/2) }

// err returns why nothing is taken, if so.
func (in *intake[R]) err() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.closed:
		return ErrClosed
	case in.failure != nil:
		return in.failure
	case in.full:
		return ErrFull
	case in.waiting > in.limit:
		return ErrBusy
	}
	return nil
}

func (in *intake[R]) generationNow() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.generation
}

// bytes returns what waits.
func (in *intake[R]) bytes() int64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.waiting
}

// take removes up to limit bytes, and at least one record, from the queue.
func (in *intake[R]) take(limit int64) []queued[R] {
	in.mu.Lock()
	defer in.mu.Unlock()
	n, size := 0, int64(0)
	for n < len(in.queue) && (n == 0 || size < limit) {
		size += in.queue[n].size
		n++
	}
	batch := in.queue[:n:n]
	in.queue = in.queue[n:]
	if len(in.queue) == 0 {
		in.queue, in.spare = in.spare, nil
	}
	return batch
}

// abort takes everything that is queued behind batch, and refuses from now on what
// was built on that.
func (in *intake[R]) abort(batch []queued[R]) []queued[R] {
	in.mu.Lock()
	defer in.mu.Unlock()
	batch = append(batch, in.queue...)
	in.queue = nil
	if slices.ContainsFunc(batch, func(q queued[R]) bool { return !q.ephemeral }) {
		in.generation++
	}
	return batch
}

// nextGeneration refuses from now on what was built so far.
func (in *intake[R]) nextGeneration() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.generation++
}

// release takes the batch off the books of what waits. Nobody uses it any more.
func (in *intake[R]) release(batch []queued[R]) {
	size := int64(0)
	for _, q := range batch {
		size += in.charge(q)
	}
	clear(batch)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.waiting -= size
	if len(batch) <= maxScratch {
		in.spare = batch[:0]
	}
}

// close closes the intake if nothing is queued.
func (in *intake[R]) close() (done bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = in.closed || len(in.queue) == 0
	return in.closed
}

// shut closes the intake, whatever is queued.
func (in *intake[R]) shut() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
}

// fail makes cause the reason why nothing is taken. It logs the change, not each
// attempt.
func (in *intake[R]) fail(cause error) {
	in.mu.Lock()
	was := in.failure
	in.failure = fmt.Errorf("%w: %w", ErrUnavailable, cause)
	in.mu.Unlock()
	switch {
	case was != nil:
	case errors.Is(cause, ErrElsewhere):
		in.log.Info("this process stands by and follows the log", "reason", cause)
	default:
		in.log.Error("cannot write the log: what waits fails, and so do new records until this heals", "err", cause)
	}
}

// heal ends what fail has begun.
func (in *intake[R]) heal() {
	in.mu.Lock()
	was := in.failure
	in.failure = nil
	in.mu.Unlock()
	if was != nil {
		in.log.Info("the log can be written again")
	}
}

// unavailable reports whether the store takes nothing. Only the commit loop changes
// that.
func (in *intake[R]) unavailable() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.failure != nil
}

func (in *intake[R]) setFull(full bool) {
	in.mu.Lock()
	was := in.full
	in.full = full
	in.mu.Unlock()
	if full && !was {
		in.log.Error("the log is full and destinations lag: new records are rejected")
	}
	if was && !full {
		in.log.Info("the log has room again")
	}
}
