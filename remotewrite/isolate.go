package remotewrite

import (
	"context"
	"net/http"
	"slices"

	"github.com/pushbridge/pushbridge/convert"
)

// refused does what a refusal asks for: it finds out which samples are at fault,
// by sending parts, and what became of the others. Prometheus rolls back a refused
// request of 1.0 and keeps the good samples of one of 2.0; Mimir, Thanos and Cortex
// keep them in both. Whatever was kept may come again, as far as it is the newest of
// its series.
func (w *delivery) refused(ctx, hard context.Context, series []convert.Series, reserved int, a answer) error {
	c := countSeries(series)
	told := w.told(a, c)
	older, newest := splitNewest(series)
	switch {
	case c.exemplars > 0 && w.budget > reserved && (told == len(series) && len(older) == 0 || len(series) == 1):
		return w.settle(ctx, hard, withoutExemplars(series), reserved) // are they alone at fault?
	case told > 0 && told < len(series) && len(w.batch.parts) == 1 && (!w.wantsToKnow() || !w.mayCut(reserved)): // the group is known, and the number
		w.giveUpRefused(series, told, a)
		return nil
	case len(series) == 1 || !w.mayCut(reserved):
		if told == len(series) {
			told = -1 // a refusal in any case
		}
		w.giveUpRefused(series, told, a)
		return nil
	case len(older) > 0 && keepsGoodOnes(w.batch.protocol, a):
		return w.newestFirst(ctx, hard, older, newest, told, reserved, a)
	}
	return w.cut(ctx, hard, series, reserved)
}

// keepsGoodOnes says whether a receiver that answers so has stored what is good of
// the request. In 1.0 some do and some do not.
func keepsGoodOnes(p Protocol, a answer) bool {
	return p == Protocol2 && a.status != http.StatusRequestEntityTooLarge
}

// told returns how many of c the headers of a refusal say were stored, and -1
// where they cannot be believed: Mimir says what arrived, Cortex says 0, Thanos
// nothing at all, and all of them have stored the good samples (rule N-5).
func (w *delivery) told(a answer, c census) int {
	if !keepsGoodOnes(w.batch.protocol, a) || !a.written.any() {
		return -1
	}
	all, n := c.samples+c.histograms, a.written.of(c, false)
	exemplarsAlone := a.written.exemplars >= 0 && a.written.exemplars < int64(c.exemplars)
	switch {
	case n == all && !exemplarsAlone:
		w.d.line.negotiation.lied()
		return -1
	case n == 0 || w.d.line.negotiation.lies():
		return -1
	}
	return n
}

// mayCut says whether a refused request may be followed by two more.
func (w *delivery) mayCut(reserved int) bool {
	return w.budget-reserved >= 2 && !w.hopeless()
}

// hopeless says that a small push has had many samples refused and none taken: to
// find out about each of the others would cost a request per sample, on every push,
// for as long as its job is misconfigured. What was sent before a restart is refused
// as a whole where the receiver has it, and something newer of its series: there can be
// many such records, and a few samples tell.
func (w *delivery) hopeless() bool {
	switch {
	case w.stored > 0:
		return false
	case w.batch.kind.doubtful():
		return w.pieces >= hopelessReplay
	}
	return w.batch.small() && w.pieces >= hopelessAfter
}

// cut sends the halves of series, the first one first: order.
func (w *delivery) cut(ctx, hard context.Context, series []convert.Series, reserved int) error {
	at := middle(series)
	for i, half := range [][]convert.Series{series[:at], series[at:]} {
		w.d.metrics.cuts.Inc()
		if err := w.settle(ctx, hard, half, reserved+1-i); err != nil {
			return err
		}
	}
	return nil
}

// newestFirst sends the newest sample of each series again, and of the older ones
// only those whose series had it refused: a receiver that has the newest refuses
// those before it, whether it has them or not.
func (w *delivery) newestFirst(ctx, hard context.Context, older, newest []convert.Series, told, reserved int, a answer) error {
	before := len(w.gone)
	w.d.metrics.cuts.Inc()
	if err := w.settle(ctx, hard, newest, reserved+1); err != nil {
		return err
	}
	bad := hashesOf(w.gone[before:])
	var open, behind []convert.Series
	for _, x := range older {
		if bad[hashSeries(&x)] {
			open = append(open, x)
		} else {
			behind = append(behind, x)
		}
	}
	if len(open) > 0 {
		w.d.metrics.cuts.Inc()
		if err := w.settle(ctx, hard, open, reserved); err != nil {
			return err
		}
	}
	found := 0
	for _, g := range w.gone[before:] {
		found += g.lost
	}
	if told >= 0 && !w.ambiguous && !w.d.line.negotiation.lies() {
		lost := min(max(len(older)+len(newest)-told-found, 0), len(behind))
		w.giveUpRefused(behind, len(behind)-lost, a)
		return nil
	}
	w.infer(behind)
	return nil
}

// splitNewest parts the newest sample of each series from older ones. Both stay in
// order.
func splitNewest(series []convert.Series) (older, newest []convert.Series) {
	seen := make(map[uint64]bool, len(series))
	for _, x := range slices.Backward(series) {
		if h := hashSeries(&x); seen[h] {
			older = append(older, x)
		} else {
			seen[h] = true
			newest = append(newest, x)
		}
	}
	slices.Reverse(older)
	slices.Reverse(newest)
	return older, newest
}

// withoutExemplars is series in new memory.
func withoutExemplars(series []convert.Series) []convert.Series {
	bare := slices.Clone(series)
	for i := range bare {
		bare[i].Exemplars = nil
	}
	return bare
}
