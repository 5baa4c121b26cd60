package queue

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
)

// recovered is what openDisk found.
type recovered struct {
	head      uint64 // last sequence that is in use anywhere
	total     uint64 // samples of all records
	floor     int64  // largest timestamp anywhere
	snapshots []snapshotInfo
}

var errMissing = errors.New("records in front of the next segment are missing")

var errForeign = errors.New("the file belongs to another store")

// openDisk opens or makes the directory and repairs what a crash left behind.
// Nothing that can be read is removed: files that are not usable are moved aside.
func openDisk(fs fsys, o Options, m *metrics, cs *cursors) (*disk, recovered, error) {
	d := &disk{fs: fs, dir: filepath.Clean(o.Dir), o: o, log: o.Logger, metrics: m, cursors: cs}
	if err := fs.MkdirAll(d.dir); err != nil {
		return nil, recovered{}, err
	}
	lock, err := fs.Lock(d.dir)
	if err != nil {
		return nil, recovered{}, err
	}
	g := guard{fs, d.dir, lock}
	d.fs, d.inPlace, d.lock = g, g.inPlace, lock
	at, err := d.recover()
	if err != nil {
		return nil, at, errors.Join(err, lock.Close())
	}
	return d, at, nil
}

// recover brings the directory in order: identity, segments, snapshots, cursors.
func (d *disk) recover() (at recovered, err error) {
	files, err := d.fs.List(d.dir)
	if err != nil {
		return at, err
	}
	slices.SortFunc(files, func(a, b fileInfo) int { return strings.Compare(a.name, b.name) })
	d.removeTemporary(files)
	if err := d.identify(files); err != nil {
		return at, err
	}
	if err := d.findSegments(files); err != nil {
		return at, err
	}
	if at.snapshots, err = d.findSnapshots(files); err != nil {
		return at, err
	}
	last, err := d.cursors.load(d, files)
	if err != nil {
		return at, err
	}
	at.head = last
	d.conclude(&at)
	return at, nil
}

// conclude finds where the log goes on: behind everything that any file knows.
// With Interval and Off, cursors and snapshots can have survived records.
func (d *disk) conclude(at *recovered) {
	for _, s := range at.snapshots {
		at.head, at.total = max(at.head, s.seq), max(at.total, s.total)
	}
	for _, s := range d.segments {
		at.head, at.total = max(at.head, s.view.last), max(at.total, s.view.total)
	}
	at.floor = d.findFloor(at.snapshots)
	d.reportMissing()
	d.published, d.total = at.head, at.total
	d.removed = d.o.Fsync != Off // perhaps by the process before, which was killed
	d.cursors.head = at.head
}

// findFloor returns the largest timestamp of the present era that any file knows.
func (d *disk) findFloor(snapshots []snapshotInfo) int64 {
	era, floor := d.era.Load(), int64(0)
	count := func(e uint32, f int64) {
		switch {
		case e > era: // the store file is damaged
			era, floor = e, f
		case e == era:
			floor = max(floor, f)
		}
	}
	for _, s := range snapshots {
		count(s.era, s.floor)
	}
	for _, s := range d.segments {
		count(s.view.era, s.view.newest)
	}
	for _, c := range d.cursors.files {
		count(c.slot.era, c.slot.floor)
	}
	d.era.Store(era)
	return floor
}

// reportMissing names records that should lie between two segments and do not,
// unless damage that was found explains them.
func (d *disk) reportMissing() {
	var before *segment // the last one, from the first that has records on
	for _, s := range d.segments {
		v := &s.view
		end, total := v.end()
		if before != nil && end > before.view.last && !d.damage.names(before.view.last+1, end) {
			d.report(&CorruptionError{
				File: numbered(before.number+1, segmentSuffix), Segment: before.number + 1,
				First: before.view.last + 1, Last: end, Samples: minus(total, before.view.total), Err: errMissing,
			})
		}
		if before != nil || v.records > 0 {
			before = s
		}
	}
}

// removeTemporary removes files that were being written when the process ended.
func (d *disk) removeTemporary(files []fileInfo) {
	for _, f := range files {
		if !strings.HasSuffix(f.name, tempSuffix) {
			continue
		}
		if err := d.fs.Remove(d.path(f.name)); err != nil {
			d.log.Warn("cannot remove an unfinished file", "file", f.name, "err", err)
		}
	}
}

// bytesBehind returns how much log there is behind the newest snapshot.
func (d *disk) bytesBehind(snapshots []snapshotInfo) int64 {
	seq := uint64(0)
	if len(snapshots) > 0 {
		seq = snapshots[0].seq
	}
	n := int64(0)
	for _, s := range d.segments {
		if s.view.last > seq {
			n += s.view.bytes
		}
	}
	return n
}
