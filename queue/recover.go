package queue

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
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
	lock, err := fs.Lock(d.path(lockName))
	if err != nil {
		return nil, recovered{}, err
	}
	d.lock = lock
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

const storeFileSize = preambleSize + 16 + 4 + 4

// identify reads the identity of the store. When that file is missing or damaged,
// the identity is what most segments say, and new in an empty directory.
func (d *disk) identify(files []fileInfo) error {
	b, err := d.readStart(storeName, storeFileSize)
	if err == nil {
		err = d.parseStoreFile(b)
	}
	exists := slices.ContainsFunc(files, func(f fileInfo) bool { return f.name == storeName })
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(*VersionError)):
		return err
	case exists:
		d.report(&CorruptionError{File: storeName, Length: int64(len(b)), Err: err})
		d.copyAside(storeName)
	}
	if d.id, err = d.voteIdentity(files); err != nil {
		return err
	}
	return d.writeStoreFile(0)
}

func (d *disk) parseStoreFile(b []byte) error {
	if err := parsePreamble(b, storeMagic, storeName); err != nil {
		return err
	}
	le := binary.LittleEndian
	if len(b) < storeFileSize || le.Uint32(b[36:]) != crc32.Checksum(b[preambleSize:36], castagnoli) {
		return errHeader
	}
	d.id = storeID(b[16:32])
	d.era.Store(le.Uint32(b[32:]))
	return nil
}

// voteIdentity returns the identity that most files carry.
func (d *disk) voteIdentity(files []fileInfo) (storeID, error) {
	votes := map[storeID]int{}
	for _, f := range files {
		if id, ok := d.identityOf(f.name); ok {
			votes[id]++
		}
	}
	var id storeID
	most := 0
	for v, n := range votes {
		if n > most || n == most && slices.Compare(v[:], id[:]) < 0 {
			id, most = v, n
		}
	}
	if most > 0 {
		return id, nil
	}
	_, err := rand.Read(id[:])
	return id, err
}

// identityOf returns the identity that a file carries, if it has a good one.
func (d *disk) identityOf(name string) (storeID, bool) {
	switch {
	case strings.HasSuffix(name, segmentSuffix):
		b, err := d.readStart(name, segmentHeaderSize)
		if err != nil {
			return storeID{}, false
		}
		h, err := parseSegmentHeader(b, name)
		return h.store, err == nil
	case strings.HasSuffix(name, snapshotSuffix):
		h, err := d.snapshotHeader(name)
		return h.store, err == nil
	case strings.HasSuffix(name, cursorSuffix):
		b, err := d.readStart(name, pageSize)
		if err != nil {
			return storeID{}, false
		}
		store, _, err := parseCursorHeader(b, name)
		return store, err == nil
	}
	return storeID{}, false
}

func appendStoreFile(dst []byte, id storeID, era uint32) []byte {
	at := len(dst)
	dst = appendPreamble(dst, storeMagic)
	dst = append(dst, id[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, era)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[at+preambleSize:], castagnoli))
}

// writeStoreFile puts the identity and the era in place.
func (d *disk) writeStoreFile(era uint32) error {
	b := appendStoreFile(nil, d.id, era)
	f, err := d.writeTemp(storeName, func(f file) error { return writeAll(f, b, 0) })
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := d.fs.Rename(d.path(storeName+tempSuffix), d.path(storeName)); err != nil {
		return err
	}
	return d.fs.SyncDir(d.dir)
}

// writeTemp makes a temporary file, fills and syncs it. The caller renames it into
// place and syncs the directory.
func (d *disk) writeTemp(name string, fill func(f file) error) (file, error) {
	temp := d.path(name + tempSuffix)
	_ = d.fs.Remove(temp) // what an attempt before left
	f, err := d.fs.Create(temp)
	if err != nil {
		return nil, err
	}
	if err = fill(f); err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), d.fs.Remove(temp))
	}
	return f, nil
}

// readStart reads up to n bytes from the start of a file.
func (d *disk) readStart(name string, n int) ([]byte, error) {
	f, err := d.fs.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	got, _, err := readPages(f, b, 0)
	return b[:got], errors.Join(err, f.Close())
}

// moveAside renames a file that cannot be used, so that it is not in the way and
// not lost.
func (d *disk) moveAside(name string) {
	err := d.fs.Rename(d.path(name), d.path(d.asideName(name)))
	if err == nil {
		err = d.fs.SyncDir(d.dir)
	}
	if err != nil {
		d.log.Warn("cannot move a file aside", "file", name, "err", err)
	}
}

// copyAside keeps a copy of a small file that is about to be written anew.
func (d *disk) copyAside(name string) {
	b, err := readFile(d.fs, d.path(name))
	if err == nil {
		var f file
		if f, err = d.fs.Create(d.path(d.asideName(name))); err == nil {
			err = errors.Join(writeAll(f, b, 0), f.Sync(), f.Close())
		}
	}
	if err != nil {
		d.log.Warn("cannot keep a copy of a damaged file", "file", name, "err", err)
	}
}

// asideName returns a name that is not taken.
func (d *disk) asideName(name string) string {
	for i := 0; ; i++ {
		aside := fmt.Sprintf("%s.%d%s", name, i, asideSuffix)
		f, err := d.fs.Open(d.path(aside))
		if err != nil {
			return aside
		}
		_ = f.Close() // was only looked at
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
