package remotewrite

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/pushbridge/pushbridge/queue"
)

// shard sends the records of some jobs, one request at a time: order before
// throughput (rules R-5 and S-3). gatherer and sender belong to the goroutine that runs
// it.
type shard struct {
	n    int
	d    *Destination
	in   *inbox
	gone chan struct{} // closed when run has ended

	// Where the cursor was when the destination started: records up to acked are
	// settled, those up to doubtful were perhaps sent.
	acked, doubtful uint64

	unsettled atomic.Int64 // items put and not settled
	oldest    atomic.Int64 // timestamp of the batch at hand, 0 for none

	gatherer gatherer
	sender   sender
}

func newShard(d *Destination, n int) *shard {
	s := &shard{
		n:    n,
		d:    d,
		in:   newInbox(d.config.Queue.Capacity),
		gone: make(chan struct{}),
	}
	s.gatherer = gatherer{d: d, shard: n, in: s.in, stage: newStage(d)}
	s.acked, s.doubtful = d.cursor.Position(n)
	s.sender = sender{d: d, shard: n, back: newBackoff(&d.config.Queue), exemplars: &s.gatherer.stage.sent}
	s.sender.encoder2.templates = newTemplates(&d.metrics.faces)
	return s
}

// run works until the inbox is closed and empty, or a batch cannot be settled
// before the end. ctx ends all waiting, hard also the request on the way.
func (s *shard) run(ctx, hard context.Context) {
	defer close(s.gone)
	for {
		b := s.gatherer.next(hard)
		if b == nil {
			return
		}
		s.oldest.Store(b.newest())
		err := s.settle(ctx, hard, b)
		s.oldest.Store(0)
		if err != nil {
			return
		}
	}
}

// settle closes the matter of b: it was delivered, or what was not is counted.
// An error means that the end came first; then nothing of it is acknowledged.
func (s *shard) settle(ctx, hard context.Context, b *batch) error {
	s.sender.packed.leave = s.noteSent(b)
	err := s.sender.send(ctx, hard, b)
	if errors.Is(err, errMisunderstood) || errors.Is(err, errNoNatives) {
		if b.fresh {
			s.gatherer.reconvert(b)
			return nil
		}
		// Half of a record is with the receiver. What is left of it goes out as it
		// was converted.
		if errors.Is(err, errMisunderstood) {
			b.protocol, s.gatherer.protocol = Protocol1, Protocol1
		}
		err = s.sender.send(ctx, hard, b)
	}
	if err != nil {
		return err
	}
	s.finish(b)
	return nil
}

// noteSent returns what writes down, before a request of b leaves, that the
// records in it may have arrived; of a refresh, that its clock mark may be of use to the
// receiver already. Sending goes on where that cannot be written: what it costs is told in
// docs/remote-write.md.
func (s *shard) noteSent(b *batch) func() {
	n, last := s.n, b.last
	return func() {
		if err := s.d.cursor.Sent(n, last); err != nil {
			s.d.report.cursorFailed(err)
		}
	}
}

// finish writes down that b is settled.
func (s *shard) finish(b *batch) {
	s.d.ledger.settle(b.into, b.kind, &b.drops)
	s.d.noteUnsent(&b.drops)
	s.d.keepLetters(b)
	s.d.fates.settle(s.n, b, s.d.now())
	if seq, total := b.done(); seq > 0 && !s.d.debt.first.Load() {
		if err := s.acknowledge(seq, total); err != nil {
			// The next one that works covers this one too.
			s.d.report.cursorFailed(err)
		}
	}
	s.d.metrics.highestSent.raise(b.newest())
	s.d.paidBy(b)
	s.unsettled.Add(-b.ended())
	s.gatherer.settled()
	s.d.lookNow()
	s.d.fates.tell(s.n)
}

// acknowledge moves the position of the shard, which is done with everything up to seq,
// and notes what became of it: up to what is set aside.
func (s *shard) acknowledge(seq, total uint64) error {
	ready, ok := s.pass(seq, total)
	if !ok {
		return nil
	}
	return s.d.cursor.SettleAll(ready)
}

// pass is acknowledge without the write: it returns what the cursor is to learn.
func (s *shard) pass(seq, total uint64) (queue.Settled, bool) {
	ready := s.d.ledger.pass(s.n, seq, total)
	if ready == nil {
		return queue.Settled{}, false
	}
	return queue.Settled{Shard: s.n, Seq: ready.seq, Total: ready.total, Outcome: ready.settled}, true
}
