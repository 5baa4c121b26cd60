package state

import (
	"iter"
	"sync/atomic"

	"github.com/pushbridge/pushbridge/group"
)

// entry is the place of one group. All fields are guarded by the store's lock.
type entry struct {
	id        string // Labels.ID
	slot      uint32
	held      bool         // a large change works on the group, see gate
	inFlight  int32        // records enqueued and not yet folded in, see pendingQueue
	pending   *group.Group // newest sequenced version; nil: absent
	committed *group.Group // newest durable version; nil: absent
	last      int64        // timestamp of the last record, that of failed commits and refreshes included

	expires int64 // in ns, 0 for never; see expiryHeap
	heapAt  int32 // place in the heap, -1 for none

	rules  *group.Rules // that policy was looked up in
	policy group.Policy // see policyBy
}

// table has the place of every group, by ID and by slot number, and keeps in step what
// follows from each pending version alone: which shapes and how many samples there are,
// which groups exist only because of refused pushes, and when each ends of itself. What follows from
// all groups together is in the index, which set leaves alone.
//
// An entry stays while its group has a pending or a committed version, a record in
// flight, or a large change at work. Its slot belongs to it for that time.
//
// Slot numbers go by refresh slots: the remainder of one is the refresh slot of its group, so
// that the groups of that are found without a look at the others.
//
// The store's lock guards all of it, but for shapes, which have a lock of their own, and
// samples, which is only written under it.
type table struct {
	entries map[string]*entry   // by ID
	slots   []*entry            // by slot number, nil for free ones; slot 0 stands for the gateway itself
	next    [RefreshSlots]slots // by refresh slot: where the next groups go
	shapes  group.Shapes        // of all pending versions
	failed  map[*entry]struct{} // pending is failedOnly
	expiry  expiryHeap
	samples atomic.Int64 // of all pending versions
}

// slots are slot numbers with the same remainder.
type slots struct {
	free []uint32 // given back
	used uint32   // ever given out, number 0 among them
}

func (t *table) reset() {
	t.entries = map[string]*entry{}
	t.slots, t.next = []*entry{nil}, [RefreshSlots]slots{{used: 1}}
	t.shapes.Clear()
	t.failed, t.expiry = map[*entry]struct{}{}, nil
	t.samples.Store(0)
}

// all goes through the entries by slot number. Those that come to be meanwhile may be left out.
func (t *table) all() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for _, e := range t.slots {
			if e != nil && !yield(e) {
				return
			}
		}
	}
}

// newest returns the pending version of a group, nil when it is absent.
func (t *table) newest(id string) *group.Group {
	if e := t.entries[id]; e != nil {
		return e.pending
	}
	return nil
}

// slotOf returns the slot of a group, noSlot when there is none.
func (t *table) slotOf(id string) uint32 {
	if e := t.entries[id]; e != nil {
		return e.slot
	}
	return noSlot
}

// labelsOf returns the labels of the group in a slot, nil for none.
func (t *table) labelsOf(slot uint32) group.Labels {
	if e := t.slots[slot]; e != nil && e.pending != nil {
		return e.pending.Labels
	}
	return nil
}

// place returns the entry of an ID, making it when there is none.
func (t *table) place(id string) *entry {
	e := t.entries[id]
	if e != nil {
		return e
	}
	e = &entry{id: id, heapAt: -1}
	at := slotOfID(id)
	s := &t.next[at]
	if n := len(s.free); n > 0 {
		e.slot, s.free = s.free[n-1], s.free[:n-1]
	} else {
		e.slot = uint32(at) + s.used*RefreshSlots
		s.used++
	}
	if n := int(e.slot) + 1 - len(t.slots); n > 0 {
		t.slots = append(t.slots, make([]*entry, n)...)
	}
	t.slots[e.slot] = e
	t.entries[id] = e
	return e
}

// set makes g the pending version of e.
func (t *table) set(e *entry, g *group.Group) {
	if e.pending != nil {
		t.samples.Add(-int64(e.pending.Samples()))
	}
	t.shapes.Replace(e.pending, g)
	e.pending = g
	delete(t.failed, e)
	if g != nil {
		t.samples.Add(int64(g.Samples()))
		if failedOnly(g) {
			t.failed[e] = struct{}{}
		}
	}
	e.expires = expires(g)
	t.expiry.schedule(e)
}

// drop removes an entry that stands for nothing any more, unless that was done before.
func (t *table) drop(e *entry) {
	if e.pending != nil || e.committed != nil || e.inFlight > 0 || e.held || t.slots[e.slot] != e {
		return
	}
	delete(t.entries, e.id)
	t.slots[e.slot] = nil
	s := &t.next[e.slot%RefreshSlots]
	s.free = append(s.free, e.slot)
}

// oldestFailed returns the oldest of the groups that exist only because of refused
// pushes, but for one that is being pushed to; nil for none.
func (t *table) oldestFailed() *entry {
	var oldest *entry
	for e := range t.failed {
		if !e.held && (oldest == nil || e.pending.Fail < oldest.pending.Fail) {
			oldest = e
		}
	}
	return oldest
}

// failedOnly reports whether g exists only because a push was refused.
func failedOnly(g *group.Group) bool { return g.Push == 0 && len(g.Members) == 0 }
