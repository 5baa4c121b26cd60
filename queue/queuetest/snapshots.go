package queuetest

import (
	"errors"
	"io"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// holdSnapshot fails the case when the newest snapshot is not the one wanted.
func (r *rig) holdSnapshot(wantSeq uint64, wantContent string) {
	r.Helper()
	content := ""
	seq, _, err := r.log.ReadSnapshot(func(in io.Reader) error {
		b, err := io.ReadAll(in)
		content = string(b)
		return err
	})
	if err != nil || seq != wantSeq || content != wantContent {
		r.Errorf("snapshot at %d with %d bytes, %v, want %d with %d", seq, len(content), err, wantSeq, len(wantContent))
	}
}

var snapshotCases = []testCase{
	{name: "snapshot: none at first", run: func(r *rig) {
		r.fill(3)
		seq, floor, err := r.log.ReadSnapshot(func(io.Reader) error { r.Error("read was called"); return nil })
		if seq != 0 || floor != 0 || err != nil {
			r.Errorf("%d, %d, %v", seq, floor, err)
		}
	}},
	{name: "snapshot: the newest, and the tail behind it", needs: survives, run: func(r *rig) {
		large := strings.Repeat("state ", 200_000)
		r.fill(5)
		r.snapshot("state at 5")
		r.fill(5)
		r.snapshot(large)
		r.fill(5)
		for range 2 {
			r.holdSnapshot(10, large)
			r.replayed(10)
			r.restart()
		}
		kept := r.store.Snapshots()
		if len(kept) < 2 || kept[0].Seq != 10 || kept[1].Seq != 5 || !kept[0].Created.Equal(r.now) {
			r.Errorf("kept %+v", kept)
		}
		if total, _ := r.log.TotalAt(10); kept[0].Total != total {
			r.Errorf("%d samples up to the snapshot, want %d", kept[0].Total, total)
		}
	}},
	{name: "snapshot: survives a power loss", needs: survives | losesPower, run: func(r *rig) {
		r.fill(5)
		r.snapshot("state")
		r.after(r.place.PowerLoss)
		r.holdSnapshot(5, "state")
	}},
	{name: "snapshot: stands for the log in front of it", needs: survives, run: func(r *rig) {
		for range 6 {
			r.fill(10)
			r.snapshot("state")
			r.steps.Maintain()
		}
		if oldest, ok := r.store.Oldest(); ok && oldest.First < 40 {
			r.Errorf("the oldest part is %+v", oldest)
		}
		r.restart()
		r.holdSnapshot(60, "state")
		r.replayed(60)
		if n := r.log.Samples(); n != r.sum {
			r.Errorf("%d samples ever, want %d", n, r.sum)
		}
		r.fill(2)
		if last := r.order[len(r.order)-1]; last != 62 {
			r.Errorf("the last record is %d", last)
		}
	}},
	{name: "snapshot: one that fails leaves the others", needs: survives | breaks, run: func(r *rig) {
		r.fill(5)
		r.snapshot("good")
		r.fill(5)
		r.place.Break(errBroken)
		write := func(w io.Writer) error { _, err := io.WriteString(w, "bad"); return err }
		if err := r.log.WriteSnapshot(10, 0, write); !errors.Is(err, errBroken) {
			r.Errorf("write: %v", err)
		}
		r.place.Break(nil)
		failed := errors.New("the state cannot be written")
		if err := r.log.WriteSnapshot(10, 0, func(io.Writer) error { return failed }); !errors.Is(err, failed) {
			r.Errorf("write: %v", err)
		}
		r.holdSnapshot(5, "good")
		r.restart()
		r.holdSnapshot(5, "good")
		r.replayed(5)
	}},
	{name: "snapshot: is due after bytes and after time", needs: survives, log: queue.Options{SnapshotBytes: 2000, SnapshotInterval: time.Hour}, run: func(r *rig) {
		r.fill(3)
		if r.log.SnapshotDue() {
			r.Error("due at once")
		}
		r.now = r.now.Add(2 * time.Hour)
		if !r.log.SnapshotDue() {
			r.Error("not due after the interval")
		}
		r.snapshot("state")
		if r.log.SnapshotDue() {
			r.Error("due when one was just written")
		}
		r.fill(40)
		r.steps.Maintain()
		if !r.log.SnapshotDue() {
			r.Error("not due after enough bytes")
		}
		select {
		case <-r.log.SnapshotSignal():
		default:
			r.Error("no signal")
		}
	}},
	{name: "snapshot: a clock that is reset", needs: survives, run: func(r *rig) {
		r.add(record{time: 9_000_000})
		r.snapshot("far ahead")
		r.cursor("dest", 1)
		r.close()
		r.openIdle()
		if f := r.log.Floor(); f != 9_000_000 {
			r.Errorf("floor %d", f)
		}
		r.must(r.log.ResetClock())
		if !r.log.SnapshotDue() {
			r.Error("no snapshot is due")
		}
		r.steps.Ready()
		r.snapshot("anew")
		r.add(record{time: 1000})
		for range 2 {
			r.restart()
			if f := r.log.Floor(); f != 1000 {
				r.Errorf("floor %d after the reset", f)
			}
			r.holdSnapshot(1, "anew")
		}
	}},
}
