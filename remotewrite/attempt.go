package remotewrite

import (
	"context"
	"net/http"
	"time"

	"github.com/pushbridge/pushbridge/convert"
)

// attempt sends series of a batch. Those that are too old by then are dropped before
// each try; what is tried again is else what it was.
type attempt struct {
	*delivery
	series  []convert.Series
	tries   int // answers of 500 that are waited for
	stumble stumbleWatch
	stuck   *stuckWatch
	encoded bool
	began   time.Time // the latest try
}

// exchange sends series until there is a final answer. It returns those that were
// in the last request. The verdict is again only when none is left.
func (w *delivery) exchange(ctx, hard context.Context, series []convert.Series) (answer, verdict, []convert.Series, error) {
	x := &attempt{
		delivery: w, series: series, tries: w.tries(), stumble: stumbleWatch{d: w.d}, stuck: newStuckWatch(w.d, w.batch),
	}
	defer x.stuck.end()
	a, v, err := w.d.line.exchange(ctx, hard, w.batch.protocol, &w.sender.packed, &w.sender.back, x)
	return a, v, x.series, err
}

func (x *attempt) ready() bool {
	if kept := x.fresh(x.series); !x.encoded || len(kept) < len(x.series) {
		if x.series = kept; len(kept) == 0 {
			return false
		}
		x.sender.encode(x.batch.protocol, kept)
		x.encoded = true
	}
	x.d.metrics.sending(countSeries(x.series), len(x.sender.packed.bytes))
	x.began = time.Now()
	return true
}

func (x *attempt) judged(a answer, v verdict) verdict {
	x.d.metrics.batchDuration.Observe(time.Since(x.began).Seconds())
	if v == noNatives && indexSeries(x.series, native) < 0 {
		v = again // something else is wrong with it
	}
	if v == speak2 && !x.convertible() {
		v = again
	}
	switch v {
	case again:
	case speak2:
		x.again(a)
		return v
	case speak1: // settles nothing
		return v
	case delivered, partly, refused, rejected, noNatives, stumbles:
		x.d.report.answered(x.sender.shard, a.success())
		return v
	}
	x.stuck.failed(a)
	x.ambiguous = x.ambiguous || a.left && a.mayBeStored()
	if x.stumble.failed(a, x.tries) {
		x.through = x.through || x.d.report.succeededSince(x.stumble.since)
		return stumbles
	}
	return again
}

func (x *attempt) again(a answer) {
	x.d.metrics.retried(countSeries(x.series))
	x.d.report.failed(x.sender.shard, failureOf(a))
	x.d.lookNow()
}

// tries is how many answers of 500 are waited for.
func (w *delivery) tries() int {
	if w.impatient {
		w.impatient = false
		return 1
	}
	return w.patience
}

// convertible says whether the whole batch can be converted anew for another protocol.
func (w *delivery) convertible() bool { return w.undecided && w.batch.fresh }

// mayBeStored says whether samples may have been stored although the answer does not
// say so.
func (a *answer) mayBeStored() bool {
	return a.err != nil || a.status/100 == 5 || a.status == http.StatusRequestTimeout
}
