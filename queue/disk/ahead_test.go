package disk

import (
	"errors"
	"fmt"
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
