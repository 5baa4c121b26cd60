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

// schedule notes that e.expires may have changed.
func (h *expiryHeap) schedule(e *entry) {
	switch {
	case e.expires == 0 && e.heapAt >= 0:
		heap.Remove(h, int(e.heapAt))
	case e.expires != 0 && e.heapAt >= 0:
		heap.Fix(h, int(e.heapAt))
	case e.expires != 0:
		heap.Push(h, e)
	}
}

// due returns the groups whose time is over. They stay until they are really deleted.
func (h *expiryHeap) due(now time.Time) []*entry {
	var due []*entry
	for len(*h) > 0 && (*h)[0].expires <= now.UnixNano() {
		due = append(due, heap.Pop(h).(*entry))
	}
	for _, e := range due {
		h.schedule(e)
	}
	return due
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
