package queue

import (
	"errors"
	"math"
	"os"
	"time"
)

// houseInterval is how often cursors are made durable and bounds are checked,
// apart from the moments when a segment or a snapshot was finished.
const houseInterval = time.Second

// keepHouse runs beside the commit loop until stop is closed.
func (l *Log[R]) keepHouse(stop <-chan struct{}) {
	tick := time.NewTicker(houseInterval)
	defer tick.Stop()
	l.maintain() // lives that are all shorter than the interval would never keep the bounds
	for {
		select {
		case <-stop:
			l.cursors.sync()
			return
		case <-tick.C:
		case <-l.snapshots.house:
		}
		l.maintain()
	}
}

// maintain makes cursors durable, removes what nobody needs, keeps the bounds, and
// says when a snapshot is due.
func (l *Log[R]) maintain() {
	l.endOrphans()
	l.cursors.sync()
	if l.disk == nil {
		l.boundMemory()
		return
	}
	l.removePassed()
	l.keepBounds()
	if l.SnapshotDue() {
		l.snapshots.signal()
	}
}

// removePassed removes segments that every cursor has passed and every kept
// snapshot covers: with the older of two, a damaged snapshot costs nothing.
func (l *Log[R]) removePassed() {
	_, covered := l.snapshots.covered()
	l.removeUpTo(min(covered, l.cursors.passed()))
}

// removeUpTo removes the oldest segments as far as they hold nothing behind seq.
func (l *Log[R]) removeUpTo(seq uint64) {
	for {
		oldest, v := l.disk.oldestSealed()
		if oldest == nil || v.last > seq {
			return
		}
		if !l.disk.remove(oldest) {
			return
		}
	}
}

// keepBounds removes the oldest segments while the log is larger than it may be.
// What a destination still needs goes too, or with Reject nothing more is taken.
func (l *Log[R]) keepBounds() {
	full := false
	for excess := l.excess(); excess > 0; {
		oldest, v := l.disk.oldestSealed()
		if oldest == nil {
			break
		}
		newest, _ := l.snapshots.covered()
		if v.last > newest { // the state is nowhere else
			l.snapshots.want()
			break
		}
		passed, used := l.cursors.passedBy()
		needed := v.last > passed
		if full = v.last > used && l.o.OnFull == Reject; full {
			break
		}
		if needed && !l.dropSegment(oldest, v) || !needed && !l.disk.remove(oldest) {
			break
		}
		excess -= v.bytes
	}
	l.setFull(full)
}

// excess returns how many bytes have to go: segments and snapshots take more than
// they may, or leave less than they should.
func (l *Log[R]) excess() int64 {
	excess := int64(0)
	if l.o.MaxBytes > 0 {
		excess = l.disk.segmentBytes() + l.snapshots.bytes() - l.o.MaxBytes
	}
	if l.o.MinFreeBytes <= 0 {
		return excess
	}
	free, _, err := l.disk.fs.Space(l.disk.dir)
	if l.disk.nag.starts("space", err) {
		l.o.Logger.Warn("cannot ask for the free space", "err", err)
	}
	if err != nil {
		return excess
	}
	return max(excess, l.o.MinFreeBytes-free)
}

// dropSegment removes a segment that a lagging destination still needs. The books
// at the destination's position are noted first, so that what it loses is counted
// exactly also after a restart.
func (l *Log[R]) dropSegment(s *segment, v segmentView) bool {
	acked := uint64(math.MaxUint64)
	for _, c := range l.cursors.opened() {
		if c.Acknowledged() >= v.last {
			continue
		}
		acked = min(acked, c.Acknowledged())
		if err := c.noteBases(v.last, l.totalAt); err != nil {
			l.o.Logger.Warn("cannot note the books of a cursor", "cursor", c.ID(), "err", err)
		}
	}
	before, _ := l.totalAt(acked)
	samples := minus(v.total, max(before, v.before))
	if !l.disk.remove(s) {
		return false
	}
	l.metrics.droppedSegments.Inc()
	l.metrics.droppedSamples.Add(float64(samples))
	l.o.Logger.Error("dropped a segment at the bound: a destination lags and loses what is in it",
		"segment", s.number, "first_seq", v.first, "last_seq", v.last, "samples", samples)
	return true
}

func (l *Log[R]) setFull(full bool) {
	l.mu.Lock()
	was := l.full
	l.full = full
	l.mu.Unlock()
	if full && !was {
		l.o.Logger.Error("the log is full and destinations lag: new records are rejected")
	}
	if was && !full {
		l.o.Logger.Info("the log has room again")
	}
}

// boundMemory is Reject without a disk: the ring is the queue.
func (l *Log[R]) boundMemory() {
	if l.o.OnFull == Reject {
		_, passed := l.cursors.passedBy() // what only an orphan needs rejects nobody
		l.setFull(passed != math.MaxUint64 && l.ring.bytesBehind(passed) > l.o.RingBytes/2)
	}
}

// oldest returns the oldest segment, nil without any.
func (d *disk) oldest() *segment {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.segments) == 0 {
		return nil
	}
	return d.segments[0]
}

// oldestSealed returns the oldest segment unless it is the one being written.
func (d *disk) oldestSealed() (*segment, segmentView) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.segments) == 0 || !d.segments[0].view.sealed {
		return nil, segmentView{}
	}
	return d.segments[0], d.segments[0].view
}

// remove deletes a segment. Readers that are in it notice, and report a gap if
// they were not done. One removal is durable before the next one starts, so that a
// power loss never brings back an old segment without those behind it.
func (d *disk) remove(s *segment) bool {
	err := d.removeDurably(s)
	if d.nag.starts("remove", err) {
		d.log.Warn("cannot remove a segment", "segment", s.number, "err", err)
	}
	return err == nil
}

// removeDurably removes the file, and then empties it: a reader that has it open
// would otherwise keep its bytes on the disk.
func (d *disk) removeDurably(s *segment) error {
	if err := errors.Join(d.removeStrays(), d.syncRemoval()); err != nil {
		return err
	}
	f, err := d.fs.Edit(d.path(s.name))
	if errors.Is(err, os.ErrNotExist) {
		d.forget(s)
		return nil
	}
	if err != nil {
		return err
	}
	if err := d.fs.Remove(d.path(s.name)); err != nil {
		return errors.Join(err, f.Close())
	}
	d.forget(s)
	if err := d.syncRemoval(); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Truncate(0), f.Close())
}

// syncRemoval makes the last removal durable.
func (d *disk) syncRemoval() error {
	d.mu.Lock()
	removed := d.removed
	d.removed = false
	d.mu.Unlock()
	if !removed {
		return nil
	}
	err := d.fs.SyncDir(d.dir)
	if err != nil {
		d.mu.Lock()
		d.removed = true
		d.mu.Unlock()
	}
	return err
}

// lost notes that a segment's file has disappeared, and not because we removed it.
func (d *disk) lost(s *segment) {
	if s.gone.Load() {
		return
	}
	v := d.viewOf(s)
	d.forget(s)
	d.report(&CorruptionError{
		File: s.name, Segment: s.number, Length: v.size,
		First: v.first, Last: v.last, Samples: v.total - v.before, Err: os.ErrNotExist,
	})
}

func (d *disk) segmentBytes() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := int64(0)
	for _, s := range d.segments {
		n += s.view.bytes
	}
	return n
}
