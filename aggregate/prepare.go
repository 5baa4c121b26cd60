package aggregate

import (
	"errors"
	"slices"
	"sync"

	"github.com/pushbridge/pushbridge/group"
)

// Preparer makes of pushes what is added: without the labels that the rule drops, and
// without quantiles, which cannot be added. It remembers what that means for shapes that
// come again.
type Preparer struct {
	mu      sync.Mutex
	known   map[known]*outline
	metrics int // of all shapes in known
}

// maxKnown bounds how many metrics the shapes have that are remembered.
const maxKnown = 1 << 18

type known struct {
	shape *group.Shape
	how   *group.Aggregation
}

// outline is what a shape becomes. Its metrics have the numbers that they had.
type outline struct {
	shape *group.Shape // nil: metrics become one that differed in a label only that is dropped
	same  bool         // nothing is left out
}

var errTimes = errors.New("must not have timestamps: what is added up is as of its latest push")

// Prepare returns p as it is added; it may be p itself, which does not change.
func (c *Preparer) Prepare(p *group.Part, how *group.Aggregation) (*group.Part, error) {
	if p.Times != nil {
		return nil, &group.InvalidError{Err: errTimes}
	}
	o, err := c.outline(p, how)
	switch {
	case err != nil:
		return nil, err
	case o.same:
		return p, nil
	case o.shape == nil:
		return sumUp(p, how)
	}
	out := &group.Part{Shape: o.shape, Natives: p.Natives, Exemplars: p.Exemplars, Created: p.Created}
	for i := range p.Shape.All() {
		values := p.ValuesOf(&p.Shape.All()[i])
		if p.Shape.All()[i].Form == group.FormSummary {
			values = values[:2]
		}
		out.Values = append(out.Values, values...)
	}
	return out, nil
}

// Known returns how many metrics are held of shapes that came before.
func (c *Preparer) Known() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.metrics
}

func (c *Preparer) outline(p *group.Part, how *group.Aggregation) (*outline, error) {
	key := known{p.Shape, how}
	c.mu.Lock()
	o := c.known[key]
	c.mu.Unlock()
	if o != nil {
		return o, nil
	}
	o, err := outlineOf(p, how)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 2 * len(p.Shape.All())
	if c.metrics += n; c.known == nil || c.metrics > maxKnown {
		c.known, c.metrics = map[known]*outline{}, n
	}
	c.known[key] = o
	return o, nil
}

func outlineOf(p *group.Part, how *group.Aggregation) (*outline, error) {
	b, same, twice := group.NewBuilder(), true, false
	for i := range p.Shape.Families() {
		f := &p.Shape.Families()[i]
		b.FamilyAs(f)
		pushed, left := map[string]bool{}, map[string]bool{}
		for n := f.First(); n < f.First()+f.Count(); n++ {
			s := seriesOf(p, n)
			whole := s.key()
			if pushed[whole] {
				return nil, refusal(f, p.Shape, n, group.ErrTwice)
			}
			pushed[whole] = true
			same = !s.strip(how) && same
			rest := s.key()
			twice = twice || left[rest]
			left[rest] = true
			s.created = nil
			s.build(b)
		}
	}
	if same {
		return &outline{same: true}, nil
	}
	if twice {
		return &outline{}, nil
	}
	return &outline{shape: b.Part().Shape}, nil
}

// strip takes off what is not added, and reports whether there was something.
func (s *series) strip(how *group.Aggregation) bool {
	n := len(s.labels)
	s.labels = slices.DeleteFunc(s.labels, func(l group.Label) bool { return how.Drops(l.Name) })
	stripped := len(s.labels) < n
	if s.form == group.FormSummary && len(s.bounds) > 0 {
		s.bounds, s.values, stripped = nil, s.values[:2], true
	}
	return stripped
}

// sumUp adds up the metrics of p that are one without the labels that are dropped.
func sumUp(p *group.Part, how *group.Aggregation) (*group.Part, error) {
	b := group.NewBuilder()
	for i := range p.Shape.Families() {
		f := &p.Shape.Families()[i]
		sum := newFamily(f, how)
		for n := f.First(); n < f.First()+f.Count(); n++ {
			s := seriesOf(p, n)
			s.strip(how)
			if _, err := sum.put(s); err != nil {
				return nil, refusal(f, p.Shape, n, err)
			}
		}
		sum.build(b, f)
	}
	return b.Part(), nil
}
