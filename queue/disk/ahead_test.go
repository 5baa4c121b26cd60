package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/pushbridge/pushbridge/queue"
)

// aheadOptions have steps of 2,000 bytes of zeros, for pieces of up to 250 bytes.
func aheadOptions(mode FsyncMode) options {
	o := simOptions()
	o.SegmentBytes, o.Fsync = 4000, mode
	return o
}

// length returns the size of the newest segment's file, and how many bytes of it are frames,
// once nothing goes on any more.
func (l *testLog) length(sim *simDisk) (file, frames int64) {
	synctest.Wait()
	names := sim.list(segmentSuffix)
	sim.mu.Lock()
	defer sim.mu.Unlock()
	l.disk.segments.mu.Lock()
	defer l.disk.segments.mu.Unlock()
	newest := l.disk.segments.list[len(l.disk.segments.list)-1]
	return int64(len(sim.now[names[len(names)-1]].data)), newest.view.size
}

// TestAhead: the file grows by steps where each record is synced, and ends with its footer
// when it is sealed.
func TestAhead(t *testing.T) {
	large := make([]byte, 400) // a few fill a step
	_, _ = rand.NewChaCha8([32]byte{}).Read(large)
	for _, row := range []struct {
		mode FsyncMode
		body string
		file int64 // 0: no longer than its frames
	}{
		{Always, "one push", 2080},
		{Always, string(large), 0},
		{Interval, "one push", 0},
		{Off, "one push", 0},
	} {
		t.Run(fmt.Sprintf("%v/%d bytes", row.mode, len(row.body)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := newSim()
				l, stop := startSim(t, sim, aheadOptions(row.mode))
				for range 3 {
					add(t, l, rec{Body: row.body})
					file, frames := l.length(sim)
					if want := max(row.file, frames); file != want || l.bytes() != want {
						t.Errorf("the file has %d bytes, %d are counted, want %d", file, l.bytes(), want)
					}
				}
				stop()
				if file, frames := l.length(sim); file != frames+footerSize || l.bytes() != file {
					t.Errorf("the sealed file has %d bytes, %d are counted, want %d", file, l.bytes(), frames+footerSize)
				}
			})
		})
	}
}

// TestAheadSteps: a segment gets no zeros beyond its size, and its records are where they were.
func TestAheadSteps(t *testing.T) { synctest.Test(t, testAheadSteps) }

func testAheadSteps(t *testing.T) {
	sim := newSim()
	l, _ := startSim(t, sim, aheadOptions(Always))
	lengths := map[int64]bool{}
	for i := range 60 {
		add(t, l, rec{Body: fmt.Sprint("push ", i)})
		if file, frames := l.length(sim); frames < 3900 { // the last record may be longer than what is left
			lengths[file] = true
		}
	}
	if len(lengths) != 2 || !lengths[2080] || !lengths[4000] {
		t.Errorf("files had %v bytes, want 2080 and 4000", lengths)
	}
	if got := readAll(t, sim.crash(true, nil)); len(got.records) != 60 || len(got.damage) != 0 {
		t.Errorf("after a kill there are %d records, damage %v", len(got.records), got.damage)
	}
}

// TestAheadWithoutRoom: zeros that do not fit keep no record away that does.
func TestAheadWithoutRoom(t *testing.T) { synctest.Test(t, testAheadWithoutRoom) }

func testAheadWithoutRoom(t *testing.T) {
	sim := newSim()
	l, stop := startSim(t, sim, aheadOptions(Always))
	add(t, l, rec{Body: "a record, and zeros behind it"})
	file, frames := l.length(sim)
	sim.mu.Lock()
	sim.capacity = sim.usedLocked() + 300 // as much as a few records, and no step
	sim.mu.Unlock()
	kept := 1
	for {
		if _, err := tryAdd(l, rec{Body: "a record"}); err != nil {
			if !errors.Is(err, queue.ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("append without room: %v", err)
			}
			break
		}
		kept++
	}
	record := int64(frameHeaderSize + len(encodeRec(nil, rec{Body: "a record"})))
	if want := 1 + int((file+300-frames)/record); kept != want {
		t.Errorf("%d records found room, want %d", kept, want)
	}
	sim.mu.Lock()
	sim.capacity = 0
	sim.mu.Unlock()
	stop()
	if got := readAll(t, sim); len(got.records) < kept || len(got.damage) != 0 {
		t.Errorf("%d records of %d, damage %v", len(got.records), kept, got.damage)
	}
}

// TestAheadWhileItIsWritten: who inspects a segment that another process writes reads zeros, and
// then the record that was written over them. That is no damage.
func TestAheadWhileItIsWritten(t *testing.T) {
	sim := newSim()
	l, stop := startSim(t, sim, aheadOptions(Always))
	for i := range 3 {
		add(t, l, rec{Body: fmt.Sprint("push ", i)})
	}
	stop()
	name := sim.list(segmentSuffix)[0]
	places := places(t, sim, name)
	b := append(bytes.Clone(sim.now[name].data), make([]byte, 2*scanChunk)...) // more than is read at once
	h, err := parseSegmentHeader(b, name)
	if err != nil {
		t.Fatal(err)
	}
	early := append(bytes.Clone(b[:places[2].from]), make([]byte, len(b)-int(places[2].from))...)
	scan := newFileScanner(&overwritten{early, b}, name, newView(h, true), int64(len(b)))
	for range places[1:] { // records and footer
		if _, err := scan.next(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := scan.next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

// overwritten is a file that has more in it from the second read on.
type overwritten struct{ before, after []byte }

func (w *overwritten) ReadAt(b []byte, off int64) (int, error) {
	defer func() { w.before = w.after }()
	return bytes.NewReader(w.before).ReadAt(b, off)
}

// TestZeroedEnd: zeros in the place of what was published are damage, not zeros ahead.
func TestZeroedEnd(t *testing.T) {
	sim, _ := build(t, 30, true)
	name := sim.list(segmentSuffix)[1]
	all := places(t, sim, name)
	last := all[len(all)-2] // the footer stays
	sim.edit(name, func(b []byte) []byte { clear(b[last.from:last.to]); return b })
	got := readAll(t, sim)
	if len(got.damage) != 1 || got.damage[0].First != last.seq || got.damage[0].Last != last.seq || got.damage[0].Length != last.to-last.from {
		t.Errorf("damage %+v, want record %d, %d bytes", got.damage, last.seq, last.to-last.from)
	}
}
