package remotewrite

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
)

// dispatcher reads the log and hands each record to the shard of its job.
type dispatcher struct {
	d      *Destination
	reader *queue.Reader[*group.Record]
	at     uint64    // sequence up to which everything was handed out, but for a refresh
	safe   uint64    // the same, with refreshes
	total  uint64    // samples of all records up to at
	known  bool      // whether total is known
	since  int       // records since idle shards were moved along
	moved  time.Time // when they were

	// Up to the sequence end earlier runs have settled some records, but not all.
	// why is the reason of the latest gap in them.
	end     uint64
	why     reason
	audited bool // the books are in line with the log since everything up to end was read

	owed restating // to a new destination, or to one with new names
	hole hole

	// Until the state is handed out, what ends does so under its names of before too.
	renaming bool
	upTo     uint64 // sequence from which on the state is asked for
}

const (
	moveEvery     = 1024        // records
	moveInterval  = time.Second // or this long
	movePause     = time.Second / 10
	readRetryWait = 2 * time.Second // after an error of the disk
)

// run hands out records until ctx ends, and then what can be had at once.
func (x *dispatcher) run(ctx, hard context.Context) {
	x.why = gapMissing
	_, x.end = x.d.cursor.Ledger()
	x.moveTo(x.d.cursor.Acknowledged())
	switch {
	case len(x.d.o.Former) > 0: // to a new one too: it was sent some of its first state, or all
		x.oweNames()
	case x.d.debt.first.Load():
		x.oweFirst()
	}
	for {
		x.askState()
		if err := errors.Join(x.restate(hard, &x.owed), x.restate(hard, &x.hole.restating)); err != nil {
			return
		}
		it, err := x.next(ctx, hard)
		gap, missed := errors.AsType[*queue.GapError](err)
		switch {
		case missed:
			x.gap(gap)
		case err != nil && ctx.Err() != nil:
			return
		case err != nil:
			x.d.report.failed(readingLog, failure{text: "read log: " + err.Error()})
			if !sleep(ctx, readRetryWait) {
				return
			}
			continue
		default:
			x.d.report.readAgain()
			if err := x.record(hard, it); err != nil {
				return // the shards have ended, or the deadline has passed
			}
		}
		x.afterEach()
	}
}

// next returns what comes next. While it waits, and a moment before that, it moves idle
// shards along. After the end of ctx it returns what is durable by then, and an error.
func (x *dispatcher) next(ctx, hard context.Context) (queue.Item[*group.Record], error) {
	for {
		it, ok, err := x.reader.TryNext()
		if ok || err != nil {
			return it, err
		}
		patience := x.pause(ctx.Err() != nil)
		x.noteLag()
		if ctx.Err() != nil {
			if x.at >= x.d.o.Log.Head() {
				return it, ctx.Err()
			}
			return x.reader.Next(hard) // durable, and on its way to us
		}
		wait, cancel := context.WithTimeout(ctx, patience)
		it, err = x.reader.Next(wait)
		ended := wait.Err() != nil
		cancel()
		if err == nil || !ended {
			return it, err
		}
	}
}

// gap counts what can never be read.
func (x *dispatcher) gap(g *queue.GapError) {
	x.why = reasonOfGap(g.Reason)
	x.d.fates.gap(g.From, g.To, x.why, x.d.now())
	x.at = max(x.at, g.To)
	x.total, x.known = x.reader.Total()
	x.d.report.missed(g, x.audit())
}

// moveTo notes that everything up to seq, where the reader is, was handed out.
func (x *dispatcher) moveTo(seq uint64) {
	x.at, x.safe = seq, seq
	x.total, x.known = x.reader.Total()
	if !x.audited {
		x.d.report.drop(refusal{why: x.why, samples: x.audit()})
	}
}

// audit counts what is missing of the records up to here: nobody has settled it, and
// it was not handed out. It returns how many samples that are. Before the end it
// counts only what is certain: what earlier runs have settled may lie in a gap as
// well as behind it.
func (x *dispatcher) audit() uint64 {
	if !x.known {
		return 0
	}
	n := x.d.ledger.missing(x.total)
	x.audited = x.audited || x.at >= x.end
	switch {
	case n > 0:
		var o outcome
		o[x.why] = uint64(n)
		x.d.ledger.miss(&o)
		x.d.metrics.unsent(x.why, uint64(n))
		x.noted(x.d.cursor.Missed(x.at, o))
		return uint64(n)
	case n < 0 && x.audited:
		// After a power loss without an fsync for each push the log may have less than
		// the cursor knows.
		x.d.ledger.repeat(uint64(-n))
		x.noted(x.d.cursor.Repeat(uint64(-n)))
	}
	return 0
}

// noted reports that a cursor could not be written.
func (x *dispatcher) noted(err error) {
	if err != nil {
		x.d.report.cursorFailed(err)
	}
}

// record hands a record to its shard.
func (x *dispatcher) record(ctx context.Context, it queue.Item[*group.Record]) error {
	if x.follow(it.Record, it.Ephemeral) {
		return nil
	}
	if it.Ephemeral {
		return x.refresh(ctx, it)
	}
	if _, _, refreshes := it.Record.Refreshes(); refreshes {
		return x.mark(ctx, it)
	}
	out := item{record: it.Record, seq: it.Seq, samples: it.Record.Samples()}
	out.total, _ = x.reader.Total()
	s := x.d.shardOf(it.Record.Labels.Job())
	switch {
	case out.samples == 0:
		x.moveTo(it.Seq)
		return nil
	case it.Seq <= s.acked:
		x.moveTo(it.Seq)
		return nil
	case it.Seq <= s.doubtful:
		out.kind = careful
	}
	if err := x.endedBefore(ctx, s, out); err != nil {
		return err
	}
	if err := x.put(ctx, s, out); err != nil {
		return err
	}
	x.moveTo(it.Seq)
	return nil
}

// endedBefore ends what a record ends under the names of before. It goes out in front of
// the record: once that is acknowledged, nobody would come back for it. Under each of the
// names by itself: of what may have been sent, some may not know the newest.
func (x *dispatcher) endedBefore(ctx context.Context, s *shard, of item) error {
	if !x.renaming {
		return nil
	}
	out := item{record: of.record, seq: of.seq, kind: ephemeral, aside: endedAside, owed: true}
	for i := range of.record.Ended {
		out.samples += of.record.Ended[i].Samples()
	}
	if of.kind == careful {
		out.kind = repeated
	}
	for out.former = range x.d.o.Former {
		if err := x.put(ctx, s, out); err != nil {
			return err
		}
	}
	return nil
}

// mark notes that a refresh follows. What is not handed out yet is behind the position of
// every shard until something else comes. Those that the log's memory does not have any
// more are gone, but for what may be with the receiver already.
func (x *dispatcher) mark(ctx context.Context, it queue.Item[*group.Record]) error {
	before := x.at
	x.moveTo(it.Seq)
	x.safe = before
	if !x.reader.Lagging() || x.d.o.Refreshed == nil || !x.perhapsSent(it.Seq) {
		return nil
	}
	for _, r := range x.d.o.Refreshed(it.Record, it.Seq) {
		if x.d.shardOf(r.Labels.Job()).doubtful != it.Seq {
			continue
		}
		if err := x.refresh(ctx, queue.Item[*group.Record]{Record: r, Seq: it.Seq, Ephemeral: true}); err != nil {
			return err
		}
	}
	return nil
}

// perhapsSent says whether the refresh behind a clock mark may have been sent before this
// destination began.
func (x *dispatcher) perhapsSent(seq uint64) bool {
	return slices.ContainsFunc(x.d.shards, func(s *shard) bool { return seq > s.acked && seq == s.doubtful })
}

// refresh hands out a group that is sent again, unless whoever sent before was done with
// that, or has left it out. What was on its way then, which was one request, goes out as it did, with
// the same time, before anything newer: however late that arrives, it is a repeat.
func (x *dispatcher) refresh(ctx context.Context, it queue.Item[*group.Record]) error {
	s := x.d.shardOf(it.Record.Labels.Job())
	out := item{record: it.Record, seq: it.Seq, samples: it.Record.Samples(), kind: ephemeral}
	switch {
	case it.Seq <= s.acked || it.Seq < s.doubtful:
		return nil
	case it.Seq == s.doubtful:
		out.kind = repeated
	}
	return x.put(ctx, s, out)
}

// put puts it into the inbox of s and waits while that is full.
func (x *dispatcher) put(ctx context.Context, s *shard, it item) error {
	if it.samples == 0 {
		return nil
	}
	if it.owed {
		x.d.debt.add()
	}
	it.bytes = it.record.Size()
	s.unsettled.Add(1)
	x.d.ledger.accept(it.kind, uint64(it.samples))
	if !it.kind.unstored() {
		x.d.metrics.highest.raise(it.record.Time)
	}
	if s.in.tryPut(it) {
		return nil
	}
	x.d.metrics.enqueueRetries.Inc()
	x.noteLag()
	return s.in.put(ctx, it, s.gone)
}

// afterEach moves idle shards along once in a while.
func (x *dispatcher) afterEach() {
	if x.since++; x.since >= moveEvery {
		x.moveIdle()
	}
}

// pause moves idle shards along when there is nothing to read, but not each time that few
// pushers leave a gap: that is a write. It returns how long to wait for more until it is
// called again.
func (x *dispatcher) pause(last bool) time.Duration {
	if left := time.Until(x.moved.Add(movePause)); left > 0 && !last {
		x.passIdle()
		return left
	}
	x.moveIdle()
	return moveInterval
}

// moveIdle acknowledges what was read for shards that have nothing to do: their
// position would keep segments otherwise.
func (x *dispatcher) moveIdle() {
	x.since, x.moved = 0, time.Now()
	var moved []queue.Settled
	for s := range x.idle() {
		if ready, ok := s.pass(x.safe, x.total); ok {
			moved = append(moved, ready)
		}
	}
	if len(moved) > 0 {
		x.noted(x.d.cursor.SettleAll(moved...))
	}
	x.passIdle()
}

// passIdle tells those who wait that idle shards are past what was read.
func (x *dispatcher) passIdle() {
	for s := range x.idle() {
		x.d.fates.pass(s.n, x.at)
	}
}

// idle returns the shards that have nothing to do.
func (x *dispatcher) idle() iter.Seq[*shard] {
	return func(yield func(*shard) bool) {
		if x.d.debt.first.Load() || !x.known {
			return
		}
		for _, s := range x.d.shards {
			if s.unsettled.Load() == 0 && !yield(s) {
				return
			}
		}
	}
}

// noteLag notes whether the ring has moved on without us.
func (x *dispatcher) noteLag() {
	x.d.condition.lagging.Store(x.reader.Lagging())
	_, samples := x.reader.Skipped()
	x.d.ledger.skipped(samples + x.hole.passed)
}
