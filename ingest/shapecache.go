package ingest

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pushbridge/pushbridge/group"
)

// shapeCache knows bodies that were parsed before. A job pushes the same series
// again and again, only their values change: a body whose skeleton is known needs
// no parsing, no checks of names and labels, and no new shape. Everything else is
// the full parser's, so whatever a body means, or is refused for, is decided in
// one place.
//
// A body is taken in when it comes for the second time; the first costs a look
// and a hash. What is not asked for is forgotten, a generation at a time.
type shapeCache struct {
	keys  skeletonKeys
	limit int64                           // bytes of both generations; 0: the cache is off
	share func(*group.Shape) *group.Shape // returns the equal shape that the state has, so that both hold one
	scans sync.Pool                       // of *takenApart

	mu      sync.Mutex
	young   map[skeletonHash]*knownBody
	old     map[skeletonHash]*knownBody
	size    int64 // of young
	oldSize int64
	seen    map[skeletonHash]struct{} // came once
	seenOld map[skeletonHash]struct{}

	hits   atomic.Uint64
	misses atomic.Uint64 // of bodies that can be taken apart
}

// knownBody is how the values of a body become those of a part.
type knownBody struct {
	shape   atomic.Pointer[group.Shape]
	slots   []slot
	created []createdSlots
	size    int64
}

// slot says where a number of a part comes from.
type slot struct {
	value   int32  // number of the body's value; noValue for one that always is the same
	integer bool   // a float that the parser makes a whole number
	fixed   uint64 // with noValue
}

const noValue = -1

// createdSlots are those of a created timestamp.
type createdSlots struct {
	metric         uint32
	seconds, nanos slot
}

// probeBase is the first value of a probe. Each value of it is a number of its own,
// so that the slot that the parser puts it in tells what became of it; also of what
// is kept in 32 bits only. Nothing else that a body can bring into a part is the same.
const (
	probeBase   = 1<<40 + probeBase32
	probeBase32 = 1 << 29
)

// maxSeen bounds how many bodies are remembered that came once, per generation.
const maxSeen = 32768

func newShapeCache(limit int64, share func(*group.Shape) *group.Shape) *shapeCache {
	c := &shapeCache{keys: newSkeletonKeys(), limit: limit, share: share}
	c.young, c.old = map[skeletonHash]*knownBody{}, map[skeletonHash]*knownBody{}
	c.seen, c.seenOld = map[skeletonHash]struct{}{}, map[skeletonHash]struct{}{}
	c.scans.New = func() any { return new(takenApart) }
	return c
}

// maxScanned is the largest body that is looked at: taking one apart needs its size in
// memory once more, which nobody is charged for.
const maxScanned = 4 << 20

// part returns the part that full makes of a body, from memory where it can.
func (c *shapeCache) part(f scanner, body []byte, full func([]byte) (*group.Part, error)) (*group.Part, error) {
	if c.limit <= 0 || len(body) > maxScanned {
		return full(body)
	}
	s := c.scans.Get().(*takenApart)
	defer c.scans.Put(s)
	if !f.scan(s, body) {
		return full(body)
	}
	h := c.keys.hash(s.skeleton)
	known, again := c.look(h)
	if known != nil {
		if p := known.part(s.values); p != nil {
			if c.hits.Add(1)%shareEvery == 0 {
				known.shape.Store(c.share(p.Shape))
			}
			return p, nil
		}
	}
	c.misses.Add(1)
	p, err := full(body)
	if err == nil && again {
		if known := learn(f, s, body, p, full); known != nil {
			p.Shape = c.share(p.Shape)
			known.shape.Store(p.Shape)
			c.keep(h, known)
		}
	}
	return p, err
}

// shareEvery is how many hits lie between two questions whether the state has a shape of its own by
// now: a body may have come again before it was there, and each push of it would be compared with
// that shape, series by series.
const shareEvery = 64

// part returns the part with these values, nil when one of them would make
// another shape of the body.
func (k *knownBody) part(values []uint64) *group.Part {
	p := &group.Part{Shape: k.shape.Load(), Values: make([]uint64, len(k.slots))}
	for i, s := range k.slots {
		v, ok := s.of(values)
		if !ok {
			return nil
		}
		p.Values[i] = v
	}
	if len(k.created) > 0 {
		p.Created = make([]group.Created, len(k.created))
	}
	for i, c := range k.created {
		seconds, _ := c.seconds.of(values)
		nanos, _ := c.nanos.of(values)
		p.Created[i] = group.Created{Metric: c.metric, Seconds: int64(seconds), Nanos: int32(nanos)}
	}
	return p
}

// of returns what the slot holds, and whether it can.
func (s slot) of(values []uint64) (uint64, bool) {
	if s.value == noValue {
		return s.fixed, true
	}
	bits := values[s.value]
	if !s.integer {
		return bits, true
	}
	v := math.Float64frombits(bits)
	n := uint64(v)
	return n, v >= 0 && v < 1<<53 && float64(n) == v && !math.Signbit(v)
}

// learn finds out where the values of a body end up, by having a probe of it parsed.
// It returns nil when that cannot be told, or would not give p for the body itself.
func learn(f scanner, s *takenApart, body []byte, p *group.Part, full func([]byte) (*group.Part, error)) *knownBody {
	if len(p.Natives)+len(p.Exemplars)+len(p.Times) > 0 {
		return nil
	}
	probed, err := full(f.probe(s, body))
	if err != nil || !probed.Shape.Equal(p.Shape) || len(probed.Times) > 0 || len(probed.Created) != len(p.Created) {
		return nil
	}
	k := &knownBody{slots: make([]slot, len(p.Values))}
	k.shape.Store(p.Shape)
	for i, v := range probed.Values {
		k.slots[i] = s.slotOf(v, p.Values[i])
	}
	for i, c := range probed.Created {
		k.created = append(k.created, createdSlots{
			metric:  c.Metric,
			seconds: s.slotOf(uint64(c.Seconds), uint64(p.Created[i].Seconds)),
			nanos:   s.slotOf32(c.Nanos, p.Created[i].Nanos),
		})
	}
	if same := k.part(s.values); same == nil || !slices.Equal(same.Values, p.Values) || !slices.Equal(same.Created, p.Created) {
		return nil
	}
	return k
}

// slotOf says where a slot comes from that holds probed in a probe, and actual in
// the body itself.
func (s *takenApart) slotOf(probed, actual uint64) slot {
	if n := probed - probeBase; n < uint64(len(s.values)) {
		return slot{value: int32(n), integer: !s.whole[n]}
	}
	if n := math.Float64frombits(probed) - probeBase; n >= 0 && n < float64(len(s.values)) && !s.whole[int(n)] {
		return slot{value: int32(n)}
	}
	return slot{value: noValue, fixed: actual}
}

// slotOf32 is slotOf for whole numbers that are kept in 32 bits.
func (s *takenApart) slotOf32(probed, actual int32) slot {
	if n := uint32(probed) - probeBase32; int64(n) < int64(len(s.values)) && s.whole[n] {
		return slot{value: int32(n)}
	}
	return slot{value: noValue, fixed: uint64(actual)}
}

// look returns what is known of a body, and otherwise whether it came before and
// is to be taken in.
func (c *shapeCache) look(h skeletonHash) (k *knownBody, again bool) {
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

// moveLocked takes a body that is asked for into the young generation.
func (c *shapeCache) moveLocked(h skeletonHash, k *knownBody) {
	delete(c.old, h)
	c.oldSize -= k.size
	c.addLocked(h, k)
}

// cameLocked reports whether a body came before, and remembers it.
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

// keep takes a body in.
func (c *shapeCache) keep(h skeletonHash, k *knownBody) {
	k.size = int64(16*len(k.slots)+40*len(k.created)+k.shape.Load().Bytes()) + knownBodyCost
	if k.size > c.limit/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young[h] == nil {
		c.addLocked(h, k)
	}
}

// knownBodyCost is what a body costs beside its slots and its shape: its place in
// a map.
const knownBodyCost = 128

func (c *shapeCache) addLocked(h skeletonHash, k *knownBody) {
	if c.size+k.size > c.limit/2 {
		c.young, c.old = map[skeletonHash]*knownBody{}, c.young
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
