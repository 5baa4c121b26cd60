package queue

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// snapshotState knows the snapshots and when the next is due.
type snapshotState struct {
	writing sync.Mutex // one at a time; taken before mu

	mu     sync.Mutex
	kept   []snapshotInfo // newest first
	grown  int64          // bytes of log since the newest
	asked  bool           // a bound, or a failure, needs one
	begun  time.Time      // of the last attempt, or of Open
	failed bool           // the last attempt
	due    chan struct{}  // signals those who write snapshots
	house  chan struct{}  // signals the housekeeping
}

// keepSnapshots is how many are kept: when the newest turns out damaged, the one
// before and the log behind it have everything.
const keepSnapshots = 2

// snapshotRetry is the pause after a failed attempt.
const snapshotRetry = 10 * time.Second

func (s *snapshotState) init(now time.Time) {
	s.begun = now
	s.due, s.house = make(chan struct{}, 1), make(chan struct{}, 1)
}

// restore takes over what was found at open.
func (s *snapshotState) restore(found []snapshotInfo, grown int64) {
	s.kept, s.grown = found, grown
	if len(found) > 0 && found[0].time().Before(s.begun) {
		s.begun = found[0].time()
	}
}

// WriteSnapshot stores what write writes as the state up to the record seq, whose
// largest timestamp is floor. The last two snapshots are kept. It may run beside
// everything else. Without a directory it does nothing.
func (l *Log[R]) WriteSnapshot(seq uint64, floor int64, write func(io.Writer) error) error {
	if l.disk == nil {
		return nil
	}
	s := &l.snapshots
	s.writing.Lock()
	defer s.writing.Unlock()
	if newest, ok := s.newest(); ok && newest.seq == seq && newest.era == l.disk.era.Load() {
		s.done(nil, l.o.Now())
		return nil
	}
	grown := s.begin(l.o.Now())
	total, _ := l.totalAt(seq)
	h := snapshotHeader{seq: seq, floor: max(floor, l.Floor()), total: total, created: l.o.Now().UnixNano()}
	info, err := l.disk.writeSnapshot(h, write)
	if err != nil {
		l.metrics.snapshotFailures.Inc()
		s.fail(grown)
		return fmt.Errorf("write snapshot at %d: %w", seq, err)
	}
	l.metrics.snapshots.Inc()
	l.disk.removeSnapshots(s.done(&info, l.o.Now()))
	s.kick()
	return nil
}

// ReadSnapshot gives the newest good snapshot to read and returns the sequence
// and floor that it was written with. One whose checksums are wrong is moved aside,
// and the one before is used: the log still has what lies between. An error of
// read is returned as it is. Without any snapshot the result is 0, and read is not
// called.
func (l *Log[R]) ReadSnapshot(read func(io.Reader) error) (seq uint64, floor int64, err error) {
	if l.disk == nil {
		return 0, 0, nil
	}
	for {
		s, ok := l.snapshots.newest()
		if !ok {
			return 0, 0, nil
		}
		err := l.disk.readSnapshot(s, read)
		if !errors.As(err, new(*snapshotDamage)) {
			return s.seq, s.floorIn(l.disk.era.Load()), err
		}
		l.disk.report(&CorruptionError{File: s.name, Length: s.bytes, Err: err})
		l.disk.moveAside(s.name)
		l.snapshots.drop(s)
	}
}

// SnapshotDue reports whether a snapshot should be written: the log has grown by
// SnapshotBytes, or SnapshotInterval has passed and something was appended, or a
// bound can only be kept with one.
func (l *Log[R]) SnapshotDue() bool {
	return l.disk != nil && l.snapshots.isDue(l.o, l.Head(), l.disk.era.Load())
}

// SnapshotSignal returns a channel that receives when SnapshotDue has become true,
// and again while it stays true. It never receives without a directory.
func (l *Log[R]) SnapshotSignal() <-chan struct{} { return l.snapshots.due }

func (s *snapshotState) isDue(o Options, head uint64, era uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := o.Now()
	if s.failed && now.Sub(s.begun) < snapshotRetry {
		return false
	}
	behind := len(s.kept) == 0 && head > 0 || len(s.kept) > 0 && (head > s.kept[0].seq || era > s.kept[0].era)
	return behind && (s.asked || s.grown >= o.SnapshotBytes || now.Sub(s.begun) >= o.SnapshotInterval)
}

// signal wakes who writes snapshots.
func (s *snapshotState) signal() { poke(s.due) }

// kick wakes the housekeeping.
func (s *snapshotState) kick() { poke(s.house) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// want makes a snapshot due.
func (s *snapshotState) want() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = true
}

// grew notes that the log has grown.
func (s *snapshotState) grew(n int, limit int64) {
	s.mu.Lock()
	was := s.grown < limit
	s.grown += int64(n)
	now := s.grown >= limit
	s.mu.Unlock()
	if was && now {
		s.kick()
	}
}

// begin notes the start of an attempt and returns what to put back if it fails.
func (s *snapshotState) begin(now time.Time) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	grown := s.grown
	s.begun, s.grown = now, 0
	return grown
}

func (s *snapshotState) fail(grown int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = true
	s.grown += grown
}

// done notes a new snapshot, if there is one, and returns those to remove.
func (s *snapshotState) done(info *snapshotInfo, now time.Time) []snapshotInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed, s.asked, s.begun = false, false, now
	if info == nil {
		return nil
	}
	s.kept = slices.DeleteFunc(s.kept, func(k snapshotInfo) bool { return k.name == info.name }) // replaced
	s.kept = slices.Insert(s.kept, 0, *info)
	if len(s.kept) <= keepSnapshots {
		return nil
	}
	old := slices.Clone(s.kept[keepSnapshots:])
	s.kept = s.kept[:keepSnapshots]
	return old
}

func (s *snapshotState) drop(info snapshotInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = slices.DeleteFunc(s.kept, func(k snapshotInfo) bool { return k.name == info.name })
}

func (s *snapshotState) newest() (snapshotInfo, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) == 0 {
		return snapshotInfo{}, false
	}
	return s.kept[0], true
}

// covered returns up to which sequence the newest snapshot has the state, and up
// to which every kept one has it.
func (s *snapshotState) covered() (newest, all uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) > 0 {
		newest = s.kept[0].seq
	}
	if len(s.kept) >= keepSnapshots {
		all = s.kept[keepSnapshots-1].seq
	}
	return newest, all
}

// bytes returns the size of all snapshots.
func (s *snapshotState) bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := int64(0)
	for _, k := range s.kept {
		n += k.bytes
	}
	return n
}

// lastTime returns when the newest snapshot was made.
func (s *snapshotState) lastTime() time.Time {
	if newest, ok := s.newest(); ok {
		return newest.time()
	}
	return time.Time{}
}

// removeSnapshots removes old snapshots. One that stays costs disk space only, and
// is removed after the next start.
func (d *disk) removeSnapshots(old []snapshotInfo) {
	for _, s := range old {
		if err := d.fs.Remove(d.path(s.name)); err != nil {
			d.log.Warn("cannot remove an old snapshot", "file", s.name, "err", err)
		}
	}
}
