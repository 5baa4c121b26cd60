package group

import (
	"testing"
)

// shapesOf returns a table that knows a group with each of the parts.
func shapesOf(parts ...*Part) (*Shapes, []*Group) {
	s := &Shapes{}
	groups := make([]*Group, len(parts))
	for i, p := range parts {
		groups[i] = &Group{Members: p.Members()}
		s.Replace(nil, groups[i])
	}
	return s, groups
}

// gauges returns a part with gauges of these names.
func gauges(names ...string) *Part {
	b := NewBuilder()
	for _, name := range names {
		b.Family(name, Gauge)
		b.Metric(FormSingle, nil, nil, 1)
	}
	return b.Part()
}

// TestShapesShared: pushed and read back, equal shapes are one.
func TestShapesShared(t *testing.T) {
	first := records(t)["put"].Part
	s, _ := shapesOf(first)
	second := s.Share(records(t)["put"].Part.Shape)
	r, err := DecodeRecord(EncodeRecord(nil, records(t)["put"]))
	if err != nil {
		t.Fatal(err)
	}
	if third := s.Share(r.Part.Shape); first.Shape != second || first.Shape != third {
		t.Errorf("equal shapes are %p, %p and %p", first.Shape, second, third)
	}
	if other := s.Share(part(t, "g 1\n").Shape); other == first.Shape {
		t.Error("different shapes are one")
	}
}

// TestShapesForgotten: a shape is kept as long as a group has it, and not longer.
func TestShapesForgotten(t *testing.T) {
	one, two := gauges("a", "b"), gauges("a", "b")
	two.Shape = one.Shape
	other := gauges("c")
	s, groups := shapesOf(one, two)
	merged := groups[1].Next(&Record{Kind: KindPost, Part: other, Members: other.Members()}, s)
	s.Replace(groups[1], merged)
	has := func(step string, want ...*Part) {
		t.Helper()
		if len(s.byKey) != len(want) {
			t.Errorf("%s: %d shapes are in the table", step, len(s.byKey))
		}
		for _, p := range want {
			names := []string{}
			for _, m := range p.Members() {
				names = append(names, m.Of().Name)
			}
			if s.Share(gauges(names...).Shape) != p.Shape {
				t.Errorf("%s: a shape in use was forgotten", step)
			}
		}
	}
	has("two groups", one, other)
	s.Replace(groups[0], nil)
	has("one of them ended", one, other)
	next := merged.Next(&Record{Kind: KindFail, Fail: 1}, s)
	s.Replace(merged, next)
	has("its metrics stay", one, other)
	s.Replace(next, groups[1])
	has("taken back", one)
	s.Replace(groups[1], nil)
	has("no group")
}
