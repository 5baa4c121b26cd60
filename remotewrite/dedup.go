package remotewrite

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"sync"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

// hashSeed is the same for all, so that hashes can be compared.
func hashSeed() maphash.Seed {
	hashing.once.Do(func() { hashing.seed = maphash.MakeSeed() })
	return hashing.seed
}

var hashing struct {
	once sync.Once
	seed maphash.Seed
}

// hashLabels hashes a sorted label set.
func hashLabels(l []group.Label) uint64 {
	var h uint64
	seed := hashSeed()
	for i := range l {
		h = bits.RotateLeft64(h, 5)*0x9e3779b97f4a7c15 ^ maphash.String(seed, l[i].Name)
		h = bits.RotateLeft64(h, 5)*0x9e3779b97f4a7c15 ^ maphash.String(seed, l[i].Value)
	}
	return h
}

// hashSeries hashes the label set of x.
func hashSeries(x *convert.Series) uint64 {
	if x.Known != nil {
		return x.Known.Hash
	}
	return hashLabels(x.Labels)
}

// sampleSet finds samples of one series with one timestamp (rule L-4). It is a
// hash table that is emptied by beginning a new generation.
type sampleSet struct {
	slots []sampleSlot // a power of two, at most half full
	used  int
	gen   uint32

	// The first record is put in when a second one comes, if its samples are known to differ:
	// a large one mostly stays alone.
	later span
}

// span is a part of the series given to compact.
type span struct{ from, to int }

type sampleSlot struct {
	hash uint64
	at   int32 // index in the series given to compact
	gen  uint32
}

// clear empties the set.
func (s *sampleSet) clear() {
	s.used, s.later = 0, span{}
	if s.gen++; s.gen == 0 {
		clear(s.slots)
		s.gen = 1
	}
}

// compact drops each sample of series[from:] whose label set and timestamp are
// in the set, and adds the others. What it returns shares memory with series,
// and indices below from stay. Those of one record whose labels differ are unlike.
func (s *sampleSet) compact(series []convert.Series, from int, unlike bool) []convert.Series {
	if unlike && s.used == 0 && s.later == (span{}) {
		s.later = span{from, len(series)}
		return series
	}
	s.grow(s.later.to - s.later.from + len(series) - from)
	for i := s.later.from; i < s.later.to; i++ {
		s.add(series, series[:i], i)
	}
	s.later = span{}
	kept := series[:from]
	for i := from; i < len(series); i++ {
		if s.add(series, kept, i) {
			kept = keep(kept, series, i)
		}
	}
	return kept
}

// add adds series[i], which will stand at the end of kept, unless it is there.
func (s *sampleSet) add(series, kept []convert.Series, i int) bool {
	x := &series[i]
	h := hashSeries(x) + uint64(x.Time)
	mask := uint64(len(s.slots) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		slot := &s.slots[at]
		if slot.gen != s.gen {
			*slot = sampleSlot{hash: h, at: int32(len(kept)), gen: s.gen}
			s.used++
			return true
		}
		if slot.hash == h && kept[slot.at].Time == x.Time && slices.Equal(kept[slot.at].Labels, x.Labels) {
			return false
		}
	}
}

// grow makes room for n more.
func (s *sampleSet) grow(n int) {
	need := 2 * (s.used + n)
	if need <= len(s.slots) {
		return
	}
	old, gen := s.slots, s.gen
	s.slots = make([]sampleSlot, 1<<bits.Len(uint(max(need, 1024))))
	s.used, s.gen = 0, 1
	mask := uint64(len(s.slots) - 1)
	for _, slot := range old {
		if slot.gen != gen {
			continue
		}
		at := slot.hash & mask
		for s.slots[at].gen == s.gen {
			at = (at + 1) & mask
		}
		s.slots[at] = sampleSlot{hash: slot.hash, at: slot.at, gen: s.gen}
		s.used++
	}
}
