package queue

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Log is the durable log. All methods are safe for concurrent use.
type Log[R any] struct {
	o       Options
	codec   Codec[R]
	disk    *disk // nil: memory only
	ring    *ring[R]
	cursors *cursors
	metrics *metrics

	snapshots snapshotState
	maxTime   atomic.Int64  // largest timestamp known, see Floor
	head      atomic.Uint64 // last durable sequence

	mu         sync.Mutex
	queue      []queued[R]
	generation uint64 // raised when records fail, see Append
	waiting    int64  // bytes queued and in the batch being committed
	failure    error  // why nothing can be written at present
	full       bool   // at a bound with Reject
	closed     bool   // Run has ended
	wake       chan struct{}

	commit committer // owned by the commit loop
}

// queued is a record on its way to the disk.
type queued[R any] struct {
	record    R
	size      int64
	ephemeral bool
	done      func(seq uint64, err error)
}

// Open opens the log in o.Dir, makes it when absent, and repairs what a crash
// left behind. It returns ErrLocked when another process has the directory open,
// and a *VersionError for files of a newer format. Damage is no error: Damage
// lists it. Close releases the directory.
func Open[R any](o Options, c Codec[R]) (*Log[R], error) {
	return open(osFS{}, o, c)
}

func open[R any](fs fsys, o Options, c Codec[R]) (*Log[R], error) {
	o = o.withDefaults()
	l := &Log[R]{o: o, codec: c, wake: make(chan struct{}, 1)}
	l.metrics = newMetrics(o.Registerer)
	l.cursors = newCursors(o.Logger, l.metrics, l.Floor, l.totalAt)
	l.cursors.now = o.Now
	l.snapshots.init(o.Now())
	var at recovered
	if o.Dir != "" {
		d, found, err := openDisk(fs, o, l.metrics, l.cursors)
		if err != nil {
			return nil, fmt.Errorf("open log in %s: %w", o.Dir, err)
		}
		l.disk, at = d, found
		l.o = o.withMinFree(fs)
		l.snapshots.restore(at.snapshots, d.bytesBehind(at.snapshots))
		l.metrics.observeDisk(d, &l.snapshots)
	}
	l.head.Store(at.head)
	l.maxTime.Store(at.floor)
	l.commit.total = at.total
	l.commit.retry = time.NewTimer(time.Hour)
	l.commit.retry.Stop()
	l.ring = newRing[R](o.RingBytes, at.head, at.total)
	l.metrics.observe(l)
	l.metrics.observeOrphans(l.orphans)
	return l, nil
}

// Replay calls fn with every record behind after, in order: with the snapshot's
// sequence it completes the state. Records that are missing are passed over; they
// are in Damage. It stops at the first error of fn.
func (l *Log[R]) Replay(after uint64, fn func(r R, seq uint64) error) error {
	if l.disk == nil {
		return nil
	}
	r := &Reader[R]{l: l, tail: newTail(l.disk, after)}
	for {
		it, err := r.fromSegments()
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
	size := int64(l.codec.Size(r))
	raise(&l.maxTime, l.codec.Time(r))
	l.mu.Lock()
	switch {
	case l.closed:
		l.mu.Unlock()
		return ErrClosed
	case l.generation != generation:
		l.mu.Unlock()
		return ErrAborted
	}
	l.queue = append(l.queue, queued[R]{record: r, size: size, done: done})
	l.waiting += size
	l.mu.Unlock()
	l.notify()
	return nil
}

// Emit sends r to the readers that keep up, in order with Append, after
// everything appended before it is durable. It is never stored, and carries the
// sequence of the record before it. When that record fails, its generation has
// passed, or the log takes no records, r is dropped.
func (l *Log[R]) Emit(r R, generation uint64) {
	size := int64(l.codec.Size(r))
	l.mu.Lock()
	if l.closed || l.failure != nil || l.generation != generation || l.waiting > l.o.MaxQueuedBytes {
		l.mu.Unlock()
		l.metrics.emitDropped.Inc()
		return
	}
	l.queue = append(l.queue, queued[R]{record: r, size: size, ephemeral: true})
	l.waiting += size
	l.mu.Unlock()
	l.notify()
}

// Generation returns how often records have failed together since Open. What is
// appended with it was built after everything that failed so far.
func (l *Log[R]) Generation() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.generation
}

// Err returns nil while the log takes records, and otherwise why it does not:
// ErrUnavailable, ErrFull, ErrBusy or ErrClosed. It is cheap.
func (l *Log[R]) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return ErrClosed
	case l.failure != nil:
		return l.failure
	case l.full:
		return ErrFull
	case l.waiting > l.o.MaxQueuedBytes:
		return ErrBusy
	}
	return nil
}

// Head returns the last durable sequence, 0 when there is none.
func (l *Log[R]) Head() uint64 { return l.head.Load() }

// Floor returns the largest timestamp that the log knows of: of records, and in
// the headers of segments, snapshots and cursors. After Open, timestamps must go
// on above it.
func (l *Log[R]) Floor() int64 { return l.maxTime.Load() }

// ResetClock forgets all timestamps known so far, for good: what lies on disk now
// does not raise Floor at later starts either. It is the way out after a clock
// that was far ahead; receivers may refuse what comes next. Call it between Replay
// and Run. A snapshot is due afterwards: without one, the state that is restored
// next time still has the old timestamps.
func (l *Log[R]) ResetClock() error {
	l.maxTime.Store(0)
	if l.disk == nil {
		return nil
	}
	era := l.disk.era.Load() + 1
	if err := l.disk.writeStoreFile(era); err != nil {
		return fmt.Errorf("reset the clock: %w", err)
	}
	l.disk.era.Store(era)
	l.snapshots.want()
	return nil
}

// Damage returns what was found damaged since Open, by Open itself and by
// everything that read since.
func (l *Log[R]) Damage() []*CorruptionError {
	if l.disk == nil {
		return nil
	}
	return l.disk.damage.list()
}

// Close releases the directory. It must follow the end of Run, if Run was
// called, and the end of everything that writes cursors: positions are marked
// exact, so that the next start has nothing in doubt.
func (l *Log[R]) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	if l.disk == nil {
		return nil
	}
	err := l.cursors.close()
	if cerr := l.disk.close(); err == nil {
		err = cerr
	}
	return err
}

// notify wakes the commit loop.
func (l *Log[R]) notify() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Log[R]) queuedBytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting
}

func (l *Log[R]) ringBytes() int64 { return l.ring.size() }

// raise makes v the value of a if it is larger.
func raise(a *atomic.Int64, v int64) {
	for old := a.Load(); v > old; old = a.Load() {
		if a.CompareAndSwap(old, v) {
			return
		}
	}
}
