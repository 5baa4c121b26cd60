package state

import (
	"math/rand/v2"
	"testing"
)

func TestSlotTable(t *testing.T) {
	for _, mask := range []uint64{^uint64(0), 0xff, 0x7ff00000000, 0x3} {
		r := rand.New(rand.NewPCG(mask, 2))
		var table slotTable
		want := map[uint64]uint32{}
		var keys []uint64
		for step := range 60_000 {
			grow := step/10_000%2 == 0
			if h := r.Uint64() & mask; grow || r.IntN(4) == 0 {
				slot := uint32(r.IntN(9))
				_, ok := want[h]
				if table.add(h, slot) == ok {
					t.Fatalf("add %x: it was there: %v", h, ok)
				}
				if ok {
					table.replace(h, slot)
				} else {
					keys = append(keys, h)
				}
				want[h] = slot
			}
			if n := len(keys); n > 0 && (!grow || r.IntN(4) == 0) {
				i := r.IntN(n)
				table.remove(keys[i])
				delete(want, keys[i])
				keys[i] = keys[n-1]
				keys = keys[:n-1]
			}
			if h := r.Uint64() & mask; want[h] == 0 {
				if _, ok := want[h]; !ok {
					table.remove(h)
				}
			}
		}
		n := 0
		table.all(func(h uint64, slot uint32) bool {
			n++
			if got, ok := want[h]; !ok || got != slot {
				t.Errorf("mask %x: %x has slot %d, want %d %v", mask, h, slot, got, ok)
			}
			return !t.Failed()
		})
		if n != len(want) || table.len() != len(want) {
			t.Errorf("mask %x: %d entries, says %d, want %d", mask, n, table.len(), len(want))
		}
		for h, slot := range want {
			if got, ok := table.get(h); !ok || got != slot {
				t.Fatalf("mask %x: get %x: %d %v, want %d", mask, h, got, ok, slot)
			}
		}
	}
}

// all calls f for each entry.
func (t *slotTable) all(f func(h uint64, slot uint32) bool) {
	for i := range t.shards {
		s := &t.shards[i]
		for j, slot := range s.slots {
			if slot != emptySlot && !f(s.hashes[j], slot) {
				return
			}
		}
	}
}
