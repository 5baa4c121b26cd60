package e2e

import (
	"hash/maphash"
	"sync"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
)

// judge follows every series of a receiver, with little memory: whether its
// samples are in order, how far apart they are, and how often it ended.
type judge struct {
	seed maphash.Seed

	mu         sync.Mutex
	series     map[uint64]followed
	disordered int   // samples not newer than the one before
	endedTwice int   // markers of a series that had ended
	gap        int64 // the longest time between two samples of a series, in ms
}

type followed struct {
	last  int64
	ended bool
}

func newJudge() *judge {
	return &judge{seed: maphash.MakeSeed(), series: map[uint64]followed{}}
}

func (j *judge) see(labels []prompb.Label, samples []prompb.Sample) {
	var h maphash.Hash
	h.SetSeed(j.seed)
	for _, l := range labels {
		_, _ = h.WriteString(l.Name + "\xff" + l.Value + "\xff")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	f, known := j.series[h.Sum64()]
	for _, s := range samples {
		stale := value.IsStaleNaN(s.Value)
		if known && s.Timestamp <= f.last {
			j.disordered++
		}
		if known && !f.ended {
			j.gap = max(j.gap, s.Timestamp-f.last)
		}
		if stale && f.ended {
			j.endedTwice++
		}
		f, known = followed{last: s.Timestamp, ended: stale}, true
	}
	j.series[h.Sum64()] = f
}

// longestGap returns the longest time between two samples of a series, in ms.
func (j *judge) longestGap() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.gap
}

// alive counts the series that have not ended.
func (j *judge) alive() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, f := range j.series {
		if !f.ended {
			n++
		}
	}
	return n
}
