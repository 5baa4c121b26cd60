package aggregate

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// series is one metric of a family at work.
type series struct {
	form      group.Form
	labels    []group.Label
	bounds    []float64
	values    []uint64
	native    *group.Native // nil: it has no native form
	created   *group.Created
	exemplars []group.Exemplar
}

// seriesOf returns metric n of p.
func seriesOf(p *group.Part, n int) series {
	m := &p.Shape.All()[n]
	s := series{
		form: m.Form, labels: p.Shape.AppendLabels(nil, m), bounds: p.Shape.Bounds(m),
		values: slices.Clone(p.ValuesOf(m)), native: p.NativeOf(m), exemplars: p.ExemplarsOf(uint32(n)),
	}
	if c, ok := p.CreatedOf(uint32(n)); ok {
		s.created = &c
	}
	return s
}

// key identifies s within its family.
func (s *series) key() string {
	l := slices.Clone(s.labels)
	slices.SortFunc(l, func(a, b group.Label) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	for _, p := range l {
		b.WriteString(p.Name + "\xff" + p.Value + "\xff")
	}
	return b.String()
}

// addTo adds s to what a family has of it.
func (o op) addTo(old *series, s *series) error {
	if o == replace {
		created := old.created
		*old = *s
		old.created = created
		return nil
	}
	if (old.native == nil) != (s.native == nil) {
		return fmt.Errorf("has %s native buckets, and what it is to be added to is otherwise: push it as that was, %s",
			choose(s.native == nil, "no", "with its sum"), anew)
	}
	if old.form != s.form {
		old.toFloat()
		s.toFloat()
	}
	pushed, err := s.aligned(old.bounds)
	if err == nil {
		err = o.values(old.form, old.values, pushed)
	}
	if err == nil && s.native != nil {
		var n group.Native
		n, err = o.native(old.native, s.native)
		old.native = &n
	}
	old.exemplars = nil
	if len(s.bounds) == len(old.bounds) {
		old.exemplars = s.exemplars
	}
	return err
}

// toFloat makes counts of a histogram floats.
func (s *series) toFloat() {
	if s.form != group.FormHistogram {
		return
	}
	s.form = group.FormFloatHistogram
	for i := 1; i < len(s.values); i++ {
		s.values[i] = math.Float64bits(float64(s.values[i]))
	}
	if s.native != nil {
		h := floatOf(s.native)
		n := *s.native
		n.Float, n.ZeroCount = true, math.Float64bits(h.ZeroCount)
		n.PositiveCount, n.NegativeCount, n.PositiveDelta, n.NegativeDelta = h.PositiveBuckets, h.NegativeBuckets, nil, nil
		s.native = &n
	}
}

// family is the series of a family at work, in order.
type family struct {
	op    op
	all   []series
	byKey map[string]int
}

func newFamily(f *group.Family, how *group.Aggregation) family {
	return family{op: opOf(f, how), byKey: map[string]int{}}
}

// put adds s to the family, and reports whether it is new there.
func (f *family) put(s series) (added bool, err error) {
	k := s.key()
	i, ok := f.byKey[k]
	if ok {
		return false, f.op.addTo(&f.all[i], &s)
	}
	if f.op == count {
		err = countable(math.Float64frombits(s.values[0]))
	}
	f.byKey[k] = len(f.all)
	f.all = append(f.all, s)
	return true, err
}

// mergeFamilies returns the families of p as they are when p was added to old.
func mergeFamilies(old *group.Group, p *group.Part, how *group.Aggregation, when When) (*group.Part, error) {
	b := group.NewBuilder()
	for i := range p.Shape.Families() {
		f := &p.Shape.Families()[i]
		if err := mergeFamily(b, old, p, f, how, when); err != nil {
			return nil, err
		}
	}
	return b.Part(), nil
}

func mergeFamily(b *group.Builder, old *group.Group, p *group.Part, f *group.Family, how *group.Aggregation, when When) error {
	sum, head := newFamily(f, how), f
	if old != nil {
		if m, ok := old.Member(f.Name); ok {
			if err := sum.begin(m, f); err != nil {
				return err
			}
			head = m.Of()
		}
	}
	for n := f.First(); n < f.First()+f.Count(); n++ {
		added, err := sum.put(seriesOf(p, n))
		if err != nil {
			return refusal(f, p.Shape, n, err)
		}
		if added {
			sum.all[len(sum.all)-1].begins(f.Type, when)
		}
	}
	sum.build(b, choose(head.HasHelp, head, f))
	return nil
}

// build adds the family to b, described as head is.
func (f *family) build(b *group.Builder, head *group.Family) {
	b.FamilyAs(head)
	for i := range f.all {
		f.all[i].build(b)
	}
}

// begin takes in what the group has of the family.
func (f *family) begin(m group.Member, pushed *group.Family) error {
	if was := m.Of().Type; was != pushed.Type {
		return &group.InvalidError{Family: pushed.Name, Err: fmt.Errorf("is a %s, and what it is to be added to is a %s: push that, %s", pushed.Type, was, anew)}
	}
	first := m.Of().First()
	for n := first; n < first+m.Of().Count(); n++ {
		s := seriesOf(m.Part, n)
		s.exemplars = nil // they went with the push that had them
		f.byKey[s.key()] = len(f.all)
		f.all = append(f.all, s)
	}
	return nil
}

// When is the time of a push.
type When struct {
	Now   time.Time
	After int64 // timestamp in ms of what the group had before; 0: nothing
}

// begins says since when a series counts that the group did not have: since what the push
// says, if that is later than what the group had before, or since the push.
func (s *series) begins(t group.Type, when When) {
	if t != group.Counter && t != group.Summary && t != group.Histogram {
		s.created = nil
		return
	}
	at := when.Now.Add(-time.Millisecond).Truncate(time.Millisecond)
	if s.created != nil {
		said := time.Unix(s.created.Seconds, int64(s.created.Nanos))
		if said.Before(at) && said.UnixMilli() > when.After {
			at = said
		}
	}
	s.created = &group.Created{Seconds: at.Unix(), Nanos: int32(at.Nanosecond())}
}

// build adds s to the family that was begun last.
func (s *series) build(b *group.Builder) {
	b.Metric(s.form, s.labels, s.bounds, s.values...)
	if s.native != nil {
		b.Native(*s.native)
	}
	for _, e := range s.exemplars {
		b.Exemplar(e)
	}
	if s.created != nil {
		b.Created(s.created.Seconds, s.created.Nanos)
	}
}
