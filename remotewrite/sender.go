package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"net/http"

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
	w := &delivery{sender: s, settlement: settlement{d: s.d, batch: b, undecided: true}, budget: cutBudget, patience: stumbleTries}
	series := w.sendable()
	if len(series) == 0 {
		w.decided()
		return nil
	}
	if b.kind.doubtful() {
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
	sender *sender
	settlement
	budget int // requests that are left

	// Of a receiver that stumbles: how many answers of 500 are waited for, parts that got
	// one, and whether anything else got through.
	patience  int
	impatient bool // the first request holds what it stumbled over before
	failing   []failing
	through   bool
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
	if v != speak1 && v != speak2 && v != noNatives {
		w.decided()
		w.noteExemplars(series, v, a)
	}
	switch v {
	case speak1:
		return w.misunderstood(ctx, hard, series, reserved, a)
	case speak2:
		return w.neither(ctx, a)
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
		w.sender.exemplars.settled(series, a.status/100 == 2)
	case again, rejected, speak1, speak2, noNatives, stumbles:
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

// neither goes back to 2.0, after a while: a receiver that takes no version of remote
// write may be one that takes either when it is set up right.
func (w *delivery) neither(ctx context.Context, a answer) error {
	if !w.d.line.wait(ctx, &w.sender.back, a) {
		return errStopped
	}
	w.d.line.negotiation.startAnew()
	return errMisunderstood
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
