package ingest

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/pushbridge/pushbridge/group"
)

// shapeCache knows texts that were parsed before. A job pushes the same series
// again and again, only their values change: a text whose skeleton is known needs
// no parsing, no checks of names and labels, and no new shape. Everything else is
// the full parser's, so whatever a text means, or is refused for, is decided in
// one place.
//
// A text is taken in when it comes for the second time; the first costs a look
// and a hash. What is not asked for is forgotten, a generation at a time.
type shapeCache struct {
	keys  skeletonKeys
	limit int64                           // bytes of both generations; 0: the cache is off
	share func(*group.Shape) *group.Shape // returns the equal shape that the state has, so that both hold one
	scans sync.Pool                       // of *textScan

	mu      sync.Mutex
	young   map[skeletonHash]*knownText
	old     map[skeletonHash]*knownText
	size    int64 // of young
	oldSize int64
	seen    map[skeletonHash]struct{} // came once
	seenOld map[skeletonHash]struct{}

	hits   atomic.Uint64
	misses atomic.Uint64 // of texts that can be taken apart
}

// knownText is how the values of a text become a value column.
type knownText struct {
	shape *group.Shape
	slots []valueSlot
	size  int64
}

// valueSlot says where a slot of the value column comes from.
type valueSlot struct {
	line  int32  // number of the sample's line; noLine for a slot that always is the same
	whole bool   // the slot holds an integer, otherwise float bits
	fixed uint64 // with noLine
}

const noLine = -1

// probeBase is the first value of a probe. Each line of it has a number of its
// own, so that the slot that the parser puts it in tells what became of the line;
// nothing else that a text can bring into the column is as large.
const probeBase = 1 << 40

// maxSeen bounds how many texts are remembered that came once, per generation.
const maxSeen = 32768

func newShapeCache(limit int64, share func(*group.Shape) *group.Shape) *shapeCache {
	c := &shapeCache{keys: newSkeletonKeys(), limit: limit, share: share}
	c.young, c.old = map[skeletonHash]*knownText{}, map[skeletonHash]*knownText{}
	c.seen, c.seenOld = map[skeletonHash]struct{}{}, map[skeletonHash]struct{}{}
	c.scans.New = func() any { return new(textScan) }
	return c
}

// part returns the part that full makes of text, from memory where it can.
func (c *shapeCache) part(text []byte, full func([]byte) (*group.Part, error)) (*group.Part, error) {
	if c.limit <= 0 {
		return full(text)
	}
	s := c.scans.Get().(*textScan)
	defer c.scans.Put(s)
	if !s.scan(text) {
		return full(text)
	}
	h := c.keys.hash(s.skeleton)
	known, again := c.look(h)
	if known != nil {
		if p := known.part(s.values); p != nil {
			c.hits.Add(1)
			return p, nil
		}
	}
	c.misses.Add(1)
	p, err := full(text)
	if err == nil && again {
		if slots := slotsOf(s, p, full); slots != nil {
			p.Shape = c.share(p.Shape)
			c.keep(h, &knownText{shape: p.Shape, slots: slots})
		}
	}
	return p, err
}

// part returns the part with these values, nil when one of them would make
// another shape of the text.
func (k *knownText) part(values []float64) *group.Part {
	column := make([]uint64, len(k.slots))
	for i, s := range k.slots {
		v, ok := s.of(values)
		if !ok {
			return nil
		}
		column[i] = v
	}
	return &group.Part{Shape: k.shape, Values: column}
}

// of returns the slot's content.
func (s valueSlot) of(values []float64) (uint64, bool) {
	if s.line == noLine {
		return s.fixed, true
	}
	v := values[s.line]
	if !s.whole {
		return math.Float64bits(v), true
	}
	n := uint64(v)
	return n, v >= 0 && v < 1<<53 && float64(n) == v && !math.Signbit(v)
}

// slotsOf finds out where the values of a text end up, by having a probe of it
// parsed. It returns nil when that cannot be told, or would not give p for the
// text itself.
func slotsOf(s *textScan, p *group.Part, full func([]byte) (*group.Part, error)) []valueSlot {
	if len(p.Natives)+len(p.Exemplars)+len(p.Created)+len(p.Times) > 0 {
		return nil
	}
	probed, err := full(s.probe())
	if err != nil || !probed.Shape.Equal(p.Shape) || len(probed.Times) > 0 {
		return nil
	}
	slots := make([]valueSlot, len(p.Values))
	for i, v := range probed.Values {
		slots[i] = slotOf(v, p.Values[i], len(s.values))
		if got, ok := slots[i].of(s.values); !ok || got != p.Values[i] {
			return nil
		}
	}
	return slots
}

// slotOf says where a slot with the content probed comes from, in a text of so
// many lines.
func slotOf(probed, actual uint64, lines int) valueSlot {
	if n := probed - probeBase; n < uint64(lines) {
		return valueSlot{line: int32(n), whole: true}
	}
	if n := math.Float64frombits(probed) - probeBase; n >= 0 && n < float64(lines) {
		return valueSlot{line: int32(n)}
	}
	return valueSlot{line: noLine, fixed: actual}
}

// look returns what is known of a text, and otherwise whether it came before and
// is to be taken in.
func (c *shapeCache) look(h skeletonHash) (k *knownText, again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.young[h]; k != nil {
		return k, false
	}
	if k := c.old[h]; k != nil {
		c.moveLocked(h, k)
		return k, false
	}
	return nil, c.cameLocked(h)
}

// moveLocked takes a text that is asked for into the young generation.
func (c *shapeCache) moveLocked(h skeletonHash, k *knownText) {
	delete(c.old, h)
	c.oldSize -= k.size
	c.addLocked(h, k)
}

// cameLocked reports whether a text came before, and remembers it.
func (c *shapeCache) cameLocked(h skeletonHash) bool {
	if _, ok := c.seen[h]; ok {
		return true
	}
	if len(c.seen) >= maxSeen {
		c.seen, c.seenOld = c.seenOld, c.seen
		clear(c.seen)
	}
	c.seen[h] = struct{}{}
	_, ok := c.seenOld[h]
	return ok
}

// keep takes a text in.
func (c *shapeCache) keep(h skeletonHash, k *knownText) {
	k.size = int64(16*len(k.slots)+k.shape.Bytes()) + knownTextCost
	if k.size > c.limit/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young[h] == nil {
		c.addLocked(h, k)
	}
}

// knownTextCost is what a text costs beside its slots and its shape: its place in
// a map.
const knownTextCost = 128

func (c *shapeCache) addLocked(h skeletonHash, k *knownText) {
	if c.size+k.size > c.limit/2 {
		c.young, c.old = map[skeletonHash]*knownText{}, c.young
		c.size, c.oldSize = 0, c.size
	}
	c.young[h] = k
	c.size += k.size
}

// shapeCacheStats are for metrics.
type shapeCacheStats struct {
	hits, misses uint64
	texts        int
	bytes        int64
}

func (c *shapeCache) stats() shapeCacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return shapeCacheStats{hits: c.hits.Load(), misses: c.misses.Load(), texts: len(c.young) + len(c.old), bytes: c.size + c.oldSize}
}
