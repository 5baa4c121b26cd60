package remotewrite

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// FateState says in a word what became of a record at a destination.
type FateState string

// The states.
const (
	FatePending   FateState = "pending"          // waits, or is on its way
	FateHeld      FateState = "held"             // waits: the receiver turns everything away, or an operator has paused the destination
	FateDelivered FateState = "delivered"        // the receiver took it, as far as it was to be sent
	FatePartly    FateState = "partly_delivered" // some of it was dropped, or is in doubt
	FateDropped   FateState = "dropped"          // nothing of it was delivered
	FateInDoubt   FateState = "in_doubt"         // sent before, and refused when it was repeated: probably stored
	FateSettled   FateState = "settled"          // delivered or dropped, no longer known
	FateBefore    FateState = "before"           // older than the destination, which was sent the state of then
)

// Fate is what became of a record at a destination.
type Fate struct {
	State   FateState
	Time    time.Time         // since when that is so; zero when it is not known, or still goes on
	Dropped map[string]uint64 // samples by reason, 0 where nobody knows how many; nil for none
	InDoubt uint64            // samples
	Suspect bool              // at most so many: perhaps those of other records in the same request
	Text    string            // of the receiver about what it did not take, or why the record is held
}

// Waits says whether the record is not settled yet.
func (f *Fate) Waits() bool { return f.State == FatePending || f.State == FateHeld }

// ErrEnded is what Await returns when the destination has ended before.
var ErrEnded = errors.New("the destination has ended")

// Fate says what became of the record seq of the log, whose job hashes to job.
func (d *Destination) Fate(seq uint64, job uint32) Fate {
	f := d.knownFate(seq, job)
	if f.State == FatePending {
		if x := d.report.reading(); !d.line.pause.began().IsZero() {
			f.State, f.Text = FateHeld, "an operator has paused the destination"
		} else if x.refusing {
			f.State, f.Text = FateHeld, x.lastError.text
		}
	}
	return f
}

func (d *Destination) knownFate(seq uint64, job uint32) Fate {
	f := d.fates
	f.mu.Lock()
	defer f.mu.Unlock()
	n := d.shardFor(job).n
	s := &f.shards[n]
	if f, ok := f.gapAt(seq, d.shards[n].acked); ok {
		return f
	}
	i, odd := s.findOdd(seq)
	switch {
	case seq > s.to, s.pendingAside(seq):
		return Fate{State: FatePending}
	case seq <= s.from:
		return d.pastFate(seq)
	case odd:
		return s.odd[i].fate(s.timeOf(seq))
	}
	return Fate{State: FateDelivered, Time: s.timeOf(seq)}
}

// gapAt says whether the record was in a gap that the shard, which began behind acked,
// was in the way of.
func (f *fates) gapAt(seq, acked uint64) (Fate, bool) {
	for _, g := range f.gaps {
		if g.from <= seq && seq <= g.to && seq > acked {
			return Fate{State: FateDropped, Time: time.UnixMilli(g.at), Dropped: map[string]uint64{g.why.String(): 0}}, true
		}
	}
	return Fate{}, false
}

// timeOf returns when a record that is known was settled.
func (s *shardFates) timeOf(seq uint64) time.Time {
	i, _ := slices.BinarySearchFunc(s.done, seq, func(r settledRun, seq uint64) int {
		if r.to < seq {
			return -1
		}
		return 1
	})
	if i == len(s.done) {
		return time.Time{} // it held nothing for a destination
	}
	return time.UnixMilli(s.done[i].at)
}

// fate spells what was lost.
func (o *oddRecord) fate(at time.Time) Fate {
	f := Fate{State: FatePartly, Time: at}
	lost := uint64(0)
	for _, l := range o.lost {
		n := uint64(l.samples)
		lost += n
		f.Text = cmp.Or(f.Text, l.text)
		f.Suspect = f.Suspect || l.suspect
		if l.place == placeInDoubt {
			f.InDoubt += n
			continue
		}
		if f.Dropped == nil {
			f.Dropped = map[string]uint64{}
		}
		f.Dropped[reason(l.place).String()] += n
	}
	switch {
	case lost == 0: // tried by itself, and taken
		f.State = FateDelivered
	case lost < uint64(o.sent) || f.Suspect:
	case f.Dropped == nil:
		f.State = FateInDoubt
	default:
		f.State = FateDropped
	}
	return f
}

// pastFate is of a record that was settled and that nothing more is remembered of: where
// a destination has never lost anything, it was delivered.
func (d *Destination) pastFate(seq uint64) Fate {
	ever, _ := d.cursor.Ledger()
	if !ever.Based() {
		return Fate{State: FateSettled}
	}
	if total, exact := d.o.Log.TotalAt(seq); exact && total <= ever.Begun {
		return Fate{State: FateBefore}
	}
	lost := ever.Settled[placeInDoubt]
	for why := range allReasons {
		if !why.quiet() {
			lost += ever.Settled[why]
		}
	}
	if lost > 0 {
		return Fate{State: FateSettled}
	}
	return Fate{State: FateDelivered}
}

// Await returns when the record seq, whose job hashes to job, is not pending any more,
// with ErrEnded when the destination has ended before, or when ctx ends. Nobody is
// held up by it.
func (d *Destination) Await(ctx context.Context, seq uint64, job uint32) error {
	w, err := d.fates.await(d.shardFor(job).n, seq)
	if w == nil {
		return err
	}
	select {
	case <-w:
		if f := d.knownFate(seq, job); f.Waits() {
			return ErrEnded
		}
		return nil
	case <-ctx.Done():
		d.fates.giveUp(d.shardFor(job).n, w)
		return ctx.Err()
	}
}

// await returns a channel that is closed when the record is settled or everything has
// ended, or nil when that is so.
func (f *fates) await(shard int, seq uint64) (chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &f.shards[shard]
	switch {
	case seq <= s.to && !s.pendingAside(seq):
		return nil, nil
	case f.ended:
		return nil, ErrEnded
	}
	w := waiter{seq, make(chan struct{})}
	at := len(s.waiters)
	for at > 0 && s.waiters[at-1].seq > seq { // most are newer than all that wait
		at--
	}
	s.waiters = slices.Insert(s.waiters, at, w)
	return w.done, nil
}

// giveUp takes away somebody who does not wait any more.
func (f *fates) giveUp(shard int, done chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &f.shards[shard]
	s.waiters = slices.DeleteFunc(s.waiters, func(w waiter) bool { return w.done == done })
}

// shardFor returns the shard of the jobs with this hash.
func (d *Destination) shardFor(job uint32) *shard { return d.shards[job%uint32(len(d.shards))] }

// shardOf returns the shard of a job. Series of different groups are the same
// only when the groups share the job, so a shard has all that must stay in order.
func (d *Destination) shardOf(job string) *shard { return d.shardFor(group.HashJob(job)) }
