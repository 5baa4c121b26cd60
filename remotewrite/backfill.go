package remotewrite

import (
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

// hole is one, and the watch for it.
type hole struct {
	newest int64  // largest timestamp handed out while the destination kept up
	missed uint64 // samples of refreshes skipped, as far as they are dealt with
	passed uint64 // samples of refreshes left out while a hole waits to be filled

	restating // what fills it; no state: there is no hole
}

// follow watches for holes. It reports whether it must be left out: a refresh
// that is newer than what is to be filled.
func (x *dispatcher) follow(r *group.Record, ephemeral bool) (leaveOut bool) {
	h := &x.hole
	if !x.d.o.FillHoles || x.reader.Lagging() {
		return false
	}
	if _, missed := x.reader.Skipped(); missed != h.missed {
		h.missed = missed
		h.open(x.d)
	}
	if ephemeral && h.state != nil {
		h.passed += uint64(r.Samples())
		return true
	}
	h.newest = max(h.newest, r.Time)
	return false
}

// open asks for the state, unless nobody can see the hole, or nobody knows
// where it begins since the process has started after that.
func (h *hole) open(d *Destination) {
	if h.state != nil || h.newest == 0 || d.now().Sub(time.UnixMilli(h.newest)) <= lookback {
		return
	}
	from := h.newest
	h.restating = restating{
		ask:   d.o.State,
		state: d.o.State(),
		items: func(now *group.Record) []item {
			var out []item
			for _, r := range fillers(now, from, d.now()) {
				out = append(out, item{record: r, samples: r.Samples()})
			}
			return out
		},
		done: func(_ *Restatement, n int) {
			d.log.Info("hole of an outage filled", "from", time.UnixMilli(from).UTC(), "records", n)
		},
	}
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
