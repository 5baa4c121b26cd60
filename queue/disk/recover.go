package disk

import (
	"errors"
	"slices"
	"strings"

	"github.com/pushbridge/pushbridge/queue"
)

// recovery brings a directory in order: identity, segments, snapshots, cursors. Nothing
// that can be read is removed: files that are not usable are moved aside.
type recovery struct {
	d         *directory
	fsync     FsyncMode
	cursors   *cursors
	segments  []*segment
	number    uint64         // of the newest segment ever made
	snapshots []snapshotInfo // newest first
}

var errMissing = errors.New("records in front of the next segment are missing")

var errForeign = errors.New("the file belongs to another store")

// run reads everything that there is.
func (r *recovery) run() (at queue.Recovered, err error) {
	files, err := r.d.fs.List(r.d.dir)
	if err != nil {
		return at, err
	}
	slices.SortFunc(files, func(a, b fileInfo) int { return strings.Compare(a.name, b.name) })
	if err := r.d.marked(files); err != nil {
		return at, err
	}
	r.d.removeTemporary(files)
	if err := r.d.identify(files); err != nil {
		return at, err
	}
	if err := r.findSegments(files); err != nil {
		return at, err
	}
	if r.snapshots, err = r.d.findSnapshots(files); err != nil {
		return at, err
	}
	if at.Head, err = r.cursors.load(files); err != nil {
		return at, err
	}
	r.conclude(&at)
	return at, nil
}

// conclude finds where the log goes on: behind everything that any file knows.
// With Interval and Off, cursors and snapshots can have survived records.
func (r *recovery) conclude(at *queue.Recovered) {
	for _, s := range r.snapshots {
		at.Head, at.Total = max(at.Head, s.seq), max(at.Total, s.total)
	}
	for _, s := range r.segments {
		at.Head, at.Total = max(at.Head, s.view.last), max(at.Total, s.view.total)
	}
	at.Floor = r.findFloor()
	at.Behind = r.bytesBehind()
	r.reportMissing()
}

// findFloor returns the largest timestamp of the present era that any file knows.
func (r *recovery) findFloor() int64 {
	era, floor := r.d.era.Load(), int64(0)
	count := func(e uint32, f int64) {
		switch {
		case e > era: // the store file is damaged
			era, floor = e, f
		case e == era:
			floor = max(floor, f)
		}
	}
	for _, s := range r.snapshots {
		count(s.era, s.floor)
	}
	for _, s := range r.segments {
		count(s.view.era, s.view.newest)
	}
	for _, c := range r.cursors.files {
		count(c.slot.era, c.slot.Floor)
	}
	r.d.era.Store(era)
	return floor
}

// reportMissing names records that should lie between two segments and do not,
// unless damage that was found explains them.
func (r *recovery) reportMissing() {
	var before *segment // the last one, from the first that has records on
	for _, s := range r.segments {
		v := &s.view
		end, total := v.end()
		if before != nil && end > before.view.last && !r.d.damage.names(before.view.last+1, end) {
			r.d.report(&CorruptionError{
				File: numbered(before.number+1, segmentSuffix), Segment: before.number + 1,
				First: before.view.last + 1, Last: end, Samples: minus(total, before.view.total), Err: errMissing,
			})
		}
		if before != nil || v.records > 0 {
			before = s
		}
	}
}

// bytesBehind returns how much log there is behind the newest snapshot.
func (r *recovery) bytesBehind() int64 {
	seq := uint64(0)
	if len(r.snapshots) > 0 {
		seq = r.snapshots[0].seq
	}
	n := int64(0)
	for _, s := range r.segments {
		if s.view.last > seq {
			n += s.view.bytes
		}
	}
	return n
}
