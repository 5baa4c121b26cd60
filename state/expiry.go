package state

import (
	"container/heap"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// expiryHeap holds the groups that end of themselves, the next one first. A
// group is in it once, so that frequent pushes do not make it grow.
type expiryHeap []*entry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].expires < h[j].expires }
func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapAt, h[j].heapAt = int32(i), int32(j)
}

// Push is for container/heap.
func (h *expiryHeap) Push(x any) {
	e := x.(*entry)
	e.heapAt = int32(len(*h))
	*h = append(*h, e)
}

// Pop is for container/heap.
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.heapAt = -1
	return e
}

// scheduleLocked notes when the pending version of e ends of itself.
func (s *Store) scheduleLocked(e *entry) {
	e.expires = expires(e.pending)
	switch {
	case e.expires == 0 && e.heapAt >= 0:
		heap.Remove(&s.expiry, int(e.heapAt))
	case e.expires != 0 && e.heapAt >= 0:
		heap.Fix(&s.expiry, int(e.heapAt))
	case e.expires != 0:
		heap.Push(&s.expiry, e)
	}
}

// expires returns when g ends of itself, in ns, 0 for never.
func expires(g *group.Group) int64 {
	if g == nil {
		return 0
	}
	if t, ok := g.Expires(); ok {
		return max(1, t.UnixNano())
	}
	return 0
}

// Expire ends the groups whose time is over, all at one timestamp, and returns
// how many those were. A push that was sequenced before wins.
func (s *Store) Expire(now time.Time, enqueue func(*group.Record)) int {
	s.mu.Lock()
	var due []target
	for len(s.expiry) > 0 && s.expiry[0].expires <= now.UnixNano() {
		e := heap.Pop(&s.expiry).(*entry)
		due = append(due, target{e, e.pending})
	}
	for _, t := range due {
		s.scheduleLocked(t.entry) // until it is really deleted
	}
	s.mu.Unlock()
	n := s.deleteAll(due, now, enqueue)
	s.metrics.expired.Add(float64(n))
	return n
}

// DeleteAll ends the groups with the given keys, all at one timestamp, and
// returns how many existed. It lets pushes through in between: a group that is
// pushed meanwhile stays.
func (s *Store) DeleteAll(keys []group.Labels, now time.Time, enqueue func(*group.Record)) int {
	ids := make([]string, len(keys))
	for i, l := range keys {
		ids[i] = l.ID()
	}
	var due []target
	s.mu.Lock()
	for _, id := range ids {
		if e := s.entries[id]; e != nil && e.pending != nil {
			due = append(due, target{e, e.pending})
		}
	}
	s.mu.Unlock()
	return s.deleteAll(due, now, enqueue)
}

// Wipe ends every group that was pushed, as DeleteAll does.
func (s *Store) Wipe(now time.Time, enqueue func(*group.Record)) int {
	var due []target
	s.mu.Lock()
	for _, e := range s.slots {
		if e != nil && e.pending != nil && !e.pending.Labels.IsJob() {
			due = append(due, target{e, e.pending})
		}
	}
	s.mu.Unlock()
	return s.deleteAll(due, now, enqueue)
}

// target is a group to be deleted, unless it has another version by then.
type target struct {
	entry *entry
	was   *group.Group
}

// chunkSize is how many groups are looked at under one hold of the lock.
const chunkSize = 128

// deleteAll deletes at one shared timestamp, so that floors do not run ahead of
// the clock when many groups of one job end.
func (s *Store) deleteAll(due []target, now time.Time, enqueue func(*group.Record)) int {
	if len(due) == 0 {
		return 0
	}
	ts, n := now.UnixMilli(), 0
	s.mu.Lock()
	for _, t := range due {
		ts = max(ts, s.clock.last(t.entry)+endGap)
	}
	s.mu.Unlock()
	for len(due) > 0 {
		chunk, heft := 0, 0
		for chunk < min(chunkSize, len(due)) && heft < s.o.largeFrom {
			heft += weight(due[chunk].was)
			chunk++
		}
		n += s.deleteChunk(due[:chunk], ts, now, enqueue)
		due = due[chunk:]
	}
	return n
}

func (s *Store) deleteChunk(chunk []target, ts int64, now time.Time, enqueue func(*group.Record)) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.tidyLocked()
	n := 0
	for _, t := range chunk {
		err := s.retryLocked(func() error { return s.deleteTargetLocked(t, ts, now, enqueue) })
		if err == nil {
			n++
		}
	}
	return n
}

// deleteTargetLocked deletes a group, not before ts. It returns ErrAbsent when the
// group has another version by now.
func (s *Store) deleteTargetLocked(t target, ts int64, now time.Time, enqueue func(*group.Record)) error {
	large := s.admitLocked(t.was.ID, func() int { return weight(t.was) })
	switch {
	case t.entry.pending != t.was:
		return group.ErrAbsent
	case large:
		return s.changeLarge(t.was.ID, &group.Record{Kind: group.KindDelete, Labels: t.was.Labels}, ts, now, enqueue)
	}
	s.deleteLocked(t.entry, s.clock.stampEnd(t.entry, ts), enqueue)
	return nil
}

// makeRoomLocked ends the oldest of the groups that exist only because of
// refused pushes, when there are too many.
func (s *Store) makeRoomLocked(now time.Time, enqueue func(*group.Record)) {
	if len(s.failed) < s.o.MaxFailedGroups {
		return
	}
	var oldest *entry
	for e := range s.failed {
		if s.large != nil && s.large.entry == e {
			continue // being pushed to
		}
		if oldest == nil || e.pending.Fail < oldest.pending.Fail {
			oldest = e
		}
	}
	if oldest == nil {
		return
	}
	s.deleteLocked(oldest, s.clock.stamp(oldest, oldest.pending.Labels, now, stamp{ends: true}), enqueue)
}
