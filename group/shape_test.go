package group

import (
	"runtime"
	"testing"
)

// TestShapesShared: pushed and read back, equal shapes are one.
func TestShapesShared(t *testing.T) {
	var s Shapes
	first := s.Share(records(t)["put"].Part.Shape)
	second := s.Share(records(t)["put"].Part.Shape)
	r, err := DecodeRecord(EncodeRecord(nil, records(t)["put"]))
	if err != nil {
		t.Fatal(err)
	}
	if third := s.Share(r.Part.Shape); first != second || first != third {
		t.Errorf("equal shapes are %p, %p and %p", first, second, third)
	}
	if other := s.Share(part(t, "g 1\n").Shape); other == first {
		t.Error("different shapes are one")
	}
}

// TestShapesForgotten: a shape that nobody has is not kept.
func TestShapesForgotten(t *testing.T) {
	var s Shapes
	kept := s.Share(part(t, "kept 1\n").Shape)
	for i := range 5000 {
		b := NewBuilder()
		b.Family("gone", Gauge)
		b.Metric(FormSingle, []Label{{"n", string(rune('a' + i))}}, nil, 0)
		s.Share(b.Part().Shape)
		if i%1000 == 0 {
			runtime.GC()
		}
	}
	if n := len(s.byKey); n > 4000 {
		t.Errorf("%d shapes are in the table", n)
	}
	if s.byKey[kept.hash].Value() != kept {
		t.Error("a shape in use was forgotten")
	}
}
