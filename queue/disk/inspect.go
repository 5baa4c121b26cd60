package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// Inspect reads a storage directory completely and describes it. It changes
// nothing and takes no lock, so it works on a copy as well as beside a running
// process; the newest segment of one may then seem torn, because it is being
// written. Memory stays small whatever the size.
func Inspect(dir string) (*Report, error) {
	return inspect(osFS{}, dir)
}

// inspector is the state of one Inspect.
type inspector struct {
	d      *directory
	r      *Report
	next   uint64 // sequence that should follow
	begun  bool
	failed map[uint64]*segmentHeader // by number: the header of the segment behind
	newest string                    // the last segment
}

func inspect(fs fsys, dir string) (*Report, error) {
	d := &directory{fs: fs, dir: filepath.Clean(dir)}
	files, err := fs.List(d.dir)
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", dir, err)
	}
	slices.SortFunc(files, func(a, b fileInfo) int { return strings.Compare(a.name, b.name) })
	if !isStore(files) {
		return nil, fmt.Errorf("inspect %s: %w", dir, ErrNoStore)
	}
	in := &inspector{d: d, r: &Report{Dir: dir}, failed: map[uint64]*segmentHeader{}}
	in.identify(files)
	for _, step := range []struct {
		suffix string
		read   func(fileInfo) error
	}{
		{cursorSuffix, in.cursor}, {segmentSuffix, in.header}, {segmentSuffix, in.segment}, {snapshotSuffix, in.snapshot},
	} {
		if err := in.each(files, step.suffix, step.read); err != nil {
			return nil, err
		}
	}
	in.finish(files)
	return in.r, nil
}

// ErrNoStore says that a directory holds no log, and none was ever in it.
var ErrNoStore = errors.New("there is no storage of pushbridge in this directory")

// isStore reports whether any of files is one of a store.
func isStore(files []fileInfo) bool {
	return slices.ContainsFunc(files, func(f fileInfo) bool {
		_, segment := segmentNumber(f.name)
		return f.name == storeName || segment ||
			strings.HasSuffix(f.name, snapshotSuffix) || strings.HasSuffix(f.name, cursorSuffix)
	})
}

// each calls read for the files with suffix. A file that has disappeared since it
// was listed was removed by the running process.
func (in *inspector) each(files []fileInfo, suffix string, read func(fileInfo) error) error {
	for _, f := range files {
		if !strings.HasSuffix(f.name, suffix) {
			continue
		}
		if err := read(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("inspect %s: %w", f.name, err)
		}
	}
	return nil
}

func (in *inspector) identify(files []fileInfo) {
	b, err := in.d.readStart(storeName, storeFileSize)
	if err == nil {
		err = in.d.parseStoreFile(b)
	}
	if err != nil {
		in.problem(storeName, int64(len(b)), err)
		in.d.id, _ = in.d.voteIdentity(files)
	}
	in.r.Store = in.d.id.String()
	if b, err := in.d.readStart(lockName, 64); err == nil {
		in.r.Opened = strings.TrimSpace(string(b))
	}
}

func (in *inspector) problem(file string, length int64, err error) {
	in.r.Damage = append(in.r.Damage, DamageReport{File: file, Length: length, Problem: err.Error()})
}

func (in *inspector) damage(bad *CorruptionError) {
	in.r.Damage = append(in.r.Damage, DamageReport{
		File: bad.File, Offset: bad.Offset, Length: bad.Length, First: bad.First, Last: bad.Last,
		Samples: bad.Samples, Torn: bad.Torn, Problem: bad.Err.Error(),
	})
}

func (in *inspector) cursor(info fileInfo) error {
	b, err := readFile(in.d.fs, in.d.path(info.name))
	if err != nil {
		return err
	}
	c, err := parseCursorFile(b, info.name, in.d.id)
	if err == nil && c.foreign {
		err = errForeign
	}
	if err == nil {
		err = c.doubtful
	}
	if err != nil {
		in.problem(info.name, info.size, err)
	}
	if !c.found {
		return nil
	}
	r := CursorReport{File: info.name, ID: c.id, Clean: c.slot.Clean, Orphaned: c.slot.OrphanedSince().UTC(), Shards: positions(c.slot.Shards)}
	if c.slot.Ledger.Based() {
		r.Ledger = &c.slot.Ledger
	}
	in.r.Cursors = append(in.r.Cursors, r)
	return nil
}

func positions(shards []queue.ShardSlot) []queue.Position {
	all := make([]queue.Position, len(shards))
	for i, p := range shards {
		all[i] = queue.Position{Acked: p.Acked, Sent: p.Sent}
	}
	return all
}

// header notes what the header says about the segment before.
func (in *inspector) header(info fileInfo) error {
	b, err := in.d.readStart(info.name, segmentHeaderSize)
	if err != nil {
		return err
	}
	number, _ := segmentNumber(info.name)
	in.newest = info.name
	if h, err := parseSegmentHeader(b, info.name); (err == nil || errors.Is(err, errPreamble)) && h.store == in.d.id {
		in.failed[number-1] = &h
	}
	return nil
}

// segment reads one segment completely.
func (in *inspector) segment(info fileInfo) error {
	number, ok := segmentNumber(info.name)
	if !ok {
		return nil
	}
	b, err := in.d.readStart(info.name, segmentHeaderSize)
	if err != nil {
		return err
	}
	h, err := parseSegmentHeader(b, info.name)
	if err != nil {
		in.problem(info.name, min(info.size, segmentHeaderSize), err)
		// It was made a moment before a crash, and nothing is in it.
		in.r.Damage[len(in.r.Damage)-1].Torn = info.name == in.newest && info.size <= segmentHeaderSize &&
			!errors.As(err, new(*VersionError))
	}
	good := err == nil || errors.Is(err, errPreamble) || errors.Is(err, errMagic)
	switch {
	case errors.As(err, new(*VersionError)):
		return nil
	case !good:
		h = segmentHeader{store: in.d.id, number: number}
	case h.store != in.d.id || h.number != number:
		in.problem(info.name, info.size, errForeign)
		return nil
	}
	return in.scan(info, newView(h, good))
}

// scan checks every frame of a segment.
func (in *inspector) scan(info fileInfo, v segmentView) error {
	f, err := in.d.fs.Open(in.d.path(info.name))
	if err != nil {
		return err
	}
	scan := newFileScanner(f, info.name, v, info.size)
	bases := readBases{}
	for {
		fr, err := scan.next()
		switch bad := (*CorruptionError)(nil); {
		case errors.As(err, &bad):
			in.damage(bad)
		case errors.Is(err, io.EOF):
			in.add(info, v)
			return f.Close()
		case err != nil:
			return errors.Join(err, f.Close())
		case fr.kind == kindFooter:
			v.sealed = true
		case fr.isRecord() && !in.failed[v.number].failed(fr.seq):
			v.add(&fr)
			in.pending(&fr)
			bases.see(&fr)
			if err := bases.check(&fr); err != nil {
				in.damage(fr.lost(info.name, v.number, err))
			}
		}
	}
}

// add reports a segment.
func (in *inspector) add(info fileInfo, v segmentView) {
	s := SegmentReport{
		File: info.name, Number: v.number, First: v.first, Last: v.last, Records: v.records,
		Samples: minus(v.total, v.before), Bytes: info.size, Sealed: v.sealed, Newest: millis(v.newest),
	}
	if v.void != 0 {
		s.FailedFrom, s.FailedTo = v.void, v.first-1
	}
	in.missing(v)
	in.r.Segments = append(in.r.Segments, s)
	in.r.Records += s.Records
	in.r.Samples += s.Samples
	in.r.Bytes += s.Bytes
	if in.r.First == 0 && v.records > 0 {
		in.r.First = v.first
	}
	in.r.Last = max(in.r.Last, v.last)
}

// missing reports records that should lie between the segment before and v.
func (in *inspector) missing(v segmentView) {
	if end, total := v.end(); in.begun && v.first > 0 && end >= in.next {
		in.r.Damage = append(in.r.Damage, DamageReport{
			File: numbered(v.number, segmentSuffix), First: in.next, Last: end,
			Samples: minus(total, in.r.Total), Problem: "the records before this segment are missing",
		})
	}
	// Of a segment whose header was not written yet nothing is known.
	in.begun, in.next, in.r.Total = true, max(in.next, v.last+1), max(in.r.Total, v.total)
}

// pending counts a record for the cursors that have not passed it.
func (in *inspector) pending(f *frame) {
	for i := range in.r.Cursors {
		c := &in.r.Cursors[i]
		acked := queue.SmallestAcked(c.Shards)
		if f.seq <= acked {
			continue
		}
		if c.OldestUnsent == 0 {
			c.OldestUnsent, c.OldestTime = f.seq, millis(f.time)
			c.MissingRecords = f.seq - acked - 1
		}
		c.PendingRecords++
		c.PendingSamples += uint64(f.samples)
	}
}

func (in *inspector) snapshot(info fileInfo) error {
	h, err := in.d.snapshotHeader(info.name)
	if errors.Is(err, os.ErrNotExist) {
		return err
	}
	s := snapshotInfo{h, info.name, info.size}
	if err == nil {
		err = in.d.readSnapshot(s, func(io.Reader) error { return nil })
	}
	if err != nil {
		in.problem(info.name, info.size, err)
	} else {
		in.r.Total = max(in.r.Total, h.total) // where every segment was passed and removed
	}
	in.r.Snapshots = append(in.r.Snapshots, SnapshotReport{
		File: info.name, Seq: h.seq, Bytes: info.size, Created: h.time().UTC(), Floor: millis(h.floor), Good: err == nil,
	})
	return nil
}

// finish lists the files that are none of the above.
func (in *inspector) finish(files []fileInfo) {
	for _, f := range files {
		known := f.name == storeName || f.name == lockName || f.name == leftName || f.name == unfinishedName
		for _, suffix := range []string{segmentSuffix, snapshotSuffix, cursorSuffix} {
			known = known || strings.HasSuffix(f.name, suffix)
		}
		if !known {
			in.r.Other = append(in.r.Other, f.name)
		}
	}
}

// millis turns a timestamp into a time; the zero timestamp is none.
func millis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
