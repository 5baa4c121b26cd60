package aggregate

import (
	"github.com/pushbridge/pushbridge/group"
)

// Sum is what comes of a push that was added.
type Sum struct {
	Part *group.Part

	// Some says that the part has only the series that were pushed, and that the group
	// has them all: its others stay. Otherwise it has whole families.
	Some bool
}

// Merge adds p, which Prepare has seen, to old, which may be nil: what begins with it has
// counted since then, unless it says since when. shapes are those of the groups.
func Merge(old *group.Group, p *group.Part, how *group.Aggregation, when When, shapes *group.Shapes) (Sum, error) {
	if probe := (&group.Record{Part: p, Members: p.Members()}); old.HoldsAll(probe, shapes) {
		sum, err := mergeKnown(old, probe, how, shapes)
		return Sum{sum, true}, err
	}
	return MergeWhole(old, p, how, when, shapes)
}

// MergeWhole is Merge that always returns whole families.
func MergeWhole(old *group.Group, p *group.Part, how *group.Aggregation, when When, shapes *group.Shapes) (Sum, error) {
	sum, err := mergeFamilies(old, p, how, when)
	if err == nil {
		shapes.ShareOf(sum)
	}
	return Sum{Part: sum}, err
}

// mergeKnown adds the part of r to a group that has all its series, laid out alike.
func mergeKnown(old *group.Group, r *group.Record, how *group.Aggregation, shapes *group.Shapes) (*group.Part, error) {
	p := r.Part
	sum := &group.Part{
		Shape: p.Shape, Values: make([]uint64, len(p.Values)), Exemplars: p.Exemplars,
		Natives: make([]group.Native, len(p.Natives)),
	}
	for i := range p.Shape.Families() {
		f := &p.Shape.Families()[i]
		m, _ := old.Member(f.Name)
		at, _ := shapes.Places(p.Shape, m.Part.Shape)
		op := opOf(f, how)
		for n := f.First(); n < f.First()+f.Count(); n++ {
			if err := op.known(sum, p, n, m.Part, int(at[n])); err != nil {
				return nil, refusal(f, p.Shape, n, err)
			}
		}
	}
	return sum, nil
}

// known puts the sum of metric n of p and metric at of old into sum.
func (o op) known(sum, p *group.Part, n int, old *group.Part, at int) error {
	metric, before := &p.Shape.All()[n], &old.Shape.All()[at]
	to, a, b := sum.ValuesOf(metric), old.ValuesOf(before), p.ValuesOf(metric)
	copy(to, a)
	if err := o.values(metric.Form, to, b); err != nil {
		return err
	}
	if h := sum.NativeOf(metric); h != nil {
		var err error
		if *h, err = o.native(old.NativeOf(before), p.NativeOf(metric)); err != nil {
			return err
		}
	}
	if c, ok := old.CreatedOf(uint32(at)); ok {
		c.Metric = uint32(n)
		sum.Created = append(sum.Created, c)
	}
	return nil
}

// refusal says which metric cannot be added.
func refusal(f *group.Family, s *group.Shape, n int, err error) error {
	return &group.InvalidError{Family: f.Name, Metric: group.BriefMetric(f.Name, s.AppendLabels(nil, &s.All()[n])), Err: err}
}
