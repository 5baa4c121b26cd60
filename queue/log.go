package queue

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// Log is the durable log. All methods are safe for concurrent use.
type Log[R any] struct {
	o        Options
	codec    Codec[R]
	store    Store
	volatile bool // the store keeps no records
	identity [16]byte
	ring     *ring[R]
	cursors  *cursors
	metrics  *metrics

	snapshots schedule
	house     *house
	maxTime   atomic.Int64  // largest timestamp known, see Floor
	head      atomic.Uint64 // last durable sequence

	intake intake[R]
	commit committer[R] // owned by the commit loop
	role   role
}

// Open opens the log that s keeps, which nobody else may use from then on. Errors are
// those of s; damage is none: Damage lists it. Close gives s up.
func Open[R any](s Store, o Options, c Codec[R]) (*Log[R], error) {
	o = o.withDefaults()
	l := &Log[R]{o: o, codec: c, store: s}
	l.metrics = newMetrics(o.Registerer)
	at, err := s.Recover(Host{Logger: o.Logger, Now: o.Now, Metrics: l.metrics.store, Gauge: l.metrics.gauge})
	if err != nil {
		return nil, err
	}
	l.volatile, l.identity = at.Volatile, at.Identity
	l.head.Store(at.Head)
	l.maxTime.Store(at.Floor)
	spare := int64(spareRingBytes)
	if at.Volatile { // the ring is all there is
		spare = o.RingBytes
	}
	l.ring = newRing[R](o.RingBytes, spare, at.Head, at.Total)
	l.cursors = newCursors(s, o.Logger, l.metrics)
	l.cursors.floor, l.cursors.now, l.cursors.totalAt, l.cursors.head = l.Floor, o.Now, l.TotalAt, at.Head
	l.snapshots.init(o.Now(), s.Snapshots(), at.Behind)
	l.intake = intake[R]{limit: o.MaxQueuedBytes, log: o.Logger, wake: make(chan struct{}, 1)}
	l.commit = committer[R]{l: l, at: Place{Seq: at.Head, Total: at.Total, Exact: true}, retry: time.NewTimer(time.Hour)}
	l.commit.retry.Stop()
	l.commit.company.timer = time.NewTimer(time.Hour)
	l.commit.company.timer.Stop()
	l.role = role{leads: !l.Shared(), changed: make(chan struct{})}
	l.commit.encodeBy(c)
	l.house = l.newHouse()
	l.metrics.observe(l)
	l.metrics.observeOrphans(l.orphans)
	return l, nil
}

// newHouse returns what keeps the log within its bounds.
func (l *Log[R]) newHouse() *house {
	h := &house{
		store: l.store, onFull: l.o.OnFull, log: l.o.Logger, metrics: l.metrics, cursors: l.cursors, snapshots: &l.snapshots,
		totalAt: l.TotalAt, setFull: l.intake.setFull, due: l.SnapshotDue, endOrphans: l.endOrphans,
		idle: func() bool { return l.cursors.idle(&l.role, l.o.LateCursors) },
	}
	if l.volatile { // the ring takes no more than half of its size for a destination that lags
		h.overfull = func(passed uint64) bool { return l.ring.bytesBehind(passed) > l.o.RingBytes/2 }
	}
	return h
}

// Replay calls fn with every record behind after, in order: with the snapshot's
// sequence it completes the state. Records that are missing are passed over; they
// are in Damage. It stops at the first error of fn.
func (l *Log[R]) Replay(after uint64, fn func(r R, seq uint64) error) error {
	r := &Reader[R]{l: l, at: Place{Seq: after, Exact: after == 0}}
	for {
		it, err := r.fromStore()
		switch {
		case errors.As(err, new(*GapError)):
			l.o.Logger.Error("records that the state needs are missing", "err", err)
			continue
		case errors.Is(err, io.EOF):
			return r.Close()
		case err == nil:
			err = fn(it.Record, it.Seq)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("replay record %d: %w", it.Seq, err), r.Close())
		}
	}
}

// Append queues r. It does no I/O and never blocks, so it may be called under the
// lock that orders records; ask Err before taking a record at all. done, which may
// be nil, is called once by the commit loop, in the order of sequences: with r's
// sequence and nil after r is durable and before readers see it, or with an error
// when r is not known to be kept.
//
// Records fail together: one that fails takes along everything that was appended
// behind it, and raises the log's generation. generation is what Generation
// answered before r was built, or, for records that build on one another, when
// everything that had failed was taken back. With a generation that has passed r is
// refused with ErrAborted, since it may build on what failed; with ErrClosed after
// the end of Run. done is not called for what is refused.
func (l *Log[R]) Append(r R, generation uint64, done func(seq uint64, err error)) error {
	raise(&l.maxTime, l.codec.Time(r))
	return l.intake.add(queued[R]{record: r, size: int64(l.codec.Size(r)), done: done}, generation)
}

// Emit sends r to the readers that keep up, in order with Append, after
// everything appended before it is durable. It is never stored, and carries the
// sequence of the record before it. When that record fails, its generation has
// passed, or the log takes no records, r is dropped.
func (l *Log[R]) Emit(r R, generation uint64) {
	if l.intake.add(l.commit.ephemeral(r), generation) != nil {
		l.metrics.emitDropped.Inc()
	}
}

// Generation returns how often records have failed together since Open. What is
// appended with it was built after everything that failed so far.
func (l *Log[R]) Generation() uint64 { return l.intake.generationNow() }

// Err returns nil while the log takes records, and otherwise why it does not:
// ErrUnavailable, ErrFull, ErrBusy or ErrClosed. It is cheap.
func (l *Log[R]) Err() error { return l.intake.err() }

// Identity is of the store that keeps the log, and of no other.
func (l *Log[R]) Identity() [16]byte { return l.identity }

// Head returns the last durable sequence, 0 when there is none.
func (l *Log[R]) Head() uint64 { return l.head.Load() }

// Floor returns the largest timestamp that the log knows of: of records, and of what
// the store has noted elsewhere. After Open, timestamps must go on above it.
func (l *Log[R]) Floor() int64 { return l.maxTime.Load() }

// ResetClock forgets all timestamps known so far, for good: what is stored now does
// not raise Floor at later starts either. It is the way out after a clock that was far
// ahead; receivers may refuse what comes next. Call it between Replay and Run. A
// snapshot is due afterwards: without one, the state that is restored next time still
// has the old timestamps.
func (l *Log[R]) ResetClock() error {
	l.maxTime.Store(0)
	if err := l.store.ResetClock(); err != nil {
		return fmt.Errorf("reset the clock: %w", err)
	}
	l.snapshots.want()
	return nil
}

// Damage returns what was found damaged since Open, by Open itself and by everything
// that read since.
func (l *Log[R]) Damage() []error { return l.store.Damage() }

// memory returns the bytes of what waits and of what the ring holds.
func (l *Log[R]) memory() (queued, ring int64) { return l.intake.bytes(), l.ring.size() }

// Close gives the store up. It must follow the end of Run, if Run was called, and the
// end of everything that writes cursors: positions are marked exact, so that the next
// start has nothing in doubt.
func (l *Log[R]) Close() error {
	l.intake.shut()
	err := l.cursors.close()
	if cerr := l.store.Close(); err == nil {
		err = cerr
	}
	return err
}

// raise makes v the value of a if it is larger.
func raise(a *atomic.Int64, v int64) {
	for old := a.Load(); v > old; old = a.Load() {
		if a.CompareAndSwap(old, v) {
			return
		}
	}
}
