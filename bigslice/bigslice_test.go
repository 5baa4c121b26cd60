package bigslice

import (
	"slices"
	"testing"
)

// TestLikeAppend: whatever the lengths, the result is that of append, and what was there
// before stays as it was.
func TestLikeAppend(t *testing.T) {
	lengths := []int{0, 1, piece - 1, piece, piece + 1, 3*piece + 7}
	for _, n := range lengths {
		for _, m := range lengths {
			a, b := count(0, n), count(n, m)
			if got, want := AppendAll(slices.Clip(a), b), append(slices.Clip(a), b...); !slices.Equal(got, want) {
				t.Errorf("%d and %d elements: not what append makes of them", n, m)
			}
			if !slices.Equal(a, count(0, n)) || !slices.Equal(b, count(n, m)) {
				t.Errorf("%d and %d elements: the arguments changed", n, m)
			}
		}
	}
}

func TestAppendOne(t *testing.T) {
	var s []int
	grown := 0
	for i := range 5 * piece {
		before := cap(s)
		if s = Append(s, i); cap(s) != before {
			grown++
		}
	}
	if !slices.Equal(s, count(0, 5*piece)) {
		t.Error("not what was appended")
	}
	if grown > 32 {
		t.Errorf("%d copies for %d elements: the room must grow with the slice", grown, len(s))
	}
}

func TestClone(t *testing.T) {
	if Clone[int](nil) != nil {
		t.Error("the clone of nil is not nil")
	}
	for _, n := range []int{0, 3, 2*piece + 1} {
		s := count(0, n)
		c := Clone(s)
		if c == nil || !slices.Equal(c, s) {
			t.Fatalf("%d elements: not cloned", n)
		}
		if n > 0 {
			if c[0] = -1; s[0] == -1 {
				t.Errorf("%d elements: the clone shares memory", n)
			}
		}
	}
}

func count(from, n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = from + i
	}
	return s
}
