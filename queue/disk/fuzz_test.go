package disk

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// fuzzStore is the identity in the golden directories.
var fuzzStore = storeID{'g', 'o', 'l', 'd', 'e', 'n', ' ', 's', 't', 'o', 'r', 'e', ' ', 'n', 'o', '1'}

// seeds adds the golden files whose names end with suffix.
func seeds(f *testing.F, suffix string) {
	f.Helper()
	sim := golden(f)
	for _, name := range sim.list(suffix) {
		b := sim.now[name].data
		f.Add(b)
		f.Add(b[:len(b)/2])
		c := slices.Clone(b)
		c[len(c)/3] ^= 0x10
		f.Add(c)
	}
	f.Add([]byte{})
}

// checkAllocation fails when f allocates out of proportion to its input.
func checkAllocation(t *testing.T, input int, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > uint64(64*input+4*mib) {
		t.Errorf("%d bytes allocated for %d bytes of input", got, input)
	}
}

// FuzzScan: whatever a segment holds, scanning ends, allocates little, and what it
// returns as good frames are frames: encoded again they are the same bytes. Good
// and damaged ranges cover the file without overlap.
func FuzzScan(f *testing.F) {
	seeds(f, segmentSuffix)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseSegmentHeader(b, "fuzz")
		good := err == nil
		if !good {
			h = segmentHeader{store: fuzzStore, number: 2}
		}
		checkAllocation(t, len(b), func() { scanAll(t, b, newView(h, good)) })
	})
}

func scanAll(t *testing.T, b []byte, v segmentView) {
	scan := newFileScanner(bytes.NewReader(b), "fuzz", v, int64(len(b)))
	at := min(v.start, int64(len(b)))
	for {
		fr, err := scan.next()
		var bad *CorruptionError
		switch {
		case errors.Is(err, io.EOF):
			if len(bytes.TrimRight(b[at:], "\x00")) > 0 {
				t.Fatalf("the end is at %d of %d", at, len(b))
			}
			return
		case errors.As(err, &bad):
			if bad.Offset != at || bad.Length <= 0 {
				t.Fatalf("at %d: damage at %d, %d bytes", at, bad.Offset, bad.Length)
			}
			at += bad.Length
			continue
		case err != nil:
			return // an unknown kind
		}
		if fr.offset != at {
			t.Fatalf("at %d: a frame at %d", at, fr.offset)
		}
		checkFrame(t, b[at:at+fr.size], scan.seed)
		at += fr.size
	}
}

func checkFrame(t *testing.T, b []byte, seed uint32) {
	fr, length, err := parseHeader(b, seed)
	if err != nil || frameHeaderSize+length != int64(len(b)) {
		t.Fatalf("a good frame does not parse: %v", err)
	}
	again := appendStored(nil, seed, fr, b[frameHeaderSize:])
	if !bytes.Equal(again, b) {
		t.Fatalf("encoded again:\n%x\n%x", again, b)
	}
}

// FuzzOpen: whatever a segment holds, the log opens, or says which newer version
// it needs; every record of the other segments is still there; and the log works.
func FuzzOpen(f *testing.F) {
	seeds(f, segmentSuffix)
	f.Fuzz(func(t *testing.T, b []byte) {
		sim := golden(t)
		names := sim.list(segmentSuffix)
		sim.add(names[len(names)-1], b)
		l, err := open(sim, simOptions())
		if err != nil {
			return
		}
		var first uint64
		push(t, l, rec{Body: "after"}, func(seq uint64) { first = seq })
		l.commitQueued()
		seqs, _ := drainStore(t, l)
		for _, want := range []uint64{1, 2, 3, first} {
			if !slices.Contains(seqs, want) {
				t.Errorf("record %d is not there: %v", want, seqs)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzCursorFile: whatever a cursor file holds, positions come back only if their
// checksum is good. The input is the start of the header and of both slots: the
// zeros behind them would only slow the fuzzer down.
func FuzzCursorFile(f *testing.F) {
	for _, dir := range goldenDirs {
		file := goldenFiles(f, dir)["golden-dd56de4137951d9c.cursor"]
		one, two := file[slotsAt:slotsAt+400], file[slotsAt+pageSize:slotsAt+pageSize+400]
		f.Add(file[:60], one, two)
		f.Add(file[:20], two, one[:50])
	}
	f.Add([]byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, header, one, two []byte) {
		file := make([]byte, slotsAt+2*pageSize)
		copy(file[:slotsAt], header)
		copy(file[slotsAt:slotsAt+pageSize], one)
		copy(file[slotsAt+pageSize:], two)
		checkAllocation(t, len(file), func() { checkCursorFile(t, file) })
	})
}

func checkCursorFile(t *testing.T, b []byte) {
	c, err := parseCursorFile(b, "fuzz", fuzzStore)
	if err != nil || !c.found {
		return
	}
	at := slotsAt + c.which*((len(b)-slotsAt)/2)
	if c.version == 1 {
		return // is not written any more
	}
	again := appendSlot(nil, fuzzStore, c.slot)
	if !bytes.Equal(again, b[at:at+len(again)]) {
		t.Errorf("encoded again:\n%x\n%x", again, b[at:at+len(again)])
	}
}

// FuzzSnapshotFile: whatever a snapshot holds, its content is handed out only if
// its checksum is good.
func FuzzSnapshotFile(f *testing.F) {
	seeds(f, snapshotSuffix)
	f.Fuzz(func(t *testing.T, b []byte) {
		sim := newSim()
		name := numbered(3, snapshotSuffix)
		sim.add("/store/"+name, b)
		d := &directory{fs: sim, dir: "/store", id: fuzzStore}
		h, err := d.snapshotHeader(name)
		if err != nil && !errors.Is(err, errPreamble) {
			return
		}
		checkAllocation(t, len(b), func() {
			_ = d.readSnapshot(snapshotInfo{h, name, int64(len(b))}, func(r io.Reader) error {
				content, err := io.ReadAll(r)
				sum := &summer{w: io.Discard, sum: seedOf(h.store, h.seq)}
				_, _ = sum.Write(content)
				want := b[len(b)-snapshotTrailerSize+8:][:4]
				if got := []byte{byte(sum.sum), byte(sum.sum >> 8), byte(sum.sum >> 16), byte(sum.sum >> 24)}; !bytes.Equal(got, want) {
					t.Errorf("content with checksum %x, the trailer says %x", got, want)
				}
				return err
			})
		})
	})
}

// golden is a disk with the files of testdata/v1.
func golden(t testing.TB) *simDisk {
	t.Helper()
	sim := newSim()
	for name, b := range goldenFiles(t, goldenDir) {
		sim.add(filepath.Join("/store", name), b)
	}
	return sim
}
