package group

import (
	"hash/maphash"
	"slices"
	"sync"
)

// Shapes shares equal shapes: the same job on a thousand machines pushes the
// same shape. It has those of the groups that it was told of with Replace, and holds
// them itself: to ask a weak pointer would wait for the end of a garbage collection.
type Shapes struct {
	mu    sync.Mutex
	byKey map[uint64]sharedShape // by Shape.hash; of two shapes with one hash the newer

	places places
}

// sharedShape is a shape, and how often groups have it.
type sharedShape struct {
	shape *Shape
	uses  int
}

// shapeSeed keys Shape.hash, so that nobody can push shapes that meet.
var shapeSeed lazySeed

// lazySeed is made when it is first asked for.
type lazySeed struct {
	once sync.Once
	seed maphash.Seed
}

func (l *lazySeed) get() maphash.Seed {
	l.once.Do(func() { l.seed = maphash.MakeSeed() })
	return l.seed
}

// Share returns a shape equal to s: one that a group has, or s.
func (t *Shapes) Share(s *Shape) *Shape {
	if old := t.known(s); old != nil {
		return old
	}
	return s
}

// ShareOf gives p a shape that a group has, if one is equal to its own. The size of a record
// leaves that out: a ring of large pushes would otherwise seem to be full of shapes that
// it holds once.
func (t *Shapes) ShareOf(p *Part) {
	if old := t.known(p.Shape); old != nil {
		p.Shape, p.shared = old, true
	}
}

// known returns the shape equal to s that a group has, or nil.
func (t *Shapes) known(s *Shape) *Shape {
	t.mu.Lock()
	old := t.byKey[s.hash].shape
	t.mu.Unlock()
	if old == s || old.Equal(s) {
		return old
	}
	return nil
}

// Replace notes that a group has become another version of itself: either may be nil.
func (t *Shapes) Replace(old, g *Group) {
	if old.sameMembers(g) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	g.eachShape(t.use)
	old.eachShape(t.release)
}

func (t *Shapes) use(s *Shape) {
	if t.byKey == nil {
		t.byKey = map[uint64]sharedShape{}
	}
	e := t.byKey[s.hash]
	if e.shape != s {
		e = sharedShape{shape: s}
	}
	e.uses++
	t.byKey[s.hash] = e
}

// release takes back one use. Shapes that a newer one has taken the place of are not
// known any more.
func (t *Shapes) release(s *Shape) {
	e := t.byKey[s.hash]
	switch {
	case e.shape != s:
	case e.uses == 1:
		delete(t.byKey, s.hash)
	default:
		e.uses--
		t.byKey[s.hash] = e
	}
}

// Clear forgets every group.
func (t *Shapes) Clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byKey, t.places = nil, places{}
}

// sameMembers reports whether g and o are versions that have the same members, as far
// as a look at them tells.
func (g *Group) sameMembers(o *Group) bool {
	if g == nil || o == nil {
		return g == o
	}
	n := len(g.Members)
	return n == len(o.Members) && (n == 0 || &g.Members[0] == &o.Members[0] ||
		n == 1 && g.Members[0].Part.Shape == o.Members[0].Part.Shape)
}

// eachShape calls f with the shapes of g, with each at least once and as often for the
// same version.
func (g *Group) eachShape(f func(*Shape)) {
	if g == nil {
		return
	}
	var last *Part
	for _, m := range g.Members {
		if m.Part != last {
			last = m.Part
			f(last.Shape)
		}
	}
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
	return maphash.Bytes(shapeSeed.get(), *b)
}
