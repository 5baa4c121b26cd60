package queue

import (
	"context"
	"runtime"
	"time"
)

// maxBatchBytes bounds what one batch takes from the queue, in rough heap bytes: the
// log grows beyond a bound by one batch at most.
const maxBatchBytes = 8 * mib

// checkInterval is how often the store is asked whether a restart would find what was
// written.
const checkInterval = time.Second

// committer is the commit loop: it alone writes records to the store. Nobody else
// touches its fields.
type committer[R any] struct {
	l       *Log[R]
	at      Place         // behind the last durable record
	skipped skips         // ephemeral records published
	items   []ringItem[R] // of the present batch, for the ring
	batch   Batch         // of the present Commit
	stored  []R           // its records
	ready   bool          // the store has nothing to do in front of the next batch
	retries int           // attempts to make it so since the last batch that was committed
	retry   *time.Timer

	company  company
	tail     Tail // of what others have written, see following
	follower Follower[R]
}

// encodeBy makes c encode the records of the batch.
func (c *committer[R]) encodeBy(codec Codec[R]) {
	c.batch.Encode = func(dst []byte, i int) []byte { return codec.Encode(dst, c.stored[i]) }
	c.batch.Pack = func(dst []byte, i int) ([]byte, Packed) {
		if codec.Pack == nil {
			return codec.Encode(dst, c.stored[i]), Packed{}
		}
		return codec.Pack(dst, c.stored[i])
	}
	c.batch.Alike = func(i int) any {
		if codec.Alike == nil {
			return nil
		}
		return codec.Alike(c.stored[i])
	}
	c.batch.Base = func(i int) *Base { return &Base{record: c.stored[i]} }
	c.batch.Diff = func(dst []byte, i int, base *Base) []byte {
		return codec.Diff(dst, base.record.(R), c.stored[i])
	}
}

// Run commits what is appended, until ctx ends: then it commits what is left, seals
// the store and returns. Retention and the syncing of cursors run beside it. Run may
// be called once.
func (l *Log[R]) Run(ctx context.Context) error {
	c := &l.commit
	defer c.retry.Stop()
	defer c.company.timer.Stop()
	defer c.closeTail()
	c.reopen() // so that readiness is true to the store before the first record
	keeping := make(chan struct{})
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		l.house.keep(keeping)
	}()
	c.loop(ctx)
	err := c.finish()
	close(keeping)
	<-kept
	return err
}

func (c *committer[R]) loop(ctx context.Context) {
	sync := c.syncTicks()
	defer sync.Stop()
	check := time.NewTicker(checkInterval)
	defer check.Stop()
	moved := c.moved()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.l.intake.wake:
			c.commitQueued()
		case <-sync.C:
			c.sync()
		case <-check.C:
			c.check()
		case <-c.retry.C:
			c.reopen()
		case <-moved:
			c.look()
		}
	}
}

// syncTicks returns the timer of a store that leaves something to later, and one that
// never fires otherwise.
func (c *committer[R]) syncTicks() *time.Ticker {
	if every := c.l.store.SyncInterval(); every > 0 {
		return time.NewTicker(every)
	}
	t := time.NewTicker(time.Hour)
	t.Stop()
	return t
}

// commitQueued commits until nothing is queued. What is appended meanwhile makes the
// next batch: that is what shares an fsync. Who is about to append comes first, as far as there
// is work for the processor; see company for the wait before that.
func (c *committer[R]) commitQueued() {
	for c.gather() {
		runtime.Gosched()
		batch := c.l.intake.take(maxBatchBytes)
		if len(batch) == 0 {
			return
		}
		begun := time.Now()
		c.commitBatch(batch)
		c.company.note(len(batch), c.l.intake.length(), begun)
	}
}

func (c *committer[R]) commitBatch(batch []queued[R]) {
	if c.l.intake.unavailable() {
		c.abort(batch)
		return
	}
	err := c.write(batch)
	defer c.tidy()
	if err != nil {
		c.fail(batch, err)
		return
	}
	for i, q := range batch {
		if q.done != nil {
			q.done(c.items[i].Seq, nil)
		}
	}
	c.l.store.Publish()
	c.l.ring.publish(c.items)
	c.l.intake.release(batch)
}

// maxScratch is the largest scratch space, in records, that is kept.
const maxScratch = 1 << 12

// tidy lets go of the records of the batch, which must not outlive the ring.
func (c *committer[R]) tidy() {
	clear(c.stored)
	clear(c.items)
	if cap(c.items) > maxScratch {
		c.batch.Records, c.stored, c.items = nil, nil, nil
	}
}

// write makes the batch durable, and items of it for the ring.
func (c *committer[R]) write(batch []queued[R]) error {
	l := c.l
	b := &c.batch
	b.Records, c.stored = b.Records[:0], c.stored[:0]
	b.Floor, b.Bytes, b.Rolled = l.Floor(), 0, false
	for _, q := range batch {
		if !q.ephemeral {
			b.Records = append(b.Records, Entry{Time: l.codec.Time(q.record), Samples: uint64(l.codec.Samples(q.record))})
			c.stored = append(c.stored, q.record)
		}
	}
	if len(b.Records) > 0 {
		if err := l.store.Commit(b); err != nil {
			return err
		}
		c.ready, c.retries = true, 0
	}
	if b.Rolled {
		l.snapshots.kick()
	}
	before := c.at.Total
	c.number(batch, b.Records)
	l.head.Store(c.at.Seq)
	l.metrics.committed(len(b.Records), c.at.Total-before, b.Bytes)
	l.snapshots.grew(b.Bytes, l.o.SnapshotBytes)
	return nil
}

// number makes items of the batch, of which the store has numbered the records.
func (c *committer[R]) number(batch []queued[R], entries []Entry) {
	c.items = c.items[:0]
	for _, q := range batch {
		samples := uint64(0)
		if !q.ephemeral {
			e := entries[0]
			entries = entries[1:]
			c.at, samples = Place{Seq: e.Seq, Total: e.Total, Exact: true}, e.Samples
		}
		c.items = append(c.items, c.item(q, samples))
	}
}

// item makes an item of what stands at the end of the log, or, if it is not stored, behind
// that.
func (c *committer[R]) item(q queued[R], samples uint64) ringItem[R] {
	if q.ephemeral {
		samples = uint64(c.l.codec.Samples(q.record))
		c.skipped = c.skipped.plus(skips{1, samples})
	}
	return ringItem[R]{
		Item:    Item[R]{Record: q.record, Seq: c.at.Seq, Ephemeral: q.ephemeral},
		size:    q.size,
		total:   c.at.Total,
		samples: samples,
		skipped: c.skipped,
	}
}

// finish commits what is left and seals the store. From then on the log is closed.
func (c *committer[R]) finish() error {
	for {
		c.commitQueued()
		if c.l.intake.close() {
			break
		}
	}
	if c.l.intake.unavailable() {
		return nil
	}
	return c.l.store.Seal()
}
