package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxBatchBytes bounds what one batch takes from the queue, in rough heap bytes:
// a segment grows beyond its size by one batch at most.
const maxBatchBytes = 8 * mib

// committer is the state of the commit loop. Nobody else touches it.
type committer struct {
	total    uint64 // samples of all durable records
	skipped  skips  // ephemeral records published
	buf      []byte // frames of the batch
	payload  []byte // scratch
	packed   []byte // scratch
	unsynced bool   // with Interval: written since the last fsync
	void     uint64 // last failed sequence
	retries  int    // attempts to open a segment since the last batch that was committed
	retry    *time.Timer
}

// Run commits what is appended, until ctx ends: then it commits what is left,
// seals the segment and returns. Retention and the syncing of cursors run beside
// it. Run may be called once.
func (l *Log[R]) Run(ctx context.Context) error {
	defer l.commit.retry.Stop()
	l.reopen() // so that readiness is true to the disk before the first record
	keeping := make(chan struct{})
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		l.keepHouse(keeping)
	}()
	l.loop(ctx)
	err := l.finish()
	close(keeping)
	<-kept
	return err
}

func (l *Log[R]) loop(ctx context.Context) {
	tick := l.fsyncTicks()
	defer tick.Stop()
	look := time.NewTicker(placeInterval)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
			l.commitQueued()
		case <-tick.C:
			l.syncInterval()
		case <-look.C:
			l.watch()
		case <-l.commit.retry.C:
			l.reopen()
		}
	}
}

// fsyncTicks returns the timer of Interval, and one that never fires otherwise.
func (l *Log[R]) fsyncTicks() *time.Ticker {
	if l.o.Fsync == Interval && l.disk != nil {
		return time.NewTicker(l.o.FsyncInterval)
	}
	t := time.NewTicker(time.Hour)
	t.Stop()
	return t
}

// commitQueued commits until nothing is queued. What is appended meanwhile makes
// the next batch: that is what shares an fsync, without a timer.
func (l *Log[R]) commitQueued() {
	for {
		batch := l.take(maxBatchBytes)
		if len(batch) == 0 {
			return
		}
		l.commitBatch(batch)
	}
}

// take removes up to limit bytes, and at least one record, from the queue.
func (l *Log[R]) take(limit int64) []queued[R] {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, size := 0, int64(0)
	for n < len(l.queue) && (n == 0 || size < limit) {
		size += l.queue[n].size
		n++
	}
	batch := l.queue[:n:n]
	l.queue = l.queue[n:]
	if len(l.queue) == 0 {
		l.queue = nil
	}
	return batch
}

func (l *Log[R]) commitBatch(batch []queued[R]) {
	if l.unavailable() {
		l.abort(batch, l.Err())
		return
	}
	items, err := l.store(batch)
	if err != nil {
		l.fail(batch, err)
		return
	}
	l.commit.retries = 0
	for i, q := range batch {
		if q.done != nil {
			q.done(items[i].Seq, nil)
		}
	}
	l.publish(items)
	l.release(batch)
	l.trim()
}

// store makes the batch durable and returns it as items for the ring.
func (l *Log[R]) store(batch []queued[R]) ([]ringItem[R], error) {
	items, last := l.count(batch)
	l.commit.buf = l.commit.buf[:0]
	if last.records > 0 && l.disk != nil {
		if err := l.write(items); err != nil {
			l.commit.void = last.seq
			return nil, err
		}
	}
	l.metrics.committed(last.records, last.total-l.commit.total, len(l.commit.buf))
	l.snapshots.grew(len(l.commit.buf), l.o.SnapshotBytes)
	l.commit.total, l.commit.skipped = last.total, last.skipped
	if last.records > 0 {
		l.head.Store(last.seq)
	}
	return items, nil
}

// counts are the books behind a batch.
type counts struct {
	records int
	seq     uint64
	total   uint64
	skipped skips
}

// count makes items of the batch, gives each its sequence and keeps its books.
func (l *Log[R]) count(batch []queued[R]) ([]ringItem[R], counts) {
	items := make([]ringItem[R], 0, len(batch))
	c := counts{seq: l.head.Load(), total: l.commit.total, skipped: l.commit.skipped}
	for _, q := range batch {
		samples := uint64(l.codec.Samples(q.record))
		if q.ephemeral {
			c.skipped = c.skipped.plus(skips{1, samples})
		} else {
			c.records, c.seq, c.total = c.records+1, max(c.seq, l.commit.void)+1, c.total+samples
		}
		items = append(items, ringItem[R]{
			Item:    Item[R]{Record: q.record, Seq: c.seq, Ephemeral: q.ephemeral},
			size:    q.size,
			total:   c.total,
			samples: samples,
			skipped: c.skipped,
		})
	}
	return items, c
}

func (l *Log[R]) publish(items []ringItem[R]) {
	if l.disk != nil {
		l.disk.publish()
	}
	l.ring.publish(items)
}

// release takes the batch off the books of what waits.
func (l *Log[R]) release(batch []queued[R]) {
	size := int64(0)
	for _, q := range batch {
		size += q.size
	}
	l.mu.Lock()
	l.waiting -= size
	l.mu.Unlock()
}

// abort fails batch and everything queued behind it, and refuses from now on what
// was built on that.
func (l *Log[R]) abort(batch []queued[R], err error) {
	l.mu.Lock()
	batch = append(batch, l.queue...)
	l.queue = nil
	if slices.ContainsFunc(batch, func(q queued[R]) bool { return !q.ephemeral }) {
		l.generation++
	}
	l.mu.Unlock()
	for _, q := range batch {
		if q.done != nil {
			q.done(0, err)
		}
	}
	l.metrics.aborted.Add(float64(len(batch)))
	l.release(batch)
}

// finish commits what is left and closes the segment. From then on the log is
// closed.
func (l *Log[R]) finish() error {
	for {
		l.commitQueued()
		l.mu.Lock()
		l.closed = len(l.queue) == 0
		done := l.closed
		l.mu.Unlock()
		if done {
			break
		}
	}
	if l.disk == nil || l.unavailable() {
		return nil
	}
	if l.disk.unused() {
		l.disk.abandon()
		return nil
	}
	if err := l.disk.seal(true); err != nil && !errors.Is(err, errNoSegment) {
		return fmt.Errorf("seal the last segment: %w", err)
	}
	return nil
}
