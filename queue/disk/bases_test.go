package disk

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/pushbridge/pushbridge/queue"
)

// buildAlike returns a disk with one segment of records of three kinds, a few of which
// are like no other.
func buildAlike(t testing.TB, records int) (*simDisk, map[uint64]rec) {
	t.Helper()
	sim := newSim()
	o := simOptions()
	o.SegmentBytes = mib
	l, err := open(sim, o)
	if err != nil {
		t.Fatal(err)
	}
	all := map[uint64]rec{}
	for i := range records {
		r := rec{Time: int64(1000 + i*i), Samples: 3 + i, Body: fmt.Sprintf("~%d%s:%d", i%3, strings.Repeat("kind", 20), i)}
		if i%20 == 7 {
			r.Body = fmt.Sprint("alone ", i)
		}
		push(t, l, r, func(seq uint64) { all[seq] = r })
		l.commitQueued()
	}
	if err := errors.Join(l.finish(), l.Close()); err != nil {
		t.Fatal(err)
	}
	return sim.clone(), all
}

// based returns the records of a segment that were written as a difference, by base.
func based(t testing.TB, sim *simDisk, name string) map[uint64][]uint64 {
	t.Helper()
	b := sim.now[name].data
	h, err := parseSegmentHeader(b, name)
	if err != nil {
		t.Fatal(err)
	}
	by := map[uint64][]uint64{}
	scan := newFileScanner(&simFile{d: sim, n: sim.now[name]}, name, newView(h, true), int64(len(b)))
	for {
		f, err := scan.next()
		if errors.Is(err, io.EOF) {
			return by
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.kind == kindDiff {
			base, _, err := splitDiff(&f)
			if err != nil {
				t.Fatal(err)
			}
			by[base] = append(by[base], f.seq)
		}
	}
}

// TestBaseFlipped holds promise 4 for records that others differ from: a bit that is
// flipped costs the record that it hits and those that differ from it, 64 at most. They are
// named, with their samples, and nothing comes back changed.
func TestBaseFlipped(t *testing.T) {
	sim, all := buildAlike(t, 450)
	name := sim.list(segmentSuffix)[0]
	by := based(t, sim, name)
	most, sum := 0, 0
	for _, on := range by {
		most, sum = max(most, len(on)), sum+len(on)
	}
	if most != maxUses || sum < 400 {
		t.Fatalf("%d of %d records are differences, %d to one base at most", sum, len(all), most)
	}
	worst := 0
	for _, p := range places(t, sim, name) {
		if p.kind == kindRecord && by[p.seq] != nil || p.seq%50 == 0 {
			for _, at := range []int64{p.from + 1, p.from + 20, p.to - 1} {
				worst = max(worst, flipOne(t, sim, all, by, name, p, at))
			}
		}
	}
	if worst != 1+maxUses {
		t.Errorf("%d records lost at most, want %d", worst, 1+maxUses)
	}
}

// flipOne flips a bit of the frame at p and returns how many records that costs.
func flipOne(t *testing.T, sim *simDisk, all map[uint64]rec, by map[uint64][]uint64, name string, p place, at int64) int {
	t.Helper()
	c := sim.clone()
	c.edit(name, func(b []byte) []byte { b[at] ^= 0x10; return b })
	got := readAll(t, c)
	var want []uint64
	if p.kind == kindRecord || p.kind == kindDiff {
		want = append([]uint64{p.seq}, by[p.seq]...)
	}
	lost := got.lost(all)
	if !slices.Equal(lost, want) {
		t.Fatalf("a bit of record %d at %d: lost %v, want %v", p.seq, at, lost, want)
	}
	for seq, r := range got.records {
		if all[seq] != r {
			t.Fatalf("a bit of record %d at %d: record %d came back changed", p.seq, at, seq)
		}
	}
	checkNamed(t, fmt.Sprint("a bit of record ", p.seq), all, lost, got)
	report, err := inspect(c, "/store")
	if err != nil {
		t.Fatal(err)
	}
	named := uint64(0)
	for _, d := range report.Damage {
		if d.First != 0 {
			named += d.Last - d.First + 1
		}
	}
	if named != uint64(len(lost)) {
		t.Fatalf("a bit of record %d at %d: %d records are named by Inspect, want %d", p.seq, at, named, len(lost))
	}
	return len(lost)
}

// TestBase_FromTheMiddle: a reader that begins behind a base, or comes from the ring, finds it.
func TestBase_FromTheMiddle(t *testing.T) {
	sim, all := buildAlike(t, 100)
	for after := range uint64(100) {
		l, err := open(sim.clone(), simOptions())
		if err != nil {
			t.Fatal(err)
		}
		r := l.NewReader(after)
		it, ok, err := r.TryNext()
		if err != nil || !ok || it.Seq != after+1 || it.Record != all[after+1] {
			t.Errorf("behind %d: record %d, %v, %v", after, it.Seq, ok, err)
		}
		if err := errors.Join(r.Close(), l.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBase_NewSegment: behind a failure nothing differs from what may be lost.
func TestBase_NewSegment(t *testing.T) {
	sim := newSim()
	l, err := open(sim, simOptions())
	if err != nil {
		t.Fatal(err)
	}
	var kept []uint64
	note := func(seq uint64) { kept = append(kept, seq) }
	push(t, l, rec{Body: "~a:first"}, note)
	l.commitQueued()
	sim.fault = failOps(errShortOp, "sync")
	push(t, l, rec{Body: "~a:fails"}, nil)
	l.commitQueued()
	sim.fault = nil
	l.reopen()
	push(t, l, rec{Body: "~a:second"}, note)
	l.commitQueued()
	if len(kept) != 2 {
		t.Fatalf("records %v are kept", kept)
	}
	got := readAll(t, sim.clone())
	if len(got.damage) > 0 || got.records[kept[0]].Body != "~a:first" || got.records[kept[1]].Body != "~a:second" {
		t.Errorf("%v, damage %v", got.records, got.damage)
	}
	for _, name := range sim.list(segmentSuffix) {
		if by := based(t, sim, name); len(by) > 0 {
			t.Errorf("%s: differences to %v", name, by)
		}
	}
}

// TestBases_Bound: what writer and tail keep of bases stays within its bounds.
func TestBases_Bound(t *testing.T) {
	var b bases
	for i := range 100 {
		if !b.note(i, &queue.Base{}, uint64(i+1), mib) {
			t.Fatal("is no base")
		}
	}
	if n := int64(len(b.alike)) * mib; n > maxBaseBytes || n != b.size.Load() {
		t.Errorf("%d bytes, counted as %d", n, b.size.Load())
	}
	if b.note("large", &queue.Base{}, 101, maxBaseBytes) || b.use("large") != nil {
		t.Error("a record that leaves no room for others is a base")
	}
	if b.clear(); b.size.Load() != 0 || b.use(99) != nil {
		t.Error("bases outlive the segment")
	}
	var r readBases
	for i := range 100 {
		r.keep(uint64(i), &queue.Base{}, mib)
		if n := int64(len(r.kept)) * mib; n > maxKeptBases || n != r.size {
			t.Fatalf("a tail keeps %d bytes, counted as %d", n, r.size)
		}
	}
}
