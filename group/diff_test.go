package group

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
)

// otherValues returns a record like r, later, with values that f makes of those of r.
func otherValues(r *Record, f func(slot int, float bool, v uint64) uint64) *Record {
	n, p := *r, *r.Part
	n.Time += 1234
	n.Push += 1_234_567_890
	p.Time, p.Pushed, p.Values = n.Time, n.Push, make([]uint64, len(r.Part.Values))
	at := 0
	for i := range p.Shape.metrics {
		for j := range p.Shape.metrics[i].slots() {
			float := p.Shape.metrics[i].Form.FloatSlot(j)
			if p.Values[at] = f(at, float, r.Part.Values[at]); float {
				p.Values[at] = cleanFloat(p.Values[at])
			}
			at++
		}
	}
	n.Part = &p
	n.Members = p.Members()
	return &n
}

// alikes returns the records that can be bases, when they end nothing.
func alikes(t testing.TB) map[string]*Record {
	t.Helper()
	all := map[string]*Record{}
	for name, r := range records(t) {
		n := *r
		n.Ended = nil
		if Alike(&n) != nil {
			all[name] = &n
		}
	}
	return all
}

// TestDiff: each record comes back from its difference to another one of its shape.
func TestDiff(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	changes := map[string]func(int, bool, uint64) uint64{
		"same":   func(_ int, _ bool, v uint64) uint64 { return v },
		"next":   func(_ int, _ bool, v uint64) uint64 { return v + 1 },
		"random": func(int, bool, uint64) uint64 { return rng.Uint64() },
		"decimal": func(_ int, float bool, v uint64) uint64 {
			if !float {
				return v - 3
			}
			return math.Float64bits(float64(rng.IntN(1e6)) / 1e3)
		},
		"special": func(i int, _ bool, _ uint64) uint64 {
			all := []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, 5e-324, 1 << 53, 1<<53 + 2, -1e15}
			return math.Float64bits(all[i%len(all)])
		},
	}
	for name, base := range alikes(t) {
		for change, f := range changes {
			t.Run(name+"/"+change, func(t *testing.T) {
				r := otherValues(base, f)
				back := otherValues(r, f)
				back.Kind, back.Labels, back.Fail, back.TTL, back.Hide = KindPost, Labels{{"job", "other"}}, 7, 8, OwnFailTime
				sum := otherValues(base, f)
				sum.Merge = Merge{Pushes: 3, Some: true, Key: NewPushKey(sum.Labels, "id")}
				for _, pair := range [][2]*Record{{base, r}, {r, base}, {r, back}, {r, r}, {base, sum}, {sum, base}, {sum, sum}} {
					got, err := Patch(AppendDiff(nil, pair[0], pair[1]), pair[0])
					if err != nil {
						t.Fatal(err)
					}
					if diff := diffRecords(pair[1], got); diff != "" {
						t.Fatalf("(-want +got):\n%s", diff)
					}
					if got.Part.Shape != pair[0].Part.Shape {
						t.Error("the shape is not shared")
					}
				}
			})
		}
	}
}

// TestDiff_Size says what a value costs, its half byte of code left out.
func TestDiff_Size(t *testing.T) {
	for _, row := range []struct {
		base, value float64
		bytes       int
	}{
		{7, 7, 0},
		{1_234_567, 1_234_569, 1},
		{1_234_567, 1_235_567, 2},
		{23.7, 23.71, 1},
		{23.71, 41.2, 2},
		{0.25, 0.75, 2},
		{12.345678901, 12.345678999, 1},
		{1_700_000_000.123, 1_700_000_060.456, 3},
		{1, 0.1234567890123, 7},
		{math.Pi, math.Pi * 1.001, 6},
		{math.NaN(), 1, 8},
		{0, math.Copysign(0, -1), 8},
	} {
		t.Run(fmt.Sprint(row.base, " to ", row.value), func(t *testing.T) {
			if _, _, n := diffOf(math.Float64bits(row.base), math.Float64bits(row.value), true); n != row.bytes {
				t.Errorf("%d bytes, want %d", n, row.bytes)
			}
		})
	}
}

// FuzzPatch: arbitrary bytes are an error or a record, which comes back from its own
// difference, and never more than a small multiple of what they and the base are.
func FuzzPatch(f *testing.F) {
	var bases []*Record
	all := alikes(f)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r := all[name]
		bases = append(bases, r)
		f.Add(AppendDiff(nil, r, otherValues(r, func(_ int, _ bool, v uint64) uint64 { return v + 1 })))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, base := range bases {
			var r *Record
			var err error
			if n := allocated(func() { r, err = Patch(b, base) }); n > uint64(len(b)+base.Size())*maxBlowUp+1<<16 {
				t.Errorf("%d bytes of input took %d bytes", len(b), n)
			}
			if err != nil {
				continue
			}
			again, err := Patch(AppendDiff(nil, base, r), base)
			if err != nil {
				t.Fatalf("what was patched does not come again: %v", err)
			}
			if diff := diffRecords(r, again); diff != "" {
				t.Errorf("round trip (-first +second):\n%s", diff)
			}
			useRecord(r)
		}
	})
}

// TestDiffGolden: the bytes on disk do not change. A new version of differences gets files
// of its own, and these stay readable.
func TestDiffGolden(t *testing.T) {
	for name, base := range alikes(t) {
		t.Run(name, func(t *testing.T) {
			want := otherValues(base, func(i int, _ bool, v uint64) uint64 { return v + uint64(i*i) })
			want.Kind, want.Labels, want.Fail, want.TTL = KindPost, Labels{{"job", "other"}}, 7, 8
			b := AppendDiff(nil, base, want)
			path := filepath.Join("testdata", "diff-v1", name+".hex")
			if *update {
				writeHex(t, path, b)
			}
			golden := readHex(t, path)
			if !bytes.Equal(golden, b) {
				t.Errorf("the difference is\n%swant\n%s", hex.Dump(b), hex.Dump(golden))
			}
			got, err := Patch(golden, base)
			if err != nil {
				t.Fatal(err)
			}
			if diff := diffRecords(want, got); diff != "" {
				t.Errorf("patched (-want +got):\n%s", diff)
			}
		})
	}
}
