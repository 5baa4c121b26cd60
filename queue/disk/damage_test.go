package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/queue"
)

// simOptions keep everything: no bounds, small segments.
func simOptions() options {
	return options{Dir: "/store", SegmentBytes: 400, MaxBytes: -1, MinFreeBytes: -1, RingBytes: 1}
}

// build returns a disk with a small log of several segments. The last is sealed
// when stopped, and otherwise as kill -9 leaves it.
func build(t testing.TB, records int, stopped bool) (*simDisk, map[uint64]rec) {
	t.Helper()
	sim := newSim()
	l, err := open(sim, simOptions())
	if err != nil {
		t.Fatal(err)
	}
	all := map[uint64]rec{}
	for i := range records {
		r := rec{Time: int64(1000 + i), Samples: 3 + i, Body: strings.Repeat(fmt.Sprint(i, ","), 1+i*i%70)}
		push(t, l, r, func(seq uint64) { all[seq] = r })
		if i%3 != 0 {
			l.commitQueued()
		}
	}
	l.commitQueued()
	if stopped {
		if err := errors.Join(l.finish(), l.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return sim.clone(), all
}

// readback is what a reader of the whole log gets.
type readback struct {
	records map[uint64]rec
	gaps    []queue.GapError
	damage  []*CorruptionError
	head    uint64
}

// lost returns which of all are not there.
func (r readback) lost(all map[uint64]rec) []uint64 {
	var lost []uint64
	for seq := range all {
		if _, ok := r.records[seq]; !ok {
			lost = append(lost, seq)
		}
	}
	slices.Sort(lost)
	return lost
}

// readAll opens the log on sim and reads all of it.
func readAll(t testing.TB, sim *simDisk) readback {
	t.Helper()
	l, err := open(sim, simOptions())
	if err != nil {
		t.Fatal(err)
	}
	got := readback{records: map[uint64]rec{}, head: l.Head()}
	r := l.NewReader(0)
	for {
		it, ok, err := r.TryNext()
		var gap *queue.GapError
		switch {
		case errors.As(err, &gap):
			got.gaps = append(got.gaps, *gap)
			continue
		case err != nil:
			t.Fatal(err)
		}
		if !ok {
			break
		}
		got.records[it.Seq] = it.Record
	}
	got.damage = l.damage()
	if err := errors.Join(r.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
	return got
}

// place is where a frame lies, or a header.
type place struct {
	kind     byte // 0: a segment header
	seq      uint64
	from, to int64
}

// places returns what lies where in a segment.
func places(t testing.TB, sim *simDisk, name string) []place {
	t.Helper()
	b := sim.now[name].data
	h, err := parseSegmentHeader(b, name)
	if err != nil {
		t.Fatal(err)
	}
	all := []place{{0, 0, 0, segmentHeaderSize}}
	scan := newFileScanner(&simFile{d: sim, n: sim.now[name]}, name, newView(h, true), int64(len(b)))
	for {
		f, err := scan.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, place{f.kind, f.seq, f.offset, f.offset + f.size})
	}
}

// touched returns the records whose frames overlap the range.
func touched(all []place, from, to int64) []uint64 {
	var seqs []uint64
	for _, p := range all {
		if p.from < to && from < p.to && p.kind == kindRecord {
			seqs = append(seqs, p.seq)
		}
	}
	return seqs
}

// checkDamage verifies promise 4 for bytes from to to of a segment: exactly the
// touched records are lost, and the report covers the range and names them.
func checkDamage(t *testing.T, sim *simDisk, all map[uint64]rec, name string, at []place, from, to int64) {
	t.Helper()
	what := fmt.Sprintf("%s bytes %d to %d", name, from, to)
	got := readAll(t, sim)
	want := touched(at, from, to)
	if lost := got.lost(all); !slices.Equal(lost, want) {
		t.Fatalf("%s: lost %v, touched %v; damage %v", what, lost, want, got.damage)
	}
	for seq, r := range got.records {
		if all[seq] != r {
			t.Fatalf("%s: record %d came back changed", what, seq)
		}
	}
	covered := slices.ContainsFunc(got.damage, func(c *CorruptionError) bool {
		return strings.HasSuffix(name, c.File) && c.Offset <= from && to <= c.Offset+max(c.Length, 0)
	})
	if !covered && len(got.damage) < 2 {
		t.Fatalf("%s: not reported; damage %v", what, got.damage)
	}
	checkNamed(t, what, all, want, got)
}

// checkNamed verifies that lost records in front of the head are named, by the
// report and by the reader, with their samples.
func checkNamed(t *testing.T, what string, all map[uint64]rec, lost []uint64, got readback) {
	t.Helper()
	want, samples := map[uint64]bool{}, uint64(0)
	for _, seq := range lost {
		if seq <= got.head {
			want[seq] = true
			samples += uint64(all[seq].Samples)
		}
	}
	named, gone, books := map[uint64]bool{}, map[uint64]bool{}, uint64(0)
	for _, c := range got.damage {
		for seq := c.First; seq != 0 && seq <= c.Last && seq <= got.head; seq++ {
			named[seq] = true
		}
	}
	for _, g := range got.gaps {
		for seq := g.From; seq <= g.To; seq++ {
			gone[seq] = true
		}
		books += g.Samples
		if !g.Exact {
			t.Errorf("%s: %+v is not exact", what, g)
		}
	}
	if !maps.Equal(named, want) || !maps.Equal(gone, want) || books != samples {
		t.Fatalf("%s: lost %v with %d samples, named %v, the reader missed %v with %d samples; %v",
			what, want, samples, named, gone, books, got.damage)
	}
}

func TestEveryBitFlipped(t *testing.T) {
	for _, stopped := range []bool{true, false} {
		t.Run(fmt.Sprintf("stopped=%v", stopped), func(t *testing.T) {
			sim, all := build(t, 14, stopped)
			for _, name := range sim.list(segmentSuffix) {
				at := places(t, sim, name)
				for i := range sim.now[name].data {
					for bit := range 8 {
						c := sim.clone()
						c.edit(name, func(b []byte) []byte { b[i] ^= 1 << bit; return b })
						checkDamage(t, c, all, name, at, int64(i), int64(i)+1)
					}
				}
			}
		})
	}
}

func TestZeroedRanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 3))
	sim, all := build(t, 30, true)
	names := sim.list(segmentSuffix)
	for range 500 {
		name := names[rng.IntN(len(names))]
		at := places(t, sim, name)
		size := len(sim.now[name].data)
		from := rng.IntN(size)
		to := from + 1 + rng.IntN(min(size-from, 300))
		c := sim.clone()
		before := slices.Clone(c.now[name].data)
		c.edit(name, func(b []byte) []byte { clear(b[from:to]); return b })
		if slices.Equal(before, c.now[name].data) {
			continue
		}
		// Bytes that were zero before are not damaged.
		for before[from] == 0 {
			from++
		}
		for before[to-1] == 0 {
			to--
		}
		checkDamage(t, c, all, name, at, int64(from), int64(to))
	}
}

func TestCutAtEveryByte(t *testing.T) {
	for _, stopped := range []bool{true, false} {
		sim, all := build(t, 14, stopped)
		names := sim.list(segmentSuffix)
		for i, name := range names {
			at := places(t, sim, name)
			size := int64(len(sim.now[name].data))
			for cut := range size {
				c := sim.clone()
				c.edit(name, func(b []byte) []byte { return b[:cut] })
				what := fmt.Sprintf("stopped=%v, segment %d cut at %d of %d", stopped, i, cut, size)
				got := readAll(t, c)
				want := touched(at, cut, size)
				if lost := got.lost(all); !slices.Equal(lost, want) {
					t.Fatalf("%s: lost %v, touched %v", what, lost, want)
				}
				// Between two frames of the newest segment nobody can know that more followed.
				clean := slices.ContainsFunc(at, func(p place) bool { return p.to == cut }) &&
					(i == len(names)-1 || len(want) == 0)
				if len(got.damage) == 0 && !clean {
					t.Fatalf("%s: not reported", what)
				}
				checkGaps(t, what, all, want, got)
			}
		}
	}
}

// checkGaps verifies what the reader missed in front of the head.
func checkGaps(t *testing.T, what string, all map[uint64]rec, lost []uint64, got readback) {
	t.Helper()
	samples, books := uint64(0), uint64(0)
	for _, seq := range lost {
		if seq <= got.head {
			samples += uint64(all[seq].Samples)
		}
	}
	for _, g := range got.gaps {
		books += g.Samples
	}
	if samples != books {
		t.Fatalf("%s: lost %d samples, the reader missed %d: %+v", what, samples, books, got.gaps)
	}
}

// Bytes put in, or taken out, cost the frames that they hit, and no frame behind.
func TestShiftedBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 3))
	sim, all := build(t, 30, true)
	names := sim.list(segmentSuffix)
	for range 300 {
		name := names[rng.IntN(len(names))]
		at := places(t, sim, name)
		from := rng.IntN(len(sim.now[name].data))
		n := 1 + rng.IntN(100)
		c := sim.clone()
		insert := rng.IntN(2) == 0
		var want []uint64
		c.edit(name, func(b []byte) []byte {
			if insert {
				return slices.Insert(b, from, make([]byte, n)...)
			}
			return slices.Delete(b, from, min(from+n, len(b)))
		})
		if insert { // between two frames nothing is hit
			for _, p := range at {
				if p.kind == kindRecord && p.from < int64(from) && int64(from) < p.to {
					want = append(want, p.seq)
				}
			}
		} else {
			want = touched(at, int64(from), int64(from+n))
		}
		got := readAll(t, c)
		if lost := got.lost(all); !slices.Equal(lost, want) {
			t.Fatalf("%s at %d, %d bytes, insert %v: lost %v, touched %v", name, from, n, insert, lost, want)
		}
		none := insert && len(bytes.TrimRight(sim.now[name].data[from:], "\x00")) == 0 // zeros among those at the end
		if len(got.damage) == 0 && !none {
			t.Fatalf("%s at %d: not reported", name, from)
		}
	}
}

// Opening a damaged log twice finds the same records, and never fewer.
func TestRepairIsStable(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 3))
	sim, all := build(t, 30, true)
	names := sim.list(segmentSuffix)
	for range 100 {
		c := sim.clone()
		for range 1 + rng.IntN(4) {
			c.edit(names[rng.IntN(len(names))], func(b []byte) []byte { b[rng.IntN(len(b))] ^= 0x55; return b })
		}
		first := readAll(t, c)
		second := readAll(t, c)
		if diff := cmp.Diff(first.lost(all), second.lost(all)); diff != "" {
			t.Fatalf("the second start differs (-first +second):\n%s", diff)
		}
	}
}
