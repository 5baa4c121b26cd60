package remotewrite

import (
	"slices"
	"time"

	"github.com/pushbridge/pushbridge/convert"
)

// settlement finds out what became of the samples of a batch, from what was done with
// the requests that they were in, and puts it into the books.
type settlement struct {
	d      *Destination
	batch  *batch
	stored uint64 // samples that the receiver took
	pieces int    // single samples that it refused
	taken  [][]convert.Series
	gone   []given

	// Some try left and ended without a final answer: the receiver may have stored
	// what it refuses now. It does so where the batch has two samples of one series, of
	// which only the newest may be repeated.
	ambiguous bool

	// Until the first final answer the batch may turn out to be in the wrong
	// protocol, and then all of it begins anew: so long drops are not counted.
	undecided bool
	held      []blame
}

// given is a request that was given up, wholly or in part.
type given struct {
	series []convert.Series
	lost   int  // of series
	unsure bool // nobody knows which ones
	answer answer
	why    reason
}

// settled puts n samples of the batch into the books.
func (s *settlement) settled(place, n uint64) {
	var o outcome
	o[place] = n
	s.d.ledger.settle(s.batch.into, s.batch.kind, &o)
}

// giveUp accounts for series that will not be delivered.
func (s *settlement) giveUp(series []convert.Series, f refusal) {
	f.samples, f.example = uint64(len(series)), series[0].Labels
	b := blame{refusal: f, what: countSeries(series), by: recordsOf(series)}
	if s.undecided {
		s.held = append(s.held, b)
		return
	}
	s.count(&b)
}

// count accounts for what is lost.
func (s *settlement) count(lost *blame) {
	s.d.metrics.gaveUp(lost.what, lost.why)
	s.settled(uint64(lost.why), lost.samples)
	s.batch.lose(uint8(lost.why), lost.by, lost.text)
	s.d.report.drop(lost.refusal)
}

// decided says that b is in the right protocol, or that it does not matter.
func (s *settlement) decided() {
	s.undecided = false
	for i := range s.held {
		s.count(&s.held[i])
	}
	s.held = nil
}

// take accounts for series that the receiver took.
func (s *settlement) take(series []convert.Series) {
	s.taken = append(s.taken, series)
	s.deliver(uint64(len(series)))
}

func (s *settlement) deliver(n uint64) {
	s.stored += n
	s.settled(placeDelivered, n)
	s.d.understood(s.batch.protocol)
}

// partly accounts for a success of which the receiver says how many samples it
// stored, not which.
func (s *settlement) partly(series []convert.Series, a answer) {
	n := a.written.of(countSeries(series), true)
	if n == len(series) {
		s.take(series)
		return
	}
	s.storedOf(series, n, a, notWritten)
}

// giveUpRefused gives up refused series, of which told were stored, or -1 for
// unknown. Then all of them count as refused: better one loss too many than one that
// nobody hears of.
func (s *settlement) giveUpRefused(series []convert.Series, told int, a answer) {
	if len(series) == 1 {
		s.pieces++
	}
	s.storedOf(series, max(told, 0), a, refusedSamples)
}

func (s *settlement) storedOf(series []convert.Series, stored int, a answer, why reason) {
	if stored > 0 {
		s.deliver(uint64(stored))
	}
	if lost := len(series) - stored; lost > 0 {
		unsure := stored > 0 || why == refusedSamples && len(series) > 1
		s.gone = append(s.gone, given{series, lost, unsure, a, why})
	}
}

// refuse notes that no request with series will be taken. What is given up is
// counted in the end, when it is known what else was taken.
func (s *settlement) refuse(series []convert.Series, a answer, why reason) {
	s.gone = append(s.gone, given{series, len(series), false, a, why})
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
func (s *settlement) sum() {
	behind := s.behind()
	for len(s.gone) > 0 {
		why := s.gone[0].why
		var lost, doubtful blame
		s.gone = slices.DeleteFunc(s.gone, func(g given) bool {
			if g.why != why {
				return false
			}
			s.assign(g, behind, &lost, &doubtful)
			return true
		})
		if doubtful.samples > 0 {
			s.doubt(&doubtful)
		}
		if lost.samples > 0 {
			s.d.refusals.note(s.batch, &lost, s.d.now())
			s.bury(&lost)
			s.count(&lost)
		}
	}
}

// assign adds the series of g to those that are lost and those in doubt.
func (s *settlement) assign(g given, behind func(*convert.Series) bool, lost, doubtful *blame) {
	perhaps := func(x *convert.Series) bool {
		return g.why == refusedSamples && (behind(x) || s.ambiguous && s.old(x))
	}
	all := s.batch.kind.doubtful() && g.answer.status/100 == 4 ||
		g.unsure && s.ambiguous && indexSeries(g.series, perhaps) >= 0 // refused for those, perhaps
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
		choose(all || perhaps(&g.series[i])).add(g, &g.series[i])
	}
}

// behind returns what says whether a sample may be refused because a newer one of its
// series is stored, which stood beside it in a request that failed. It is not so
// where the receiver took such samples again.
func (s *settlement) behind() func(*convert.Series) bool {
	none := func(*convert.Series) bool { return false }
	if len(s.gone) == 0 || s.batch.kind.doubtful() {
		return none
	}
	newest := s.newestStored()
	older := func(x *convert.Series) bool { return x.Time < newest[hashSeries(x)] }
	if s.batch.protocol == Protocol1 && !s.ambiguous {
		for _, series := range s.taken {
			if indexSeries(series, older) >= 0 {
				return none
			}
		}
	}
	return older
}

// newestStored returns the time of the newest sample of each series that is stored, or
// may be: it was taken, or an earlier try got no answer and it was refused since only
// among others.
func (s *settlement) newestStored() map[uint64]int64 {
	newest := make(map[uint64]int64)
	note := func(series []convert.Series) {
		for i := range series {
			h := hashSeries(&series[i])
			newest[h] = max(newest[h], series[i].Time)
		}
	}
	for _, series := range s.taken {
		note(series)
	}
	for _, g := range s.gone {
		if s.ambiguous && g.unsure {
			note(g.series)
		}
	}
	return newest
}

func (s *settlement) doubt(b *blame) {
	s.settled(placeInDoubt, b.samples)
	s.batch.lose(placeInDoubt, b.by, b.text)
	s.d.report.doubt(b.refusal)
}

// sureAge is how old a sample may be so that its age is no reason to refuse it.
// Receivers without a window for late samples take none that is about an hour older
// than the newest one they have.
const sureAge = 30 * time.Minute

// infer accounts for samples of refused requests that had a newer sample of their
// series beside them, which is stored. Samples of a series are sent in order, so
// these are stored too, unless they were too old already.
func (s *settlement) infer(behind []convert.Series) {
	var old []convert.Series
	for i := range behind {
		if s.old(&behind[i]) {
			old = append(old, behind[i])
		}
	}
	if young := len(behind) - len(old); young > 0 {
		s.deliver(uint64(young))
	}
	if n := uint64(len(old)); n > 0 {
		s.doubt(&blame{refusal: refusal{why: refusedSamples, samples: n}, by: recordsOf(old)})
	}
}

func (s *settlement) old(x *convert.Series) bool {
	return s.d.now().Sub(time.UnixMilli(x.Time)) > sureAge
}
