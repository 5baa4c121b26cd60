package state

// slotTable maps hashes to slot numbers in some sixteen bytes each, where a Go
// map takes forty. Its keys are keyed hashes already, so it does not hash them
// again. It is cut into shards that grow one at a time and by a quarter: no push
// waits for a million entries to move.
type slotTable struct {
	shards [tableShards]tableShard
	used   int
}

const tableShards = 256

// tableShard is an open-addressing table with linear probing.
type tableShard struct {
	hashes []uint64
	slots  []uint32 // emptySlot where there is nothing
	used   int
}

// emptySlot is no slot's number.
const emptySlot = ^uint32(0)

// home is the place where h belongs: ascending with the upper bits of h, so that
// a table need not have a power of two places.
func (s *tableShard) home(h uint64) int {
	return int((h >> 32) * uint64(len(s.slots)) >> 32)
}

// find returns the place of h, or the empty place where it would go.
func (s *tableShard) find(h uint64) int {
	i := s.home(h)
	for s.slots[i] != emptySlot && s.hashes[i] != h {
		if i++; i == len(s.slots) {
			i = 0
		}
	}
	return i
}

func (t *slotTable) shard(h uint64) *tableShard { return &t.shards[h%tableShards] }

func (t *slotTable) len() int { return t.used }

func (t *slotTable) get(h uint64) (uint32, bool) {
	s := t.shard(h)
	if s.used == 0 {
		return 0, false
	}
	slot := s.slots[s.find(h)]
	return slot, slot != emptySlot
}

// add maps h to slot, unless h is there already, and reports whether it did.
func (t *slotTable) add(h uint64, slot uint32) bool {
	s := t.shard(h)
	if s.used*4 >= len(s.slots)*3 { // fuller tables probe for long
		s.resize(len(s.slots) + len(s.slots)/4 + 8)
	}
	i := s.find(h)
	if s.slots[i] != emptySlot {
		return false
	}
	s.used++
	t.used++
	s.hashes[i], s.slots[i] = h, slot
	return true
}

// replace maps h, which is there, to slot.
func (t *slotTable) replace(h uint64, slot uint32) {
	s := t.shard(h)
	s.slots[s.find(h)] = slot
}

func (t *slotTable) remove(h uint64) {
	s := t.shard(h)
	if s.used == 0 {
		return
	}
	i := s.find(h)
	if s.slots[i] == emptySlot {
		return
	}
	s.used--
	t.used--
	s.closeGap(i)
	if n := len(s.slots); n > 64 && s.used*3 < n {
		s.resize(n / 2)
	}
}

// closeGap empties place i and moves up what was pushed away from its home by
// what stood there.
func (s *tableShard) closeGap(i int) {
	n := len(s.slots)
	for j := i; ; {
		if j++; j == n {
			j = 0
		}
		if s.slots[j] == emptySlot {
			break
		}
		// The entry at j may move to i unless its home lies behind i.
		if back, gap := (j-s.home(s.hashes[j])+n)%n, (j-i+n)%n; back >= gap {
			s.hashes[i], s.slots[i] = s.hashes[j], s.slots[j]
			i = j
		}
	}
	s.slots[i] = emptySlot
}

func (s *tableShard) resize(n int) {
	old := *s
	s.hashes, s.slots = make([]uint64, n), make([]uint32, n)
	for i := range s.slots {
		s.slots[i] = emptySlot
	}
	for i, slot := range old.slots {
		if slot != emptySlot {
			at := s.find(old.hashes[i])
			s.hashes[at], s.slots[at] = old.hashes[i], slot
		}
	}
}
