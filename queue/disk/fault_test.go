package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/queue"
)

// failOps is a fault that hits the named operations until it is taken away.
func failOps(err error, ops ...string) func(op, name string) error {
	return func(op, _ string) error {
		if slices.Contains(ops, op) {
			return err
		}
		return nil
	}
}

// startSim opens a log on sim and runs it.
func startSim(t *testing.T, sim *simDisk, o options) (l *testLog, stop func()) {
	t.Helper()
	l, err := open(sim, o)
	if err != nil {
		t.Fatal(err)
	}
	return l, run(t, l)
}

// drainReader returns everything that r has at present.
func drainReader(t *testing.T, r *queue.Reader[rec]) (seqs []uint64, gaps []queue.GapError) {
	t.Helper()
	for {
		it, ok, err := r.TryNext()
		var gap *queue.GapError
		switch {
		case errors.As(err, &gap):
			gaps = append(gaps, *gap)
		case err != nil:
			t.Fatal(err)
		case !ok:
			return seqs, gaps
		case !it.Ephemeral:
			seqs = append(seqs, it.Seq)
		}
	}
}

// TestDiskFails: whatever the disk refuses, what waits fails, nothing that was
// reported done is lost, no fsync is tried again on the same descriptor, and the
// log works again when the disk does.
func TestDiskFails(t *testing.T) {
	eio := errors.New("I/O error")
	for _, row := range []struct {
		name  string
		fault func(sim *simDisk) func(op, name string) error
	}{
		{"write fails", func(*simDisk) func(string, string) error { return failOps(eio, "write") }},
		{"write is short", func(*simDisk) func(string, string) error { return failOps(errShortOp, "write") }},
		{"fsync fails", func(*simDisk) func(string, string) error { return failOps(eio, "sync") }},
		{"nothing works but reading", func(*simDisk) func(string, string) error {
			return failOps(syscall.EROFS, "write", "sync", "create", "truncate", "remove", "rename", "syncdir", "edit")
		}},
		{"fsync and the new segment fail", func(*simDisk) func(string, string) error { return failOps(eio, "sync", "create") }},
		{"fsync and that of the directory fail", func(*simDisk) func(string, string) error { return failOps(eio, "sync", "syncdir") }},
		{"fsync fails and nothing can be tidied up", func(*simDisk) func(string, string) error {
			return failOps(eio, "sync", "truncate", "remove")
		}},
		{"disk is full", func(sim *simDisk) func(string, string) error {
			sim.capacity = sim.usedLocked() + 100
			return nil
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := newSim()
				l, stop := startSim(t, sim, simOptions())
				var kept []uint64
				for i := range 5 {
					kept = append(kept, add(t, l, rec{Samples: i, Body: "before"}))
				}

				sim.mu.Lock()
				sim.fault = row.fault(sim)
				sim.mu.Unlock()
				for range 3 {
					if _, err := tryAdd(l, rec{Body: "a record that does not fit in a hundred bytes, whatever is done about it, and so fails"}); !errors.Is(err, queue.ErrUnavailable) {
						t.Errorf("append while the disk fails: %v", err)
					}
				}
				time.Sleep(time.Minute) // many attempts
				if err := l.Err(); row.name != "disk is full" && !errors.Is(err, queue.ErrUnavailable) {
					t.Errorf("Err is %v while the disk fails", err)
				}

				sim.mu.Lock()
				sim.fault, sim.capacity = nil, 0
				sim.mu.Unlock()
				time.Sleep(maxBackoff)
				if err := l.Err(); err != nil {
					t.Errorf("the disk works again: %v", err)
				}
				kept = append(kept, add(t, l, rec{Samples: 7, Body: "after"}))

				checkKept(t, l, kept)
				stop()
				again, stop := startSim(t, sim, simOptions())
				checkKept(t, again, kept)
				if bad := again.damage(); len(bad) != 0 {
					t.Errorf("damage: %v", bad)
				}
				if seq := add(t, again, rec{}); seq <= kept[len(kept)-1] {
					t.Errorf("sequence %d is used again", seq)
				}
				stop()
				if len(sim.violations) != 0 {
					t.Error(sim.violations)
				}
			})
		})
	}
}

// checkKept verifies that a reader gets exactly the records in kept, with no gap:
// sequences that failed are not missing.
func checkKept(t *testing.T, l *testLog, kept []uint64) {
	t.Helper()
	r := l.NewReader(0)
	var seqs []uint64
	for range kept { // the last one may be published a moment after it was reported done
		it, err := next(t, r)
		if err != nil {
			t.Errorf("read behind %v: %v", seqs, err)
		}
		seqs = append(seqs, it.Seq)
	}
	more, gaps := drainReader(t, r)
	seqs = append(seqs, more...)
	if diff := cmp.Diff(kept, seqs); diff != "" || len(gaps) != 0 {
		t.Errorf("gaps %v, records (-want +got):\n%s", gaps, diff)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// A disk that takes a segment's header and then no record must not be filled with
// headers: the pause between attempts grows.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := newSim()
		created := 0
		sim.fault = func(op, _ string) error {
			if op == "create" {
				created++
			}
			return nil
		}
		l, stop := startSim(t, sim, simOptions())
		add(t, l, rec{})
		sim.mu.Lock()
		sim.capacity = sim.usedLocked() + segmentHeaderSize
		begin := created
		sim.mu.Unlock()
		for range 600 { // a minute of pushes
			_, _ = tryAdd(l, rec{Body: "more than is left"})
			time.Sleep(100 * time.Millisecond)
		}
		sim.mu.Lock()
		if n := created - begin; n > 60 {
			t.Errorf("%d segments were made in a minute on a full disk", n)
		}
		sim.mu.Unlock()
		if n := len(sim.list(segmentSuffix)); n > 2 {
			t.Errorf("%d segments are left", n)
		}
		sim.mu.Lock()
		sim.capacity = 0
		sim.mu.Unlock()
		time.Sleep(maxBackoff)
		add(t, l, rec{})
		stop()
	})
}

// Records that build on one another are appended under a lock of their own. The
// failure of one fails everything that was built on it, what is appended only after
// that included, and nothing that came after it was taken back.
func TestGenerations(t *testing.T) {
	sim := newSim()
	l, stop := startSim(t, sim, simOptions())
	defer stop()

	var store sync.Mutex
	chain := 0              // what the next record builds on; under store
	good := 0               // what is durable
	generation := uint64(0) // of chain
	failures, refused := 0, 0
	settled := func(mine int, err error) {
		store.Lock()
		defer store.Unlock()
		switch {
		case err == nil && mine != good+1:
			t.Errorf("record %d is done after %d", mine, good)
		case err == nil:
			good = mine
		case l.Generation() != generation: // the first that failed
			chain, generation = good, l.Generation()
		}
	}
	push := func() {
		done := make(chan error, 1)
		store.Lock()
		chain++
		mine := chain
		err := l.Append(rec{Time: int64(mine)}, generation, func(_ uint64, err error) {
			settled(mine, err)
			done <- err
		})
		if errors.Is(err, queue.ErrAborted) {
			refused++
		}
		store.Unlock()
		if err == nil {
			err = <-done
		}
		if err != nil {
			store.Lock()
			failures++
			store.Unlock()
		}
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 100 {
				push()
				if i == 0 {
					sim.mu.Lock()
					if sim.fault == nil {
						sim.fault = failOps(errShortOp, "write", "create")
					} else {
						sim.fault = nil
					}
					sim.mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if failures == 0 || good == 0 {
		t.Errorf("%d records failed, %d were kept", failures, good)
	}
	t.Logf("%d records were kept, %d failed, of which %d were refused", good, failures, refused)
	last := 0
	r := l.NewReader(0)
	for last < good { // the last one may be published a moment after it was reported done
		it, err := next(t, r)
		if err != nil {
			t.Fatal(err)
		}
		if int(it.Record.Time) != last+1 {
			t.Fatalf("read %d after %d", it.Record.Time, last)
		}
		last++
	}
	if more, _ := drainReader(t, r); len(more) != 0 {
		t.Errorf("read %v, too", more)
	}
	if last != good {
		t.Errorf("read %d records, %d were reported done", last, good)
	}
}

// Ephemeral records fall with the records before them, and are not taken while
// the log takes none.
func TestEmitWhileFailing(t *testing.T) {
	sim := newSim()
	o := simOptions()
	o.RingBytes = 1 << 20
	l, err := open(sim, o)
	if err != nil {
		t.Fatal(err)
	}
	l.reopen()
	sim.fault = failOps(errShortOp, "write", "create")
	push(t, l, rec{}, nil)
	l.Emit(rec{Body: "falls"}, 0)
	l.commitQueued()
	l.Emit(rec{Body: "is not taken"}, 1)
	sim.fault = nil
	l.reopen()
	push(t, l, rec{}, nil)
	l.Emit(rec{Body: "is of a generation that has failed"}, 0)
	l.Emit(rec{Body: "passes"}, 1)
	l.commitQueued()
	var got []string
	r := l.NewReader(0)
	for {
		it, ok, err := r.TryNext()
		if err != nil || !ok {
			break
		}
		got = append(got, fmt.Sprint(it.Seq, it.Ephemeral)+it.Record.Body)
	}
	if diff := cmp.Diff([]string{"2 false", "2 truepasses"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Too much that waits for the disk is refused before it is taken.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := newSim()
		o := simOptions()
		o.MaxQueuedBytes = 1000
		l, stop := startSim(t, sim, o)
		synctest.Wait()
		stuck := make(chan struct{})
		sim.onSync = func() { <-stuck }
		waiting := 0
		for l.Err() == nil {
			push(t, l, rec{Body: "0123456789"}, nil)
			waiting++
		}
		if err := l.Err(); !errors.Is(err, queue.ErrBusy) || waiting*74 < 1000 || waiting*74 > 1100 {
			t.Errorf("%d records wait, Err is %v", waiting, err)
		}
		l.Emit(rec{Body: "is not taken"}, 0)
		close(stuck)
		synctest.Wait()
		if err := l.Err(); err != nil || l.Head() != uint64(waiting) {
			t.Errorf("the disk is quick again: %v, head %d", err, l.Head())
		}
		stop()
	})
}

// After Run has ended, records fail at once.
func TestClosed(t *testing.T) {
	l, stop := start(t, options{Dir: t.TempDir()})
	add(t, l, rec{})
	stop()
	if _, err := tryAdd(l, rec{}); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if err := l.Err(); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("Err: %v", err)
	}
	l.Emit(rec{}, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := l.NewReader(0)
	if it, err := r.Next(ctx); err != nil || it.Seq != 1 {
		t.Errorf("what was appended can still be read: %v, %v", it, err)
	}
	if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("at the end: %v", err)
	}
}

// TestFsyncModes shows what each mode can lose. Nothing is lost by kill -9.
func TestFsyncModes(t *testing.T) {
	for _, row := range []struct {
		mode FsyncMode
		want uint64 // of 30 records in 3 seconds, what a power loss leaves at least
		some bool   // more may have reached the disk
	}{
		{Always, 30, false},
		{Interval, 20, true},
		{Off, 0, true},
	} {
		t.Run(row.mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := newSim()
				o := simOptions()
				o.Fsync, o.SegmentBytes = row.mode, 1<<20
				l, stop := startSim(t, sim, o)
				for range 30 {
					add(t, l, rec{Body: "a record"})
					time.Sleep(99 * time.Millisecond)
				}
				sim.mu.Lock()
				sim.onSync = nil
				sim.mu.Unlock()
				for _, kill := range []bool{true, false} {
					got, err := open(sim.crash(kill, nil), o)
					if err != nil {
						t.Fatal(err)
					}
					want := row.want
					if kill {
						want = 30
					}
					if head := got.Head(); head != want && (!row.some || head < want) {
						t.Errorf("kill %v: %d records are left, want %d", kill, head, want)
					}
				}
				stop()
				stopped, err := open(sim.crash(false, nil), o)
				if err != nil {
					t.Fatal(err)
				}
				if head := stopped.Head(); head != 30 && row.mode != Off {
					t.Errorf("%d records are left after a proper stop and a power loss", head)
				}
			})
		})
	}
}

// A failed fsync of Interval costs no record that a later power loss does not hit,
// and asks for a snapshot.
func TestIntervalFsyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := newSim()
		o := simOptions()
		o.Fsync = Interval
		l, stop := startSim(t, sim, o)
		kept := []uint64{add(t, l, rec{Body: "one"}), add(t, l, rec{Body: "two"})}
		sim.mu.Lock()
		sim.fault = failOps(errors.New("I/O error"), "sync")
		sim.mu.Unlock()
		time.Sleep(1100 * time.Millisecond)
		if err := l.Err(); !errors.Is(err, queue.ErrUnavailable) {
			t.Errorf("Err: %v", err)
		}
		if !l.SnapshotDue() {
			t.Error("no snapshot is due")
		}
		sim.mu.Lock()
		sim.fault = nil
		sim.mu.Unlock()
		time.Sleep(maxBackoff)
		kept = append(kept, add(t, l, rec{Body: "three"}))
		checkKept(t, l, kept)
		stop()
		if len(sim.violations) != 0 {
			t.Error(sim.violations)
		}
	})
}

// A snapshot that fails leaves the old ones alone, and is due again.
func TestSnapshotFails(t *testing.T) {
	sim := newSim()
	now := time.UnixMilli(1e6)
	o := simOptions()
	o.Now = func() time.Time { return now }
	l, err := open(sim, o)
	if err != nil {
		t.Fatal(err)
	}
	write := func(w io.Writer) error { _, err := w.Write([]byte("state")); return err }
	appendOne := func() {
		push(t, l, rec{}, nil)
		l.commitQueued()
	}
	appendOne()
	if err := l.WriteSnapshot(1, 0, write); err != nil {
		t.Fatal(err)
	}
	for _, fault := range []func(string, string) error{
		failOps(errors.New("I/O error"), "rename"), failOps(errors.New("I/O error"), "sync"), failOps(errShortOp, "write"),
		failOps(errors.New("I/O error"), "create"), failOps(errors.New("I/O error"), "syncdir"),
	} {
		appendOne()
		now = now.Add(time.Hour)
		if !l.SnapshotDue() {
			t.Fatal("no snapshot is due after an hour")
		}
		sim.fault = fault
		if err := l.WriteSnapshot(l.Head(), 0, write); err == nil {
			t.Error("the snapshot was written")
		}
		sim.fault = nil
		if l.SnapshotDue() {
			t.Error("due again at once")
		}
		now = now.Add(snapshotRetry + o.SnapshotInterval + time.Hour)
		if !l.SnapshotDue() {
			t.Error("not due again")
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, err = open(sim.crash(true, nil), o)
	if err != nil {
		t.Fatal(err)
	}
	content := ""
	if seq, _, err := l.ReadSnapshot(func(r io.Reader) error {
		b, err := io.ReadAll(r)
		content = string(b)
		return err
	}); err != nil || seq == 0 || content != "state" {
		t.Errorf("snapshot %d %q, %v", seq, content, err)
	}
}
