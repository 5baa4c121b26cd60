package disk

import (
	"errors"
	"io"
	"testing"
)

// The floor comes back from whatever file knows it.
func TestFloor(t *testing.T) {
	for _, row := range []struct {
		name string
		keep string // suffix of the files that survive, beside the store file
		want int64
	}{
		{"a record in a segment", segmentSuffix, 5000},
		{"a snapshot", snapshotSuffix, 5000},
		{"a cursor", cursorSuffix, 5000},
		{"nothing", "none", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			sim := newSim()
			l, err := open(sim, simOptions())
			if err != nil {
				t.Fatal(err)
			}
			c, _, err := l.OpenCursor("dest", 1)
			if err != nil {
				t.Fatal(err)
			}
			push(t, l, rec{Time: 5000}, nil)
			push(t, l, rec{Time: 4000}, nil)
			l.commitQueued()
			err = l.WriteSnapshot(2, 0, func(io.Writer) error { return nil })
			if err := errors.Join(err, c.Sent(0, 2), l.finish(), l.Close()); err != nil {
				t.Fatal(err)
			}
			for _, suffix := range []string{segmentSuffix, snapshotSuffix, cursorSuffix} {
				for _, name := range sim.list(suffix) {
					if suffix != row.keep {
						delete(sim.now, name)
					}
				}
			}
			l, err = open(sim, simOptions())
			if err != nil {
				t.Fatal(err)
			}
			if got := l.Floor(); got != row.want {
				t.Errorf("floor %d, want %d", got, row.want)
			}
		})
	}
}

// ResetClock forgets timestamps for good, also those in files that stay.
func TestResetClock(t *testing.T) {
	sim := newSim()
	open1 := func() *testLog {
		l, err := open(sim, simOptions())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.OpenCursor("dest", 1); err != nil {
			t.Fatal(err)
		}
		return l
	}
	snapshot := func(l *testLog) {
		err := l.WriteSnapshot(l.Head(), l.Floor(), func(io.Writer) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	l := open1()
	push(t, l, rec{Time: 9_000_000}, nil) // the clock was far ahead
	l.commitQueued()
	snapshot(l)
	if err := errors.Join(l.finish(), l.Close()); err != nil {
		t.Fatal(err)
	}

	l = open1()
	if got := l.Floor(); got != 9_000_000 {
		t.Errorf("floor %d before the reset", got)
	}
	if err := l.ResetClock(); err != nil {
		t.Fatal(err)
	}
	if !l.SnapshotDue() {
		t.Error("no snapshot is due")
	}
	snapshot(l)
	push(t, l, rec{Time: 1000}, nil)
	l.commitQueued()
	if err := errors.Join(l.finish(), l.Close()); err != nil {
		t.Fatal(err)
	}

	for _, name := range []string{"", "/store/store"} {
		delete(sim.now, name)
		l = open1()
		if got := l.Floor(); got != 1000 {
			t.Errorf("floor %d after the reset, without %q", got, name)
		}
		_, floor, err := l.ReadSnapshot(func(io.Reader) error { return nil })
		if err != nil || floor != 0 {
			t.Errorf("snapshot with floor %d, %v", floor, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
