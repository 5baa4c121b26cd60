package group

import (
	"hash/maphash"
	"slices"
	"sync"
	"weak"
)

// Shapes shares equal shapes: the same job on a thousand machines pushes the
// same shape. It holds them weakly, so a shape lives as long as a part has it.
type Shapes struct {
	mu    sync.Mutex
	byKey map[uint64]weak.Pointer[Shape] // by Shape.hash; of two shapes with one hash the newer
	sweep int                            // when byKey has that many, the dead are removed
}

// shapeSeed keys Shape.hash, so that nobody can push shapes that meet.
var shapeSeed = maphash.MakeSeed()

// Share returns a shape equal to s: one that is in use, or s.
func (t *Shapes) Share(s *Shape) *Shape {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w, ok := t.byKey[s.hash]; ok {
		if old := w.Value(); old == s || old.Equal(s) {
			return old
		}
	}
	if len(t.byKey) >= t.sweep {
		t.clean()
	}
	t.byKey[s.hash] = weak.Make(s)
	return s
}

// clean removes what is dead. The next time is when the table has doubled, so
// the cost per new shape stays constant.
func (t *Shapes) clean() {
	if t.byKey == nil {
		t.byKey = map[uint64]weak.Pointer[Shape]{}
	}
	for k, w := range t.byKey {
		if w.Value() == nil {
			delete(t.byKey, k)
		}
	}
	t.sweep = 2*len(t.byKey) + 1024
}

// Equal reports whether s and o say the same. A nil shape equals nothing.
func (s *Shape) Equal(o *Shape) bool {
	return s != nil && s.hash == o.hash &&
		slices.Equal(s.families, o.families) && slices.Equal(s.metrics, o.metrics) &&
		s.text == o.text && slices.Equal(s.ends, o.ends) && slices.Equal(s.refs, o.refs) &&
		slices.EqualFunc(s.bounds, o.bounds, sameBits)
}

// encodeBuffers are for computeHash.
var encodeBuffers = sync.Pool{New: func() any { return new([]byte) }}

// computeHash hashes the encoded form, which is at hand when a shape is read.
func (s *Shape) computeHash() uint64 {
	b := encodeBuffers.Get().(*[]byte)
	defer encodeBuffers.Put(b)
	*b = appendShape((*b)[:0], s)
	return maphash.Bytes(shapeSeed, *b)
}
