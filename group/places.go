package group

import (
	"slices"
	"strings"
)

// NoPlace stands for a metric that another shape does not have.
const NoPlace = ^uint32(0)

// places knows where the metrics of pushed shapes are in shapes that groups have: an
// aggregate is pushed the same few series again and again. It is forgotten as a whole
// when it holds too much.
type places struct {
	byShapes map[[2]*Shape][]uint32
	metrics  int // of all shapes in it
}

// maxPlaced bounds how many metrics the shapes in places have.
const maxPlaced = 1 << 18

// Places returns for each metric of s its number in g, NoPlace for one that g does not
// have: of the same name, type, and labels in any order. ok is false when s itself has
// one twice.
func (t *Shapes) Places(s, g *Shape) (numbers []uint32, ok bool) {
	key := [2]*Shape{s, g}
	t.mu.Lock()
	numbers, known := t.places.byShapes[key]
	t.mu.Unlock()
	if known {
		return numbers, numbers != nil
	}
	numbers = findPlaces(s, g)
	t.mu.Lock()
	defer t.mu.Unlock()
	p := &t.places
	if p.metrics += len(s.metrics) + len(g.metrics); p.byShapes == nil || p.metrics > maxPlaced {
		*p = places{byShapes: map[[2]*Shape][]uint32{}, metrics: len(s.metrics) + len(g.metrics)}
	}
	if p.metrics <= maxPlaced {
		p.byShapes[key] = numbers
	}
	return numbers, numbers != nil
}

// Placed returns how many metrics are held to find series of aggregates.
func (t *Shapes) Placed() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.places.metrics
}

// findPlaces is Places without memory; nil says that s has a metric twice.
func findPlaces(s, g *Shape) []uint32 {
	numbers := make([]uint32, len(s.metrics))
	var key keyer
	mine := make(map[string]uint32, len(s.metrics))
	for i := range s.families {
		f := &s.families[i]
		for n := f.first; n < f.first+f.count; n++ {
			numbers[n] = NoPlace
			mine[string(key.of(f, s, n))] = n
		}
	}
	if len(mine) < len(s.metrics) {
		return nil
	}
	for i := range g.families {
		f := &g.families[i]
		if !s.Has(f.Name) {
			continue
		}
		for n := f.first; n < f.first+f.count; n++ {
			if at, ok := mine[string(key.of(f, g, n))]; ok {
				numbers[at] = n
			}
		}
	}
	return numbers
}

// keyer makes keys of series.
type keyer struct {
	labels []Label
	b      []byte
}

// of returns what identifies metric n of f, which is of s, until the next call.
func (k *keyer) of(f *Family, s *Shape, n uint32) []byte {
	k.labels = s.AppendLabels(k.labels[:0], &s.metrics[n])
	slices.SortFunc(k.labels, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	k.b = append(append(k.b[:0], byte(f.Type)), f.Name...)
	for _, l := range k.labels {
		k.b = append(append(k.b, 0xff), l.Name...)
		k.b = append(append(k.b, 0xff), l.Value...)
	}
	return k.b
}

// holds reports whether a group with these members has every series that a record with
// Merge.Some brings, laid out as there.
func (r *Record) holds(old []Member, t *Shapes) bool {
	for _, m := range r.Members {
		i, ok := findMember(old, m.Of().Name)
		if !ok || !m.fits(old[i], t) {
			return false
		}
	}
	return true
}

// fits reports whether o has all metrics of m, laid out alike.
func (m Member) fits(o Member, t *Shapes) bool {
	s, g := m.Part.Shape, o.Part.Shape
	at, ok := t.Places(s, g)
	if !ok || o.Part.Times != nil || len(o.Part.Unsent) > 0 {
		return false
	}
	f := m.Of()
	for n := f.first; n < f.first+f.count; n++ {
		if at[n] == NoPlace || !s.alike(&s.metrics[n], g, &g.metrics[at[n]]) {
			return false
		}
	}
	return true
}

// alike reports whether the values of a, which is of s, are laid out as those of b, of g.
func (s *Shape) alike(a *Metric, g *Shape, b *Metric) bool {
	if a == b {
		return true
	}
	return a.Form == b.Form && a.Native == b.Native && slices.EqualFunc(s.Bounds(a), g.Bounds(b), sameBits)
}

// foldSome returns the members of a group after a record that has some series of its
// families. As a rule the group has them all, and only its values change.
func (r *Record) foldSome(old []Member, t *Shapes) []Member {
	if !r.holds(old, t) {
		return compact(merge(old, r.whole(old, t)), old, t)
	}
	members := slices.Clone(old)
	var before, after *Part
	for _, m := range r.Members {
		i, _ := findMember(members, m.Of().Name)
		if members[i].Part != after || after == nil {
			before = members[i].Part
			after = before.withValues(r)
			for j := range members {
				if members[j].Part == before {
					members[j].Part = after
				}
			}
		}
		m.store(after, before, t)
	}
	return members
}

// withValues returns a copy of p whose values can be changed for r, and shares with p what
// there is much of. It counts as sent when p was: what does not change is to be refreshed
// as before. Exemplars went with the push that had them.
func (p *Part) withValues(r *Record) *Part {
	c := *p
	c.Exemplars, c.Pushed = nil, r.Push
	if len(r.Part.Natives) > 0 {
		c.Natives = slices.Clone(p.Natives)
	}
	if p.Shape.values < pagedFrom {
		c.Values = slices.Clone(p.Values)
		return &c
	}
	c.Values, c.pages = nil, slices.Clone(p.paged())
	return &c
}

// store puts the values of m into p, which withValues has made of before and which has all
// metrics of m.
func (m Member) store(p, before *Part, t *Shapes) {
	at, _ := t.Places(m.Part.Shape, p.Shape)
	f := m.Of()
	for n := f.first; n < f.first+f.count; n++ {
		from, to := &m.Part.Shape.metrics[n], &p.Shape.metrics[at[n]]
		if p.pages == nil {
			copy(p.ValuesOf(to), m.Part.ValuesOf(from))
		} else {
			setPageValues(p.pages, before.pages, to.valueAt, m.Part.ValuesOf(from))
		}
		if h := m.Part.NativeOf(from); h != nil {
			p.Natives[to.nativeAt] = *h
		}
	}
}

// whole returns the members that r brings with all other series that their families
// have in old.
func (r *Record) whole(old []Member, t *Shapes) []Member {
	b := builders.Get().(*Builder)
	defer builders.Put(b)
	for _, m := range r.Members {
		b.FamilyAs(m.Of())
		if i, ok := findMember(old, m.Of().Name); ok && old[i].Of().Type == m.Of().Type {
			brought := map[uint32]bool{}
			for _, n := range findPlaces(m.Part.Shape, old[i].Part.Shape) {
				brought[n] = true
			}
			b.copyMetrics(old[i], func(n uint32) bool { return !brought[n] })
		}
		b.copyMetrics(m, func(uint32) bool { return true })
	}
	p := b.copied(r.Time, r.Push)
	p.Shape = t.Share(p.Shape)
	return p.Members()
}

// sameShapes reports whether two versions of a group have the same series.
func sameShapes(a, b []Member) bool {
	return slices.EqualFunc(a, b, func(a, b Member) bool { return a.Part.Shape == b.Part.Shape && a.Family == b.Family })
}

// HoldsAll reports whether r, which has some series of its families, brings none that g
// does not have.
func (g *Group) HoldsAll(r *Record, t *Shapes) bool { return g != nil && r.holds(g.Members, t) }
