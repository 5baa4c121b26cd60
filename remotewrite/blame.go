package remotewrite

import "github.com/pushbridge/pushbridge/convert"

// blame is what is to be told about samples that were given up for one reason.
type blame struct {
	refusal
	what  census
	by    map[uint32]suspect // by the mark of the record
	sure  []convert.Series   // that were given up
	guess []convert.Series   // the same, but perhaps some of them are stored
	some  []given            // of whose series some were, and nobody knows which
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
	if g.unsure {
		b.guess = append(b.guess, *x)
	} else {
		b.sure = append(b.sure, *x)
	}
	s := b.by[x.Record]
	b.by[x.Record] = suspect{s.samples + 1, (s.exact || s.samples == 0) && !g.unsure}
}

// suspect adds samples that are some of a request. Each record of it is blamed.
func (b *blame) suspect(g given) {
	b.begin(g)
	b.samples += uint64(g.lost)
	b.some = append(b.some, g)
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

// recordsOf is the records that series are of.
func recordsOf(series []convert.Series) map[uint32]suspect {
	by := make(map[uint32]suspect)
	for mark, n := range countRecords(series) {
		by[mark] = suspect{n, true}
	}
	return by
}

// hashesOf is the series of what was given up.
func hashesOf(gone []given) map[uint64]bool {
	out := make(map[uint64]bool)
	for _, g := range gone {
		for i := range g.series {
			out[hashSeries(&g.series[i])] = true
		}
	}
	return out
}
