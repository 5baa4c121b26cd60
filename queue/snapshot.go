package queue

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// KeepSnapshots is how many snapshots a store keeps: when the newest turns out damaged,
// the one before and the log behind it have everything.
const KeepSnapshots = 2

// snapshotRetry is the pause after a failed attempt.
const snapshotRetry = 10 * time.Second

// WriteSnapshot stores what write writes as the state up to the record seq, whose
// largest timestamp is floor. It may run beside everything else. When there is one
// already that has the state up to seq it does nothing.
func (l *Log[R]) WriteSnapshot(seq uint64, floor int64, write func(io.Writer) error) error {
	s := &l.snapshots
	s.writing.Lock()
	defer s.writing.Unlock()
	if newest, ok := l.newestSnapshot(); ok && newest.Seq >= seq && !newest.Stale {
		s.done(l.o.Now())
		return nil
	}
	now := l.o.Now()
	grown := s.begin(now)
	total, _ := l.TotalAt(seq)
	err := l.store.WriteSnapshot(Snapshot{Seq: seq, Floor: max(floor, l.Floor()), Total: total, Created: now}, write)
	if err != nil {
		l.metrics.snapshotFailures.Inc()
		s.fail(grown)
		return fmt.Errorf("write snapshot at %d: %w", seq, err)
	}
	l.metrics.snapshots.Inc()
	s.done(l.o.Now())
	s.kick()
	return nil
}

// ReadSnapshot gives the newest good snapshot to read and returns the sequence and
// floor that it was written with. One whose checksums are wrong is put out of the way,
// and the one before is used: the log still has what lies between. An error of read is
// returned as it is. Without any snapshot the result is 0, and read is not called.
func (l *Log[R]) ReadSnapshot(read func(io.Reader) error) (seq uint64, floor int64, err error) {
	s, err := l.store.ReadSnapshot(read)
	return s.Seq, s.Floor, err
}

func (l *Log[R]) newestSnapshot() (s Snapshot, ok bool) {
	if kept := l.store.Snapshots(); len(kept) > 0 {
		return kept[0], true
	}
	return s, false
}

// SnapshotDue reports whether a snapshot should be written: the log has grown by
// SnapshotBytes, or SnapshotInterval has passed and something was appended, or a
// bound can only be kept with one.
func (l *Log[R]) SnapshotDue() bool {
	newest, ok := l.newestSnapshot()
	behind := l.Head() > newest.Seq || ok && newest.Stale
	return behind && l.snapshots.isDue(l.o)
}

// SnapshotSignal returns a channel that receives when SnapshotDue has become true,
// and again while it stays true.
func (l *Log[R]) SnapshotSignal() <-chan struct{} { return l.snapshots.due }

// schedule knows when the next snapshot is due.
type schedule struct {
	writing sync.Mutex // one at a time; taken before mu

	mu     sync.Mutex
	grown  int64         // bytes of log since the newest
	asked  bool          // a bound, or a failure, needs one
	begun  time.Time     // of the last attempt, or of Open
	failed bool          // the last attempt
	due    chan struct{} // signals those who write snapshots
	house  chan struct{} // signals the housekeeping
}

// init begins with what was found at open.
func (s *schedule) init(now time.Time, found []Snapshot, grown int64) {
	s.begun, s.grown = now, grown
	s.due, s.house = make(chan struct{}, 1), make(chan struct{}, 1)
	if len(found) > 0 && found[0].Created.Before(now) {
		s.begun = found[0].Created
	}
}

func (s *schedule) isDue(o Options) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := o.Now()
	if s.failed && now.Sub(s.begun) < snapshotRetry {
		return false
	}
	return s.asked || s.grown >= o.SnapshotBytes || now.Sub(s.begun) >= o.SnapshotInterval
}

// kick wakes the housekeeping.
func (s *schedule) kick() { poke(s.house) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// want makes a snapshot due.
func (s *schedule) want() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = true
}

// grew notes that the log has grown.
func (s *schedule) grew(n int, limit int64) {
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
func (s *schedule) begin(now time.Time) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	grown := s.grown
	s.begun, s.grown = now, 0
	return grown
}

func (s *schedule) fail(grown int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = true
	s.grown += grown
}

// done notes that there is a new snapshot, or that none is needed.
func (s *schedule) done(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed, s.asked, s.begun = false, false, now
}
