package queue

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// disk is the storage directory: its segments, and the one that is written to.
type disk struct {
	fs      fsys
	dir     string
	o       Options
	log     *slog.Logger
	metrics *metrics
	damage  damageList
	nag     nag
	id      storeID
	era     atomic.Uint32 // of timestamps, see ResetClock
	lock    io.Closer
	inPlace func() error // of the guard that fs is
	cursors *cursors
	number  uint64 // of the newest segment ever made; owned by the commit loop

	w writer // owned by the commit loop

	mu        sync.Mutex
	segments  []*segment        // oldest first; the last may be the one being written
	strays    []string          // files that were given up, and could not be removed then
	removed   bool              // a removal may not be durable yet
	totals    map[uint64]uint64 // books that were looked up in segments, by sequence
	published uint64            // last sequence that readers may see
	total     uint64            // its books
}

// writer is the segment being written.
type writer struct {
	file file // nil: none
	seg  *segment
	seed uint32
	view segmentView // what was written; readers see it after publish
}

var errNoSegment = errors.New("no segment is open")

func (d *disk) path(name string) string { return filepath.Join(d.dir, name) }

// writable reports whether a segment is open for writing.
func (d *disk) writable() bool { return d.w.file != nil }

// openSegment makes the next segment: it is used only when its header and its
// directory entry are on disk.
func (d *disk) openSegment(h segmentHeader) error {
	d.number++
	h.store, h.number, h.era = d.id, d.number, d.era.Load()
	name := numbered(h.number, segmentSuffix)
	f, err := d.fs.Create(d.path(name))
	if err != nil {
		return fmt.Errorf("create segment %d: %w", h.number, err)
	}
	if err := d.start(f, h); err != nil {
		_ = f.Close() // holds nothing
		d.discard(name)
		return fmt.Errorf("start segment %d: %w", h.number, err)
	}
	v := newView(h, true)
	v.bytes = v.size
	seg := &segment{number: h.number, name: name, view: v}
	d.w = writer{file: f, seg: seg, seed: seedOf(d.id, h.number), view: v}
	d.mu.Lock()
	d.segments = append(d.segments, seg)
	d.mu.Unlock()
	return nil
}

// start writes the header and makes the file durable.
func (d *disk) start(f file, h segmentHeader) error {
	if err := writeAll(f, h.append(nil), 0); err != nil {
		return err
	}
	if d.o.Fsync == Off {
		return nil
	}
	if err := d.syncFile(f); err != nil {
		return err
	}
	return d.fs.SyncDir(d.dir)
}

// syncFile syncs f, and counts it.
func (d *disk) syncFile(f file) error {
	begun := time.Now()
	err := f.Sync()
	d.metrics.synced(time.Since(begun))
	return err
}

// append writes encoded frames, of which last is the last record's.
func (d *disk) append(frames []byte, last frame, records uint64, newest int64) error {
	if err := writeAll(d.w.file, frames, d.w.view.size); err != nil {
		return fmt.Errorf("write segment %d: %w", d.w.seg.number, err)
	}
	v := &d.w.view
	v.size += int64(len(frames))
	v.bytes = v.size
	v.last, v.total = last.seq, last.total
	v.records += records
	v.newest = max(v.newest, newest)
	return nil
}

// sync makes everything that was written durable.
func (d *disk) sync() error {
	if d.w.file == nil {
		return nil
	}
	if err := d.syncFile(d.w.file); err != nil {
		return fmt.Errorf("sync segment %d: %w", d.w.seg.number, err)
	}
	return nil
}

// publish lets readers see what was written.
func (d *disk) publish() {
	if d.w.file == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.w.seg.view = d.w.view
	d.published, d.total = d.w.view.last, d.w.view.total
}

// unused reports whether the open segment can go: it holds nothing, and names
// nothing that failed.
func (d *disk) unused() bool {
	return d.w.file != nil && d.w.view.records == 0 && d.w.view.void == 0
}

// seal writes the footer and closes the segment. Everything in it is durable
// already, or need not be by the mode: an error costs nothing but a longer scan
// at the next start, except with Interval.
func (d *disk) seal(sync bool) error {
	if d.w.file == nil {
		return errNoSegment
	}
	w := d.w
	d.w = writer{}
	err := writeAll(w.file, appendFooter(nil, w.seed, w.view), w.view.size)
	if err == nil && sync {
		err = d.syncFile(w.file)
	}
	if cerr := w.file.Close(); err == nil {
		err = cerr
	}
	d.mu.Lock()
	w.seg.view.sealed = true
	w.seg.view.bytes += footerSize
	d.mu.Unlock()
	return err
}

// abandon closes the segment after a failure. It is not synced again: after a
// failed fsync the kernel may report success for pages that it threw away. What
// failed is cut off if the disk lets us; the next segment's header names it
// anyway. A segment without any record is removed.
func (d *disk) abandon() {
	if d.w.file == nil {
		return
	}
	w := d.w
	d.w = writer{}
	d.mu.Lock()
	w.seg.view.sealed = true
	v := w.seg.view
	if v.records == 0 {
		d.segments = slices.DeleteFunc(d.segments, func(s *segment) bool { return s == w.seg })
		w.seg.gone.Store(true)
	}
	d.mu.Unlock()
	err := w.file.Truncate(v.size)
	if cerr := w.file.Close(); err == nil {
		err = cerr
	}
	if v.records == 0 {
		d.discard(w.seg.name)
	} else if err != nil {
		d.log.Warn("cannot tidy up the segment after a failure", "segment", w.seg.number, "err", err)
	}
}

// discard removes a file that holds no record that was reported done, now or as
// soon as the disk allows: it must not outlive the segment behind it, whose header
// names what failed.
func (d *disk) discard(name string) {
	d.mu.Lock()
	d.strays = append(d.strays, name)
	d.mu.Unlock()
	_ = d.removeStrays() // tried again before a segment is removed
}

func (d *disk) removeStrays() error {
	d.mu.Lock()
	strays := d.strays
	d.strays = nil
	d.mu.Unlock()
	var errs []error
	for _, name := range strays {
		err := d.fs.Remove(d.path(name))
		d.mu.Lock()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
			d.strays = append(d.strays, name)
		} else {
			d.removed = d.o.Fsync != Off
		}
		d.mu.Unlock()
	}
	return errors.Join(errs...)
}

// close releases the directory.
func (d *disk) close() error {
	if d.lock == nil {
		return nil
	}
	var err error
	if d.w.file != nil { // Run never ran to its end
		err = d.seal(d.o.Fsync != Off)
	}
	if cerr := d.lock.Close(); err == nil {
		err = cerr
	}
	d.lock = nil
	return err
}

// segmentFor returns the segment that has the record seq or, when seq is in none,
// the first one behind it. When there is none it returns nil, and a view that
// ends where readers may read to at the same moment.
func (d *disk) segmentFor(seq uint64) (*segment, segmentView) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, _ := slices.BinarySearchFunc(d.segments, seq, func(s *segment, seq uint64) int {
		if s.view.last < seq {
			return -1
		}
		return 1
	})
	if i == len(d.segments) {
		return nil, segmentView{last: d.published, total: d.total}
	}
	return d.segments[i], d.segments[i].view
}

// viewOf returns what readers may see of s now.
func (d *disk) viewOf(s *segment) segmentView {
	d.mu.Lock()
	defer d.mu.Unlock()
	return s.view
}

// list returns all segments as they are now, oldest first.
func (d *disk) list() []*segment {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.segments)
}

// forget takes a segment that is gone from the list.
func (d *disk) forget(s *segment) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removed = d.o.Fsync != Off
	s.gone.Store(true)
	d.segments = slices.DeleteFunc(d.segments, func(o *segment) bool { return o == s })
}
