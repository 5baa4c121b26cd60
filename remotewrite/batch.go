package remotewrite

import (
	"slices"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/deadletter"
	"github.com/pushbridge/pushbridge/group"
)

// batch is what goes into one request: whole records where they fit, or a part
// of one. Once it was tried it does not change: a retry sends the same bytes,
// since the receiver may have stored them without our knowing (rule R-3).
type batch struct {
	kind     kind
	into     *stretch // what becomes of it is noted there
	protocol Protocol
	series   []convert.Series // in order, the shard's own, from to to
	from, to int
	fresh    bool // begins with a record, not with the rest of one
	late     bool // samples that are not newer than their series, of one record
	parts    []part
	drops    outcome // of samples that never made it into series
	last     uint64  // sequence of the newest record in it
	shard    int
	letters  []deadletter.Letter // of what was refused, until they are on disk

	lost map[uint32]*oddRecord // by the mark of the record: what of it was sent in vain
}

// part is a record, or a part of one, in a batch.
type part struct {
	item  item
	whole bool // the record ends here

	// Of samples that never made it into series, where the record ends: how many were
	// dropped as asked for, or all by their reasons, where others are among them or none is left.
	quiet  int
	unsent *outcome
}

// done returns the sequence of the last record in b and the samples of the log up
// to there, or 0 when the record goes on in the next batch: what became of this
// part of it is noted with the rest.
func (b *batch) done() (seq, total uint64) {
	last := &b.parts[len(b.parts)-1]
	if !last.whole || last.item.kind.unstored() {
		return 0, 0
	}
	return last.item.seq, last.item.total
}

// ended counts the records that end in b.
func (b *batch) ended() int64 {
	var n int64
	for i := range b.parts {
		if b.parts[i].whole {
			n++
		}
	}
	return n
}

// newest returns the largest timestamp of its records.
func (b *batch) newest() int64 {
	var t int64
	for i := range b.parts {
		t = max(t, b.parts[i].item.record.Time)
	}
	return t
}

// small says whether b is a small push and nothing else.
func (b *batch) small() bool {
	return !b.late && len(b.parts) == 1 && len(b.series) <= smallSamples
}

const (
	smallSamples   = 100
	hopelessAfter  = 8  // single samples refused
	hopelessReplay = 3  // the same, of what was sent before a restart
	cutBudget      = 64 // requests for one refused batch, the first included
)

// groupOf returns the group of x, a series of b.
func (b *batch) groupOf(x *convert.Series) group.Labels {
	for i := range b.parts {
		if b.parts[i].item.mark == x.Record {
			return b.parts[i].item.record.Labels
		}
	}
	return nil
}

// partsOf returns the parts that series of b are from.
func (b *batch) partsOf(series []convert.Series) []part {
	marks := countRecords(series)
	return slices.DeleteFunc(slices.Clone(b.parts), func(p part) bool { return marks[p.item.mark] == 0 })
}

// middle returns where to cut series: between two records if there is such a
// place near the middle, else between two families, else in the middle.
func middle(series []convert.Series) int {
	n := len(series)
	family := 0
	for d := range n / 4 {
		for _, at := range [2]int{n/2 - d, n/2 + d} {
			if at <= 0 || at >= n {
				continue
			}
			if series[at].Time != series[at-1].Time {
				return at
			}
			if family == 0 && series[at].Family.Name != series[at-1].Family.Name {
				family = at
			}
		}
	}
	if family != 0 {
		return family
	}
	return max(n/2, 1)
}

// census counts series by what the receiver calls them.
type census struct{ samples, histograms, exemplars int }

func countSeries(series []convert.Series) census {
	var c census
	for i := range series {
		c.add(&series[i])
	}
	return c
}

func (c *census) add(x *convert.Series) {
	if native(x) {
		c.histograms++
	} else {
		c.samples++
	}
	c.exemplars += len(x.Exemplars)
}

// indexSeries is slices.IndexFunc without a copy of each series, which is large and
// would be one more allocation for each sample that is sent.
func indexSeries(series []convert.Series, f func(*convert.Series) bool) int {
	for i := range series {
		if f(&series[i]) {
			return i
		}
	}
	return -1
}
