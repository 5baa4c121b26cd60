package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
	l.commit.retry = time.NewTimer(time.Hour)
	l.commit.retry.Stop()
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
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
			l.commitQueued()
		case <-tick.C:
			l.syncInterval()
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
	for _, q := range batch {
		if q.done != nil {
			q.done(q.seq, nil)
		}
	}
	l.publish(items)
	l.release(batch)
}

// store makes the batch durable and returns it as items for the ring.
func (l *Log[R]) store(batch []queued[R]) ([]ringItem[R], error) {
	items := make([]ringItem[R], 0, len(batch))
	total, skipped := l.commit.total, l.commit.skipped
	records, seq := 0, l.head.Load()
	l.commit.buf = l.commit.buf[:0]
	for _, q := range batch {
		samples := uint64(l.codec.Samples(q.record))
		if q.ephemeral {
			skipped = skipped.plus(skips{1, samples})
		} else {
			records, seq, total = records+1, q.seq, total+samples
		}
		items = append(items, ringItem[R]{
			Item:    Item[R]{Record: q.record, Seq: q.seq, Ephemeral: q.ephemeral},
			size:    q.size,
			total:   total,
			skipped: skipped,
		})
	}
	if records > 0 && l.disk != nil {
		if err := l.write(batch); err != nil {
			return nil, err
		}
	}
	l.metrics.committed(records, total-l.commit.total, len(l.commit.buf))
	l.snapshots.grew(len(l.commit.buf), l.o.SnapshotBytes)
	l.commit.total, l.commit.skipped = total, skipped
	l.head.Store(seq)
	return items, nil
}

// write encodes the batch and writes it with one write and, with Always, one
// fsync.
func (l *Log[R]) write(batch []queued[R]) error {
	d := l.disk
	if err := l.roll(); err != nil {
		return err
	}
	var last frame
	records, newest, total := uint64(0), int64(0), l.commit.total
	for _, q := range batch {
		if q.ephemeral {
			continue
		}
		last = l.frameOf(q, total)
		if records == 0 && l.synced() {
			last.flags |= flagSynced
		}
		l.commit.payload = l.codec.Encode(l.commit.payload[:0], q.record)
		if len(l.commit.payload) > maxPayload {
			return fmt.Errorf("record %d has %d bytes: too many", q.seq, len(l.commit.payload))
		}
		l.commit.buf, l.commit.packed = appendFrame(l.commit.buf, d.w.seed, last, l.commit.payload, l.commit.packed)
		records, newest, total = records+1, max(newest, last.time), last.total
	}
	if err := d.append(l.commit.buf, last, records, newest); err != nil {
		return err
	}
	l.trim()
	if l.o.Fsync == Always {
		return d.sync()
	}
	l.commit.unsynced = true
	return nil
}

func (l *Log[R]) frameOf(q queued[R], before uint64) frame {
	samples := l.codec.Samples(q.record)
	return frame{
		kind: kindRecord, seq: q.seq, time: l.codec.Time(q.record),
		samples: uint32(samples), total: before + uint64(samples),
	}
}

// synced reports whether everything written so far is known to be durable.
func (l *Log[R]) synced() bool {
	return l.o.Fsync == Always || l.o.Fsync == Interval && !l.commit.unsynced
}

// trim lets go of buffers that a large record left behind.
func (l *Log[R]) trim() {
	for _, b := range []*[]byte{&l.commit.buf, &l.commit.payload, &l.commit.packed} {
		if cap(*b) > 2*maxBatchBytes {
			*b = (*b)[:0:0]
		}
	}
}

// roll seals the segment when it is full, and sees to it that there is one.
func (l *Log[R]) roll() error {
	d := l.disk
	if d.writable() && d.w.view.size >= l.o.SegmentBytes {
		l.commit.unsynced = false
		if err := d.seal(l.o.Fsync != Off); err != nil {
			return fmt.Errorf("seal a segment: %w", err)
		}
		l.snapshots.kick()
	}
	if d.writable() {
		return nil
	}
	return l.openSegment()
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

// abort fails batch and everything queued behind it.
func (l *Log[R]) abort(batch []queued[R], err error) {
	drain := sync.OnceFunc(func() {
		l.mu.Lock()
		batch = append(batch, l.queue...)
		l.queue = nil
		l.commit.void = l.last
		l.mu.Unlock()
		for _, q := range batch {
			if q.done != nil {
				q.done(q.seq, err)
			}
		}
		l.metrics.aborted.Add(float64(len(batch)))
	})
	l.o.Abort(drain)
	drain() // for an Abort that did not
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
	if err := l.disk.seal(true); err != nil && !errors.Is(err, errNoSegment) {
		return fmt.Errorf("seal the last segment: %w", err)
	}
	return nil
}
