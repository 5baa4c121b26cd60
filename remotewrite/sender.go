package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/golang/snappy"

	"github.com/pushbridge/pushbridge/convert"
)

var (
	// errStopped: the end came before the matter was settled.
	errStopped = errors.New("stopped")

	// errMisunderstood: the receiver does not know 2.0, and nothing was stored.
	errMisunderstood = errors.New("receiver does not understand remote write 2.0")

	// errNoNatives: the receiver takes no native histograms, and nothing was stored.
	errNoNatives = errors.New("receiver has native histograms switched off")
)

// sender gets batches answered, one request at a time.
type sender struct {
	d         *Destination
	shard     int
	back      backoff
	exemplars *sentExemplars // of the shard

	encoder2 encoder2
	raw      []byte
	packed   buffer
}

// send sends b until every sample of it is accounted for. It returns
// errMisunderstood or errStopped, with nothing accounted for in the first case.
func (s *sender) send(ctx, hard context.Context, b *batch) error {
	w := &delivery{sender: s, batch: b, budget: cutBudget, patience: stumbleTries, undecided: true}
	series := w.sendable()
	if len(series) == 0 {
		w.decided()
		return nil
	}
	if b.kind == careful {
		s.d.metrics.doubtful.Inc()
	}
	defer s.d.metrics.atHand(countSeries(series))()
	if s.d.troubled.any(series) {
		w.impatient = true
	}
	if err := w.settle(ctx, hard, series, 0); err != nil {
		return err
	}
	w.sum()
	if b.protocol == Protocol1 && w.stored == 0 {
		s.d.line.negotiation.refused()
	}
	return nil
}

// delivery is the work on one batch.
type delivery struct {
	*sender
	batch  *batch
	budget int    // requests that are left
	stored uint64 // samples that the receiver took
	pieces int    // single samples that it refused
	taken  [][]convert.Series
	gone   []given

	// Of a receiver that stumbles: how many answers of 500 are waited for, parts that got
	// one, and whether anything else got through.
	patience  int
	impatient bool // the first request holds what it stumbled over before
	failing   []failing
	through   bool

	// Some try left and ended without a final answer: the receiver may have stored
	// what it refuses now. It does so where the batch has two samples of one series, of
	// which only the newest may be repeated.
	ambiguous bool

	// Until the first final answer the batch may turn out to be in the wrong
	// protocol, and then all of it begins anew: so long drops are not counted.
	undecided bool
	held      []held
}

// held is a drop to be counted.
type held struct {
	census  census
	refusal refusal
}

// settled puts n samples of the batch into the books.
func (w *delivery) settled(place, n uint64) {
	var o outcome
	o[place] = n
	w.d.ledger.settle(w.batch.shard, w.batch.kind, &o)
}

// sendable leaves out what must not be sent at all.
func (w *delivery) sendable() []convert.Series {
	series := w.batch.series
	now := w.d.now()
	limit := now.Add(maxAhead).UnixMilli()
	series = w.leave(series, clockAhead, func(x *convert.Series) bool { return x.Time > limit })
	w.d.noteAhead(w.batch, now)
	if w.batch.protocol == Protocol1 {
		series = w.leave(series, nhcbNotSupported, customBuckets)
	}
	if !w.d.sendsNatives(w.batch.protocol) {
		series = w.leave(series, nativeNotSent, native)
	}
	return series
}

// leaveNatives goes on without native histograms. A whole batch is converted anew, so
// that those with a classic form are sent in that; from a part of one they are left out.
func (w *delivery) leaveNatives(ctx, hard context.Context, series []convert.Series, reserved int, a answer) error {
	w.d.nativesRefused(series, a)
	if w.undecided {
		return errNoNatives
	}
	if series = w.leave(series, nativeNotSent, native); len(series) == 0 {
		return nil
	}
	return w.settle(ctx, hard, series, reserved)
}

// fresh leaves out what is older than sample_age_limit (rule R-6).
func (w *delivery) fresh(series []convert.Series) []convert.Series {
	limit := time.Duration(w.d.config.Queue.SampleAgeLimit)
	if limit <= 0 {
		return series
	}
	oldest := w.d.now().Add(-limit).UnixMilli()
	return w.leave(series, tooOld, func(x *convert.Series) bool { return x.Time < oldest })
}

// leave leaves out what drop says. What is left is in new memory if anything is
// dropped: a batch that was tried stays what it was.
func (w *delivery) leave(series []convert.Series, why reason, drop func(*convert.Series) bool) []convert.Series {
	if !slices.ContainsFunc(series, func(x convert.Series) bool { return drop(&x) }) {
		return series
	}
	var kept, gone []convert.Series
	for i := range series {
		if drop(&series[i]) {
			gone = append(gone, series[i])
		} else {
			kept = append(kept, series[i])
		}
	}
	w.giveUp(gone, refusal{why: why})
	return kept
}

// customBuckets says whether s is a histogram with custom buckets.
func customBuckets(s *convert.Series) bool {
	const schema = -53
	return s.Hist != nil && s.Hist.Schema == schema || s.FloatHist != nil && s.FloatHist.Schema == schema
}

// giveUp accounts for series that will not be delivered.
func (w *delivery) giveUp(series []convert.Series, f refusal) {
	f.samples, f.example = uint64(len(series)), series[0].Labels
	h := held{countSeries(series), f}
	if w.undecided {
		w.held = append(w.held, h)
		return
	}
	w.count(h)
}

func (w *delivery) count(h held) {
	w.d.metrics.gaveUp(h.census, h.refusal.why)
	w.settled(uint64(h.refusal.why), h.refusal.samples)
	w.d.report.drop(h.refusal)
}

// decided says that b is in the right protocol, or that it does not matter.
func (w *delivery) decided() {
	w.undecided = false
	for _, h := range w.held {
		w.count(h)
	}
	w.held = nil
}

// settle sends series in one request and does what the answer says. reserved is
// how many requests are needed for what comes after them.
func (w *delivery) settle(ctx, hard context.Context, series []convert.Series, reserved int) error {
	w.budget--
	for {
		a, v, left, err := w.exchange(ctx, hard, series)
		if err != nil {
			return err
		}
		if v != stumbles {
			return w.conclude(ctx, hard, left, reserved, a, v)
		}
		w.decided()
		if done, err := w.stumbled(ctx, hard, left, reserved, a); done {
			return err
		}
		series = left
	}
}

// conclude does what the final answer to a request with series says.
func (w *delivery) conclude(ctx, hard context.Context, series []convert.Series, reserved int, a answer, v verdict) error {
	if v != speak1 && v != noNatives {
		w.decided()
		w.noteExemplars(series, v, a)
	}
	switch v {
	case speak1:
		return w.misunderstood(ctx, hard, series, reserved, a)
	case noNatives:
		return w.leaveNatives(ctx, hard, series, reserved, a)
	case delivered:
		w.take(series)
	case partly:
		w.partly(series, a)
	case refused:
		return w.refused(ctx, hard, series, reserved, a)
	case rejected:
		w.refuse(series, a, reasonOfAnswer(a))
	case again, stumbles: // all samples are too old by now; and see settle
	}
	return nil
}

// noteExemplars remembers those that need not be sent again: the receiver took
// them, or they may be what it refused. What is refused for other reasons comes
// along with the next push.
func (w *delivery) noteExemplars(series []convert.Series, v verdict, a answer) {
	switch v {
	case delivered, partly, refused:
		w.exemplars.settled(series, a.status/100 == 2)
	case again, rejected, speak1, noNatives, stumbles:
	}
}

// misunderstood falls back to 1.0. A whole batch is converted anew for it; a part
// of one, which only a receiver gets that changes its mind, goes on as it is.
func (w *delivery) misunderstood(ctx, hard context.Context, series []convert.Series, reserved int, a answer) error {
	w.d.fellBack(a)
	if w.undecided {
		return errMisunderstood
	}
	w.batch.protocol = Protocol1
	return w.settle(ctx, hard, series, reserved)
}

// reasonOfAnswer names why an answer means that nothing was, or will be, taken.
func reasonOfAnswer(a answer) reason {
	switch {
	case a.status == http.StatusTooManyRequests:
		return rateLimited
	case a.status == http.StatusUnsupportedMediaType || a.status/100 == 2 && !a.written.any():
		return notUnderstood
	case a.status/100 == 2:
		return notWritten
	case a.status/100 == 3:
		return redirected
	case a.status/100 == 4:
		return rejectedBatch
	}
	return badAnswer
}

// problem is what is wrong, for people.
func (a answer) problem() string {
	switch {
	case a.err != nil:
		return brief(a.err.Error())
	case a.text != "":
		return a.text
	}
	return fmt.Sprintf("status %d %s", a.status, http.StatusText(a.status))
}

// encode makes packed the request that holds series.
func (s *sender) encode(p Protocol, series []convert.Series) {
	if p == Protocol1 {
		s.raw = appendRequest1(s.raw[:0], series)
	} else {
		s.raw = s.encoder2.append(s.raw[:0], series)
	}
	s.packed.fill(func(dst []byte) []byte { return snappy.Encode(dst, s.raw) })
}

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
	a, v, err := w.d.line.exchange(ctx, hard, w.batch.protocol, &w.packed, &w.back, x)
	return a, v, x.series, err
}

func (x *attempt) ready() bool {
	if kept := x.fresh(x.series); !x.encoded || len(kept) < len(x.series) {
		if x.series = kept; len(kept) == 0 {
			return false
		}
		x.encode(x.batch.protocol, kept)
		x.encoded = true
	}
	x.d.metrics.sending(countSeries(x.series), len(x.packed.bytes))
	x.began = time.Now()
	return true
}

func (x *attempt) judged(a answer, v verdict) verdict {
	x.d.metrics.batchDuration.Observe(time.Since(x.began).Seconds())
	if v == noNatives && !slices.ContainsFunc(x.series, hasNative) {
		v = again // something else is wrong with it
	}
	if v != again {
		x.d.report.answered(x.shard, a.success())
		return v
	}
	x.stuck.failed(a)
	x.ambiguous = x.ambiguous || a.left && (a.err != nil || a.status/100 == 5)
	if x.stumble.failed(a, x.tries) {
		x.through = x.through || x.d.report.succeededSince(x.stumble.since)
		return stumbles
	}
	return again
}

func (x *attempt) again(a answer) {
	x.d.metrics.retried(countSeries(x.series))
	x.d.report.failed(x.shard, a.problem())
}

// tries is how many answers of 500 are waited for.
func (w *delivery) tries() int {
	if w.impatient {
		w.impatient = false
		return 1
	}
	return w.patience
}
