package remotewrite

import (
	"math/bits"

	"github.com/pushbridge/pushbridge/convert"
)

// sentExemplars remembers, for each series, the newest exemplar that the receiver
// took: a push repeats old ones (rule E-3). It is a small cache. What falls out of
// it is sent once more, which is harmless.
type sentExemplars struct {
	slots []exemplarSlot
	gen   uint32 // of what is converted at present
}

type exemplarSlot struct {
	hash    uint64
	taken   int64 // time of the newest that was taken
	tried   int64 // of the newest that is on its way in generation gen
	gen     uint32
	refused uint64 // mark of those that were refused last: they are not tried again
}

const exemplarSlots = 1 << 14

// filtered are the exemplars of a series: those to be sent, and how many are not.
type filtered struct {
	fresh   []convert.Exemplar
	repeats int
	ahead   int // of the clock: the receiver would take no other one until then
}

// filter returns the exemplars of x that are newer than those before, and not
// after limit.
func (s *sentExemplars) filter(x *convert.Series, limit int64) filtered {
	slot := s.slot(x)
	newest := slot.taken
	if slot.gen == s.gen {
		newest = max(newest, slot.tried)
	}
	f := filtered{fresh: x.Exemplars[:0]}
	for _, e := range x.Exemplars {
		switch {
		case e.Time > limit:
			f.ahead++
		case e.Time <= newest:
			f.repeats++
		default:
			newest = e.Time
			f.fresh = append(f.fresh, e)
		}
	}
	if len(f.fresh) > 0 && slot.refused == markOf(f.fresh) {
		f.repeats += len(f.fresh)
		f.fresh = nil
		return f
	}
	slot.tried, slot.gen = newest, s.gen
	return f
}

// slot returns the slot of x, empty if another series had it.
func (s *sentExemplars) slot(x *convert.Series) *exemplarSlot {
	if s.slots == nil {
		s.slots = make([]exemplarSlot, exemplarSlots)
	}
	h := hashSeries(x)
	slot := &s.slots[h%exemplarSlots]
	if slot.hash != h {
		*slot = exemplarSlot{hash: h}
	}
	return slot
}

// forget takes back what was converted and perhaps not sent: it will be converted
// again, or was refused.
func (s *sentExemplars) forget() { s.gen++ }

// settled notes what became of those of series. Refused ones are not tried again;
// but one that is ahead of its sample does not stand in the way of later ones,
// which come before it.
func (s *sentExemplars) settled(series []convert.Series, taken bool) {
	for i := range series {
		x := &series[i]
		if len(x.Exemplars) == 0 {
			continue
		}
		slot := s.slot(x)
		if !taken {
			slot.refused = markOf(x.Exemplars)
		}
		for _, e := range x.Exemplars {
			if taken || e.Time <= x.Time {
				slot.taken = max(slot.taken, e.Time)
			}
		}
	}
}

// markOf tells lists of exemplars apart, by their times. It is never 0.
func markOf(l []convert.Exemplar) uint64 {
	h := uint64(1)
	for i := range l {
		h = bits.RotateLeft64(h, 5)*0x9e3779b97f4a7c15 ^ uint64(l[i].Time)
	}
	return max(h, 1)
}
