package remotewrite

import (
	"context"
	"slices"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// A destination that lags skips refreshes. Once it has caught up, groups that
// nobody pushed to have a hole as long as the outage, which shows as soon as it
// is longer than a query looks back. Filling sends their unchanged values at
// times inside the hole.
const (
	lookback     = 5 * time.Minute  // what instant queries look back
	fillFirst    = time.Second      // from the newest sample of all: a group's own may be two refresh intervals older
	fillStep     = 4 * time.Minute  // between the samples of a series
	fillLongest  = 50 * time.Minute // receivers refuse what is an hour older than their newest sample
	fillNotAfter = time.Minute      // before the state as it is now
)

// backfill is the work on one hole.
type backfill struct {
	newest int64  // largest timestamp handed out while the destination kept up
	missed uint64 // samples of refreshes skipped, as far as they are dealt with
	passed uint64 // samples of refreshes left out while a hole waits to be filled

	from  int64        // where the hole begins
	state *Restatement // as it is now; nil: there is no hole
}

// follow watches for holes. It reports whether it must be left out: a refresh
// that is newer than what is to be filled.
func (x *dispatcher) follow(r *group.Record, ephemeral bool) (leaveOut bool) {
	f := &x.fill
	if x.d.o.Backfill == nil || x.reader.Lagging() {
		return false
	}
	if _, missed := x.reader.Skipped(); missed != f.missed {
		f.missed = missed
		x.openHole()
	}
	if ephemeral && f.state != nil {
		f.passed += uint64(r.Samples())
		return true
	}
	f.newest = max(f.newest, r.Time)
	return false
}

// openHole asks for the state, unless nobody can see the hole, or nobody knows
// where it begins since the process has started after that.
func (x *dispatcher) openHole() {
	f := &x.fill
	if f.state != nil || f.newest == 0 || x.d.now().Sub(time.UnixMilli(f.newest)) <= lookback {
		return
	}
	f.from = f.newest
	f.state = x.d.o.Backfill()
}

// fillHole hands out the samples once everything in front of them was, as
// handOutInitial does.
func (x *dispatcher) fillHole(ctx context.Context) error {
	f := &x.fill
	if !x.due(&f.state, x.d.o.Backfill) {
		return nil
	}
	n := 0
	for _, r := range f.state.Records {
		for _, r := range fillers(r, f.from, x.d.now()) {
			n++
			it := item{record: r, seq: x.at, kind: ephemeral, samples: r.Samples()}
			if err := x.put(ctx, x.d.shardOf(r.Labels.Job()), it); err != nil {
				return err
			}
		}
	}
	x.d.log.Info("hole of an outage filled", "from", time.UnixMilli(f.from).UTC(), "records", n)
	f.state = nil
	return nil
}

// fillers returns what a group would have been sent as since from, and what it is
// sent as now.
func fillers(now *group.Record, from int64, clock time.Time) []*group.Record {
	last := *now
	last.Members = slices.DeleteFunc(slices.Clone(now.Members), group.Member.Timed)
	var out []*group.Record
	at, step := max(from, last.Last, clock.Add(-fillLongest).UnixMilli()), fillFirst
	if at == last.Last {
		step = fillStep
	}
	for ; ; step = fillStep {
		at += step.Milliseconds()
		if at > last.Time-fillNotAfter.Milliseconds() {
			return append(out, &last)
		}
		r := last
		r.Time = at
		out = append(out, &r)
	}
}
