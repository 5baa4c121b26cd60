package remotewrite

import (
	"slices"

	"github.com/pushbridge/pushbridge/convert"
)

// given is a request that was given up, wholly or in part.
type given struct {
	series []convert.Series
	lost   int  // of series
	unsure bool // nobody knows which ones
	answer answer
	why    reason
}

// take accounts for series that the receiver took.
func (w *delivery) take(series []convert.Series) {
	w.taken = append(w.taken, series)
	w.deliver(uint64(len(series)))
}

func (w *delivery) deliver(n uint64) {
	w.stored += n
	w.settled(placeDelivered, n)
	w.d.understood(w.batch.protocol)
}

// partly accounts for a success of which the receiver says how many samples it
// stored, not which.
func (w *delivery) partly(series []convert.Series, a answer) {
	n := a.written.of(countSeries(series), true)
	if n == len(series) {
		w.take(series)
		return
	}
	w.storedOf(series, n, a, notWritten)
}

// giveUpRefused gives up refused series, of which told were stored, or -1 for
// unknown. Then all of them count as refused: better one loss too many than one that
// nobody hears of.
func (w *delivery) giveUpRefused(series []convert.Series, told int, a answer) {
	if len(series) == 1 {
		w.pieces++
	}
	w.storedOf(series, max(told, 0), a, refusedSamples)
}

func (w *delivery) storedOf(series []convert.Series, stored int, a answer, why reason) {
	if stored > 0 {
		w.deliver(uint64(stored))
	}
	if lost := len(series) - stored; lost > 0 {
		unsure := stored > 0 || why == refusedSamples && len(series) > 1
		w.gone = append(w.gone, given{series, lost, unsure, a, why})
	}
}

// refuse notes that no request with series will be taken. What is given up is
// counted in the end, when it is known what else was taken.
func (w *delivery) refuse(series []convert.Series, a answer, why reason) {
	w.gone = append(w.gone, given{series, len(series), false, a, why})
}

// of returns how many of c were stored. Counts that the receiver left out are
// taken for all in a success and for none otherwise.
func (x written) of(c census, success bool) int {
	n := 0
	for _, p := range []struct {
		told int64
		sent int
	}{{x.samples, c.samples}, {x.histograms, c.histograms}} {
		switch {
		case p.told >= 0:
			n += int(min(p.told, int64(p.sent)))
		case success:
			n += p.sent
		}
	}
	return n
}

// sum counts what was given up: each reason once, with the first example of it.
// What may have been stored by an earlier try is in doubt, not lost.
func (w *delivery) sum() {
	behind := w.behind()
	for len(w.gone) > 0 {
		why := w.gone[0].why
		var lost, doubtful blame
		w.gone = slices.DeleteFunc(w.gone, func(g given) bool {
			if g.why != why {
				return false
			}
			w.assign(g, behind, &lost, &doubtful)
			return true
		})
		if doubtful.samples > 0 {
			w.doubt(doubtful.refusal)
		}
		if lost.samples > 0 {
			w.d.refusals.note(w.batch, &lost, w.d.now())
			w.count(held{lost.what, lost.refusal})
		}
	}
}

// assign adds the series of g to those that are lost and those in doubt.
func (w *delivery) assign(g given, behind func(*convert.Series) bool, lost, doubtful *blame) {
	perhaps := func(x convert.Series) bool {
		return g.why == refusedSamples && (behind(&x) || w.ambiguous && w.old(&x))
	}
	all := w.batch.kind == careful && g.answer.status/100 == 4 ||
		g.unsure && w.ambiguous && slices.ContainsFunc(g.series, perhaps) // refused for those, perhaps
	choose := func(doubt bool) *blame {
		if doubt {
			return doubtful
		}
		return lost
	}
	if g.lost < len(g.series) {
		choose(all).suspect(g)
		return
	}
	for i := range g.series {
		choose(all || perhaps(g.series[i])).add(g, &g.series[i])
	}
}

// behind returns what says whether a sample may be refused because a newer one of its
// series is stored, which stood beside it in a request that failed. It is not so
// where the receiver took such samples again.
func (w *delivery) behind() func(*convert.Series) bool {
	none := func(*convert.Series) bool { return false }
	if len(w.gone) == 0 || w.batch.kind == careful {
		return none
	}
	newest := w.newestStored()
	older := func(x *convert.Series) bool { return x.Time < newest[hashLabels(x.Labels)] }
	if w.batch.protocol == Protocol1 && !w.ambiguous {
		for _, series := range w.taken {
			if slices.ContainsFunc(series, func(x convert.Series) bool { return older(&x) }) {
				return none
			}
		}
	}
	return older
}

// newestStored returns the time of the newest sample of each series that is stored, or
// may be: it was taken, or an earlier try got no answer and it was refused since only
// among others.
func (w *delivery) newestStored() map[uint64]int64 {
	newest := make(map[uint64]int64)
	note := func(series []convert.Series) {
		for i := range series {
			h := hashLabels(series[i].Labels)
			newest[h] = max(newest[h], series[i].Time)
		}
	}
	for _, series := range w.taken {
		note(series)
	}
	for _, g := range w.gone {
		if w.ambiguous && g.unsure {
			note(g.series)
		}
	}
	return newest
}

func (w *delivery) doubt(f refusal) {
	w.settled(placeInDoubt, f.samples)
	w.d.report.doubt(f)
}

// blame is what is to be told about samples that were given up for one reason.
type blame struct {
	refusal
	what census
	by   map[uint32]suspect // by the mark of the record
}

// suspect is how many samples of a record were given up, at most.
type suspect struct {
	samples uint64
	exact   bool
}

func (b *blame) begin(g given) {
	if b.by == nil {
		b.by = make(map[uint32]suspect)
		b.refusal = refusal{why: g.why, status: g.answer.status, text: g.answer.problem(), location: g.answer.location}
	}
}

// add adds one sample that is known.
func (b *blame) add(g given, x *convert.Series) {
	b.begin(g)
	if b.example == nil && !g.unsure {
		b.example = x.Labels
	}
	b.samples++
	b.what.add(x)
	s := b.by[x.Record]
	b.by[x.Record] = suspect{s.samples + 1, (s.exact || s.samples == 0) && !g.unsure}
}

// suspect adds samples that are some of a request. Each record of it is blamed.
func (b *blame) suspect(g given) {
	b.begin(g)
	b.samples += uint64(g.lost)
	for i := range g.series {
		if i < g.lost {
			b.what.add(&g.series[i])
		}
	}
	for mark, n := range countRecords(g.series) {
		s := b.by[mark]
		b.by[mark] = suspect{s.samples + min(n, uint64(g.lost)), false}
	}
}

func countRecords(series []convert.Series) map[uint32]uint64 {
	n := make(map[uint32]uint64)
	for i := range series {
		n[series[i].Record]++
	}
	return n
}

// hashesOf is the series of what was given up.
func hashesOf(gone []given) map[uint64]bool {
	out := make(map[uint64]bool)
	for _, g := range gone {
		for i := range g.series {
			out[hashLabels(g.series[i].Labels)] = true
		}
	}
	return out
}
