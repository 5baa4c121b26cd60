package state

import (
	"slices"

	"github.com/pushbridge/pushbridge/bigslice"
	"github.com/pushbridge/pushbridge/group"
)

// checker works out transitions: what must be refused, what is not delivered, and, with
// components, what ends. It changes nothing but its scratch space. Who has it uses it
// alone; what looks at pending or at the gate needs the store's lock as well.
type checker struct {
	on         *pending
	gate       *gate
	hash       *hasher
	components components

	view, claim []uint64 // hashes of part's metrics, see index
	empty       []bool   // the metric has empty labels, so that the two mean different things
	empties     bool     // one of empty is set
	unsent      []bool   // the metric is not delivered
	sorted      []uint64
	twins       map[uint64][]int     // metrics of the push by claim, of claims that it has twice
	underWay    bool                 // what the check found is for a large change to decide
	looked      map[lookupKey]lookup // see slotHasSeries
	a, b        []group.Label
}

func newChecker(on *pending, g *gate, h *hasher) *checker { return &checker{on: on, gate: g, hash: h} }

// scratch returns how much scratch space there is, in elements.
func (c *checker) scratch() int {
	return max(cap(c.view), cap(c.components.live), cap(c.hash.last.hashes))
}

// check refuses a transition after which the view would not be consistent, and
// finds what it must not deliver. It changes nothing. errUnderWay says that a large
// change decides it.
func (c *checker) check(t *transition) error {
	c.begin()
	err := c.checkAll(t)
	if c.underWay {
		return errUnderWay
	}
	return err
}

// begin forgets the transition before.
func (c *checker) begin() {
	clear(c.looked)
	c.underWay = false
}

func (c *checker) checkAll(t *transition) error {
	if t.part != nil {
		if err := t.checkGrouping(); err != nil {
			return err
		}
		c.hashPart(t)
		if err := c.checkNames(t, 0, len(t.part.Shape.Families())); err != nil {
			return err
		}
		if err := c.checkTwice(t); err != nil {
			return err
		}
		if err := c.checkSeries(t, 0, len(c.view)); err != nil {
			return err
		}
		if c.mayBeUnsent() {
			c.findTwins()
			c.findUnsent(t, 0, len(c.view))
		}
	}
	return c.checkOwn(t)
}

// hashPart hashes the metrics that are pushed.
func (c *checker) hashPart(t *transition) {
	shape := t.part.Shape
	c.view, c.claim, c.empty, c.empties = c.view[:0], c.claim[:0], c.empty[:0], false
	n := len(shape.All())
	c.view, c.claim, c.empty = slices.Grow(c.view, n), slices.Grow(c.claim, n), slices.Grow(c.empty, n)
	c.unsent = slices.Grow(c.unsent[:0], n)[:n]
	clear(c.unsent)
	for i := range shape.Families() {
		t.hash.each(group.Member{Part: t.part, Family: uint32(i)}, func(_ int, s seriesHash) {
			c.view, c.claim, c.empty = append(c.view, s.view), append(c.claim, s.claim), append(c.empty, s.empty)
			c.empties = c.empties || s.empty
		})
	}
}

// checkTwice refuses series that the push has twice.
func (c *checker) checkTwice(t *transition) error {
	if !c.on.strict {
		return nil
	}
	if n, ok := c.findTwice(t); ok {
		return &group.InvalidError{Family: t.part.Shape.FamilyOf(n).Name, Metric: c.metricName(t, n), Err: group.ErrTwice}
	}
	return nil
}

// checkSeries refuses series that another group has, of the metrics with numbers
// from on, below to.
func (c *checker) checkSeries(t *transition, from, to int) error {
	if !c.on.strict {
		return nil
	}
	p := t.part
	for n := from; n < to; n++ {
		h := c.view[n]
		if _, hit := c.on.index.series.first.get(h); !hit {
			continue
		}
		owner := uint32(0)
		if c.on.index.series.any(h, t.slot, func(o uint32) bool { owner = o; return c.slotHas(o, t, n, false) }) {
			return &group.ConflictError{
				Family: p.Shape.FamilyOf(n).Name, Metric: c.metricName(t, n),
				Other: c.on.labelsOf(owner), Reason: "exists already with the same name and labels",
			}
		}
	}
	return nil
}

// findTwice returns a metric that equals one before it in the push.
func (c *checker) findTwice(t *transition) (int, bool) {
	c.sorted = bigslice.AppendAll(c.sorted[:0], c.view)
	slices.Sort(c.sorted)
	for i := 1; i < len(c.sorted); i++ {
		if c.sorted[i] != c.sorted[i-1] {
			continue
		}
		if n, ok := c.firstTwice(t, c.sorted[i]); ok {
			return n, true
		}
	}
	return 0, false
}

// firstTwice returns the first of the metrics with hash h that equals one
// before it.
func (c *checker) firstTwice(t *transition, h uint64) (int, bool) {
	var same []int
	for n, v := range c.view {
		if v != h {
			continue
		}
		for _, o := range same {
			if c.sameMetric(t, n, o, false) {
				return n, true
			}
		}
		same = append(same, n)
	}
	return 0, false
}

// sameMetric compares two metrics of the push.
func (c *checker) sameMetric(t *transition, n, o int, delivered bool) bool {
	shape := t.part.Shape
	if shape.FamilyOf(n) != shape.FamilyOf(o) {
		return false
	}
	c.a = appendIdentity(c.a[:0], t.labels(), shape, &shape.All()[n], delivered)
	c.b = appendIdentity(c.b[:0], t.labels(), shape, &shape.All()[o], delivered)
	return slices.Equal(c.a, c.b)
}

// appendIdentity appends the labels that identify a metric in a view, or at
// delivery.
func appendIdentity(dst []group.Label, g group.Labels, s *group.Shape, m *group.Metric, delivered bool) []group.Label {
	if delivered {
		return g.AppendSeries(dst, s, m)
	}
	return g.AppendView(dst, s, m)
}

func (c *checker) metricName(t *transition, n int) string {
	shape := t.part.Shape
	return group.BriefMetric(shape.FamilyOf(n).Name, t.labels().AppendView(nil, shape, &shape.All()[n]))
}
