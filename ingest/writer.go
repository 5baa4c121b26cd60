package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
)

// ErrNotKept says that a change is not known to be kept, because the log does
// not take records or could not write this one. It comes wrapped with the
// reason. The same change may be tried again.
var ErrNotKept = errors.New("the change is not known to be kept")

// Writer carries out changes: each is checked, ordered and stamped by the store
// and written by the log. It is safe for concurrent use.
type Writer struct {
	store   *group.Store
	log     *queue.Log[*group.Record]
	samples prometheus.Counter
	kept    func(*group.Record) // see OnKept
}

// NewWriter returns a Writer that joins s and l. Nothing else may apply changes
// to s: what it stores and what l keeps would differ.
func NewWriter(s *group.Store, l *queue.Log[*group.Record], reg prometheus.Registerer) *Writer {
	w := &Writer{store: s, log: l, kept: func(*group.Record) {}, samples: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pushbridge_ingest_samples_total",
		Help: "Samples of the changes that were kept, before relabelling; stale markers are counted too.",
	})}
	if reg != nil {
		reg.MustRegister(w.samples)
	}
	return w
}

// OnKept makes w call f with each record that is kept, in order and before any
// destination reads it. It must be called before the first change.
func (w *Writer) OnKept(f func(*group.Record)) { w.kept = f }

// Store returns the store that w changes.
func (w *Writer) Store() *group.Store { return w.store }

// Ready returns nil while changes are taken, and why not otherwise, wrapped in
// ErrNotKept.
func (w *Writer) Ready() error {
	if err := w.log.Err(); err != nil {
		return notKept(err)
	}
	return nil
}

func notKept(err error) error { return fmt.Errorf("%w: %w", ErrNotKept, err) }

// Do carries out c and returns when it is kept. The errors of the store come
// back as they are, those of the log wrapped in ErrNotKept. When ctx ends first,
// Do returns its error and the change goes on: it may or may not be kept.
func (w *Writer) Do(ctx context.Context, c group.Change, now time.Time) error {
	o, err := w.start(c, now)
	if err != nil {
		return err
	}
	return o.wait(ctx)
}

// Wipe ends every group, all at one time, and returns when the last end is kept.
func (w *Writer) Wipe(ctx context.Context, now time.Time) error {
	return w.end(ctx, func(enqueue func(*group.Record)) { w.store.Wipe(now, enqueue) })
}

// DeleteAll ends the groups with these keys, all at one time, and returns how many
// there were when the last end is kept.
func (w *Writer) DeleteAll(ctx context.Context, keys []group.Labels, now time.Time) (n int, err error) {
	err = w.end(ctx, func(enqueue func(*group.Record)) { n = w.store.DeleteAll(keys, now, enqueue) })
	return n, err
}

// Expire ends the groups whose time is over, and returns when that is kept.
func (w *Writer) Expire(ctx context.Context, now time.Time) error {
	return w.end(ctx, func(enqueue func(*group.Record)) { w.store.Expire(now, enqueue) })
}

// Enqueue hands a record that the store made to the log, and to the store again
// once it is kept. It is for those methods of the store that take an enqueue
// function, and never blocks.
func (w *Writer) Enqueue(r *group.Record) { w.enqueue(r, func(error) {}) }

// EnqueueThen is Enqueue for a caller that wants to know what became of r: settled
// is called once, with r's sequence or an error, and must neither wait nor take
// locks of the store. Readers of the log do not see r before.
func (w *Writer) EnqueueThen(r *group.Record, settled func(seq uint64, err error)) {
	err := w.log.Append(r, r.Generation(), func(seq uint64, err error) { settled(seq, w.settle(r, seq, err)) })
	if err != nil {
		settled(0, notKept(err))
	}
}

// Emit hands a record that is not to be stored to the destinations that keep up.
func (w *Writer) Emit(r *group.Record) { w.log.Emit(r, r.Generation()) }

// start applies one change.
func (w *Writer) start(c group.Change, now time.Time) (*outcome, error) {
	if err := w.Ready(); err != nil {
		return nil, err
	}
	o := newOutcome()
	err := w.store.Apply(c, now, func(r *group.Record) { w.enqueue(r, o.expect()) })
	o.settle(nil)
	return o, err
}

// end makes several groups end, and waits.
func (w *Writer) end(ctx context.Context, apply func(enqueue func(*group.Record))) error {
	if err := w.Ready(); err != nil {
		return err
	}
	o := newOutcome()
	apply(func(r *group.Record) { w.enqueue(r, o.expect()) })
	o.settle(nil)
	return o.wait(ctx)
}

// enqueue appends r to the log. kept is called once with the outcome: it must
// neither wait nor take locks of the store.
func (w *Writer) enqueue(r *group.Record, kept func(error)) {
	err := w.log.Append(r, r.Generation(), func(seq uint64, err error) { kept(w.settle(r, seq, err)) })
	if err != nil {
		kept(notKept(err))
	}
}

// settle is called in sequence order, by the log's commit goroutine. What was
// appended behind a record that failed has failed too.
func (w *Writer) settle(r *group.Record, seq uint64, err error) error {
	if err != nil {
		w.store.Abort(w.log.Generation())
		return notKept(err)
	}
	w.store.Commit(r, seq)
	w.samples.Add(float64(r.Samples()))
	w.kept(r)
	return nil
}

// outcome collects what becomes of the records of one change: most have one,
// a wipe has many.
type outcome struct {
	left   atomic.Int64          // records not settled, and 1 while more may come
	failed atomic.Pointer[error] // the first error
	done   chan struct{}         // closed when nothing is left
}

func newOutcome() *outcome {
	o := &outcome{done: make(chan struct{})}
	o.left.Store(1)
	return o
}

// expect announces one record and returns what settles it.
func (o *outcome) expect() func(error) {
	o.left.Add(1)
	return o.settle
}

func (o *outcome) settle(err error) {
	if err != nil {
		o.failed.CompareAndSwap(nil, &err)
	}
	if o.left.Add(-1) == 0 {
		close(o.done)
	}
}

// wait returns when every record is settled, or ctx ends.
func (o *outcome) wait(ctx context.Context) error {
	select {
	case <-o.done:
		if err := o.failed.Load(); err != nil {
			return *err
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the change to be kept: %w", context.Cause(ctx))
	}
}
