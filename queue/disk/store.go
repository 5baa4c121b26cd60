package disk

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// Store is a directory that keeps a log: a queue.Store. What the methods promise stands
// there.
type Store struct {
	o         Options
	dir       *directory
	segments  *segments
	writer    *writer
	cursors   *cursors
	snapshots *snapshots
}

var _ queue.Store = (*Store)(nil)

// New returns a store in o.Dir. It touches nothing before Recover.
func New(o Options) *Store { return newStore(osFS{}, o) }

func newStore(fs fsys, o Options) *Store {
	return &Store{o: o.withDefaults(), dir: &directory{fs: fs, dir: filepath.Clean(o.Dir)}}
}

// Recover opens the directory, makes it when absent, and repairs what a crash left
// behind. It returns ErrLocked when another process has the directory open, and a
// *VersionError for files of a newer format.
func (s *Store) Recover(h queue.Host) (queue.Recovered, error) {
	at, err := s.recover(h)
	if err != nil {
		return at, fmt.Errorf("open log in %s: %w", s.o.Dir, err)
	}
	return at, nil
}

func (s *Store) recover(h queue.Host) (at queue.Recovered, err error) {
	if s.o.Dir == "" {
		return at, errors.New("the directory has no name")
	}
	d := s.dir
	d.log, d.metrics = h.Logger, h.Metrics
	if err := d.open(); err != nil {
		return at, err
	}
	return s.begin(h)
}

// begin reads the directory, which is locked.
func (s *Store) begin(h queue.Host) (at queue.Recovered, err error) {
	d := s.dir
	s.cursors = &cursors{d: d, boot: bootHash(d.fs.BootID()), files: map[string]cursorFile{}}
	r := &recovery{d: d, fsync: s.o.Fsync, cursors: s.cursors}
	if at, err = r.run(); err != nil {
		return at, errors.Join(err, d.lock.Close())
	}
	at.Identity = d.id
	s.o = s.o.withMinFree(d.fs)
	end := queue.Place{Seq: at.Head, Total: at.Total, Exact: true}
	s.snapshots = &snapshots{d: d, kept: r.snapshots}
	s.segments = &segments{d: d, durably: s.o.Fsync != Off, list: r.segments, published: end}
	s.segments.removed = s.segments.durably // perhaps by the process before, which was killed
	s.writer = &writer{d: d, l: s.segments, o: s.o, number: r.number, at: end}
	s.observe(h)
	return at, nil
}

// observe shows what only a directory has.
func (s *Store) observe(h queue.Host) {
	h.Gauge("segments", "Segments on disk.", func() float64 { n, _ := s.segments.size(); return float64(n) })
	h.Gauge("segment_bytes", "Bytes of segments on disk.", func() float64 { _, n := s.segments.size(); return float64(n) })
	h.Gauge("base_bytes", "Bytes of records kept to write others as their difference, at most 16 MiB.", func() float64 { return float64(s.writer.bases.size.Load()) })
	h.Gauge("snapshot_bytes", "Bytes of snapshots on disk.", func() float64 { return float64(s.snapshots.bytes()) })
	h.Gauge("limit_bytes", "What segments and snapshots may take at present: the bound, or less where the disk is nearly full. +Inf without a bound.", s.limit)
	h.Gauge("snapshot_timestamp_seconds", "When the newest snapshot was made, 0 without one.", func() float64 {
		if kept := s.snapshots.list(); len(kept) > 0 {
			return float64(kept[0].time().UnixMilli()) / 1000
		}
		return 0
	})
}

// Ready opens a segment, unless one is open.
func (s *Store) Ready(floor int64) error {
	if s.writer.writable() {
		return nil
	}
	return s.writer.open(floor)
}

// Commit writes the batch to the segment, or a new one.
func (s *Store) Commit(b *queue.Batch) error {
	if err := s.writer.commit(b); err != nil {
		return s.writer.failed(err)
	}
	return nil
}

// Publish lets tails see what was committed.
func (s *Store) Publish() { s.writer.publish() }

// SyncInterval is that of the mode.
func (s *Store) SyncInterval() time.Duration {
	if s.o.Fsync == Interval {
		return s.o.FsyncInterval
	}
	return 0
}

// Sync is the fsync of Interval. When it fails, the records since the last one may be
// lost by a power loss although they were reported done, which is what the mode means.
func (s *Store) Sync() error {
	if !s.writer.unsynced {
		return nil
	}
	s.writer.unsynced = false
	if err := s.writer.sync(); err != nil {
		return s.writer.failed(err)
	}
	return nil
}

// Check returns an error when the directory is not in its place, and puts a segment
// back that was taken from under the writer.
func (s *Store) Check() error {
	if err := s.writer.check(); err != nil {
		return s.writer.failed(fmt.Errorf("%w; %w", err, queue.ErrAtRisk))
	}
	return nil
}

// Seal seals the segment.
func (s *Store) Seal() error { return s.writer.close() }

// Tail returns a reader of segments.
func (s *Store) Tail(at queue.Place) queue.Tail { return &tail{l: s.segments, at: at} }

// TotalAt looks seq up in its segment.
func (s *Store) TotalAt(seq uint64) (total uint64, exact bool) { return s.segments.totalAt(seq) }

// BytesBehind tells what of the segments lies behind seq.
func (s *Store) BytesBehind(seq uint64) int64 { return s.segments.bytesBehind(seq) }

// Oldest returns the oldest segment unless it is the one being written.
func (s *Store) Oldest() (p queue.Part, ok bool) {
	oldest, v := s.segments.oldestSealed()
	if oldest == nil {
		return p, false
	}
	return queue.Part{
		Name: fmt.Sprint(oldest.number), First: v.first, Last: v.last, Before: v.before, Total: v.total, Bytes: v.bytes,
	}, true
}

// Trim removes segments.
func (s *Store) Trim(seq uint64) error { return s.segments.trim(seq) }

// Excess returns how many bytes have to go: segments and snapshots take more than they
// may, or leave less than they should.
func (s *Store) Excess() (int64, error) {
	excess := int64(0)
	if s.o.MaxBytes > 0 {
		excess = s.used() - s.o.MaxBytes
	}
	if s.o.MinFreeBytes <= 0 {
		return excess, nil
	}
	free, _, err := s.dir.fs.Space(s.dir.dir)
	if err != nil {
		return excess, fmt.Errorf("ask for the free space: %w", err)
	}
	return max(excess, s.o.MinFreeBytes-free), nil
}

// used is what the bound is for.
func (s *Store) used() int64 {
	_, n := s.segments.size()
	return n + s.snapshots.bytes()
}

// limit is where Excess begins, as far as the disk tells.
func (s *Store) limit() float64 {
	limit := math.Inf(1)
	if s.o.MaxBytes > 0 {
		limit = float64(s.o.MaxBytes)
	}
	if s.o.MinFreeBytes <= 0 {
		return limit
	}
	if free, _, err := s.dir.fs.Space(s.dir.dir); err == nil {
		limit = min(limit, float64(max(0, s.used()+free-s.o.MinFreeBytes)))
	}
	return limit
}

// Damage lists a *CorruptionError for each range that was found damaged.
func (s *Store) Damage() []error {
	var all []error
	for _, bad := range s.dir.damage.list() {
		all = append(all, bad)
	}
	return all
}

// OpenCursor takes the file of a cursor.
func (s *Store) OpenCursor(id string) (queue.Saver, *queue.Saved, error) { return s.cursors.open(id) }

// Cursors lists what is in the files that are not open.
func (s *Store) Cursors() []queue.Saved { return s.cursors.list() }

// RemoveCursor removes the file of a cursor.
func (s *Store) RemoveCursor(id string) error { return s.cursors.remove(id) }

// AskedToForget looks for a file that an operator has put beside the cursor's.
func (s *Store) AskedToForget(id string) bool { return s.cursors.askedToForget(id) }

// Snapshots lists those there are.
func (s *Store) Snapshots() []queue.Snapshot { return s.snapshots.described() }

// WriteSnapshot writes a file. The last two are kept.
func (s *Store) WriteSnapshot(n queue.Snapshot, write func(io.Writer) error) error {
	h := snapshotHeader{seq: n.Seq, floor: n.Floor, total: n.Total, created: n.Created.UnixNano()}
	return s.snapshots.write(h, write)
}

// ReadSnapshot reads the newest good file.
func (s *Store) ReadSnapshot(read func(io.Reader) error) (queue.Snapshot, error) {
	return s.snapshots.read(read)
}

// ResetClock begins a new era.
func (s *Store) ResetClock() error {
	era := s.dir.era.Load() + 1
	if err := s.dir.writeStoreFile(era); err != nil {
		return err
	}
	s.dir.era.Store(era)
	return nil
}

// Close releases the directory.
func (s *Store) Close() error {
	if s.dir.lock == nil {
		return nil
	}
	err := errors.Join(s.writer.close(), s.dir.lock.Close()) // Run may not have come to its end
	s.dir.lock = nil
	return err
}
