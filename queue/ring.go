package queue

import (
	"sort"
	"sync"
)

// ring holds the newest published records decoded, bounded by bytes, for all
// readers that keep up. What all of them have read stays within a smaller bound, for
// readers that come, or come back, a moment later. Positions count items from the first one ever
// published, so a reader notices that its position was evicted.
type ring[R any] struct {
	limit int64
	spare int64 // of what every reader has read

	mu        sync.Mutex
	items     []ringItem[R] // oldest first, the end of array
	array     []ringItem[R] // what stands in front of items is empty
	start     uint64        // position of items[0]
	bytes     int64
	base      uint64 // every published record with a larger sequence is here
	baseTotal uint64 // samples of all records up to base
	head      uint64 // sequence of the last published record
	headTotal uint64
	reading   map[any]uint64 // where each attached reader is
	skipped   skips          // ephemeral records ever published
	wake      chan struct{}  // closed and replaced when something is published
}

// ringItem is a published record with what readers need for their books.
type ringItem[R any] struct {
	Item[R]
	size    int64
	total   uint64 // samples of all stored records up to this one
	samples uint64
	skipped skips // ephemeral records published up to this one
}

// skips counts ephemeral records and their samples.
type skips struct{ records, samples uint64 }

func (s skips) minus(o skips) skips { return skips{s.records - o.records, s.samples - o.samples} }

func (s skips) plus(o skips) skips { return skips{s.records + o.records, s.samples + o.samples} }

func newRing[R any](limit, spare int64, head, total uint64) *ring[R] {
	return &ring[R]{
		limit: limit, spare: min(limit, spare), base: head, baseTotal: total, head: head, headTotal: total,
		reading: make(map[any]uint64), wake: make(chan struct{}),
	}
}

// publish appends items, evicts the oldest beyond the limit, and wakes readers.
func (g *ring[R]) publish(items []ringItem[R]) {
	if len(items) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, it := range items {
		if !it.Ephemeral {
			g.head, g.headTotal = it.Seq, it.total
		}
		g.bytes += it.size
		g.skipped = it.skipped
	}
	g.appendLocked(items)
	g.evictLocked()
	close(g.wake)
	g.wake = make(chan struct{})
}

// appendLocked appends items. They stay in one array while they take an eighth to three quarters of it.
func (g *ring[R]) appendLocked(items []ringItem[R]) {
	if need, size := len(g.items)+len(items), len(g.array); cap(g.items) < need {
		front := size - cap(g.items)
		if need < size/8 || need > size/4*3 {
			g.array, front = make([]ringItem[R], need+need/2), need
		}
		n := copy(g.array, g.items)
		clear(g.array[max(n, front):])
		g.items = g.array[:n]
	}
	g.items = append(g.items, items...)
}

// evictLocked drops the oldest items until the rest fits, and what is unread does. One item always stays,
// so that without a disk a record larger than the ring still reaches readers.
func (g *ring[R]) evictLocked() {
	if g.bytes <= g.spare {
		return
	}
	n, unread := 0, g.unreadLocked()
	for n < len(g.items)-1 && (g.bytes > g.limit || g.bytes > g.spare && g.start+uint64(n) < unread) {
		it := &g.items[n]
		g.bytes -= it.size
		if !it.Ephemeral {
			g.base, g.baseTotal = it.Seq, it.total
		}
		*it = ringItem[R]{} // lets go of the record
		n++
	}
	g.start += uint64(n)
	g.items = g.items[n:]
}

// unreadLocked returns the position of the first item that some reader has not read.
func (g *ring[R]) unreadLocked() uint64 {
	first := g.start + uint64(len(g.items))
	for _, pos := range g.reading {
		first = min(first, pos)
	}
	return first
}

// leave says that a reader reads elsewhere.
func (g *ring[R]) leave(reader any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.reading, reader)
}

// attach finds the position behind the record seq. It fails when records behind
// seq were evicted. Ephemeral records directly behind seq are passed over: who
// attaches has got the state up to seq from elsewhere, perhaps newer than them.
func (g *ring[R]) attach(seq uint64) (pos uint64, passed skips, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if seq < g.base {
		return 0, skips{}, false
	}
	n := g.searchLocked(seq)
	if n < len(g.items) {
		return g.start + uint64(n), g.beforeLocked(n), true
	}
	return g.start + uint64(n), g.skipped, true
}

// searchLocked returns the index of the first item with a larger sequence.
func (g *ring[R]) searchLocked(seq uint64) int {
	return sort.Search(len(g.items), func(i int) bool { return g.items[i].Seq > seq })
}

// beforeLocked returns the ephemeral records published before item n, which is
// never an ephemeral one when it follows a search.
func (g *ring[R]) beforeLocked(n int) skips { return g.items[n].skipped }

// emitted returns the ephemeral records published so far.
func (g *ring[R]) emitted() skips {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.skipped
}

// at returns the item at pos, and notes that the reader has read all before it. Without
// one it returns a channel that is closed at the next publication, and what everybody has read
// goes. evicted means that pos is gone, and the reader with it.
func (g *ring[R]) at(reader any, pos uint64) (it ringItem[R], wake <-chan struct{}, evicted bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reading[reader] = pos
	switch {
	case pos < g.start:
		delete(g.reading, reader)
		return it, nil, true
	case pos-g.start < uint64(len(g.items)):
		return g.items[pos-g.start], nil, false
	}
	g.evictLocked() // nothing may be published for long
	return it, g.wake, false
}

// more returns a channel that is closed at the next publication.
func (g *ring[R]) more() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wake
}

// oldest returns up to which record everything was evicted, and the books there.
func (g *ring[R]) oldest() (base, total uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.base, g.baseTotal
}

// end returns the last published record, and the books there.
func (g *ring[R]) end() (seq, total uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.head, g.headTotal
}

// totalAt returns the samples of all records up to seq, when the ring knows.
func (g *ring[R]) totalAt(seq uint64) (uint64, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case seq >= g.head:
		return g.headTotal, true
	case seq == g.base:
		return g.baseTotal, true
	case seq < g.base:
		return 0, false
	}
	// Behind base and before head, so the item before the found one exists unless
	// seq lies in a failed range directly behind base.
	n := g.searchLocked(seq)
	if n == 0 {
		return g.baseTotal, true
	}
	return g.items[n-1].total, true
}

// bytesBehind returns the bytes of items behind seq.
func (g *ring[R]) bytesBehind(seq uint64) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := int64(0)
	for _, it := range g.items[g.searchLocked(seq):] {
		n += it.size
	}
	return n
}

// size returns what the ring holds.
func (g *ring[R]) size() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bytes
}
