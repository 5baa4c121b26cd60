package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
)

// ErrNotKept says that a change is not known to be kept, because the log does
// not take records or could not write this one. It comes wrapped with the
// reason. The same change may be tried again.
var ErrNotKept = errors.New("the change is not known to be kept")

// Busy tells whether err, an ErrNotKept, says that more waits for the disk than may: the
// change may be tried again at once.
func Busy(err error) bool { return errors.Is(err, queue.ErrBusy) }

// Ready returns nil while changes are taken, and why not otherwise, wrapped in
// ErrNotKept.
func (g *Gateway) Ready() error {
	if err := g.log.Err(); err != nil {
		return notKept(err)
	}
	return nil
}

func notKept(err error) error { return fmt.Errorf("%w: %w", ErrNotKept, err) }

// Do carries out c and returns when it is kept, with what names its record. The errors of the state come
// back as they are, those of the log wrapped in ErrNotKept. When ctx ends first,
// Do returns its error and the change goes on: it may or may not be kept.
func (g *Gateway) Do(ctx context.Context, c group.Change, now time.Time) (PushID, error) {
	if t := tokenOf(ctx); t != 0 {
		t.mark(&c, now)
	}
	o, err := g.start(c, now)
	if err == nil {
		err = o.wait(ctx)
	}
	if err != nil {
		return PushID{}, err
	}
	return g.pushID(o.last.Load(), c.Labels.Job()), nil
}

// Wipe ends every group, all at one time, and returns when the last end is kept.
func (g *Gateway) Wipe(ctx context.Context, now time.Time) error {
	return g.end(ctx, func(enqueue func(*group.Record)) { g.state.Wipe(now, enqueue) })
}

// DeleteAll ends the groups with these keys, all at one time, and returns how many
// there were when the last end is kept.
func (g *Gateway) DeleteAll(ctx context.Context, keys []group.Labels, now time.Time) (n int, err error) {
	err = g.end(ctx, func(enqueue func(*group.Record)) { n = g.state.DeleteAll(keys, now, enqueue) })
	return n, err
}

// Import carries out changes that somebody else has accepted already, in order,
// and returns when the last one is kept. What does not fit to the state is left
// out, and refused is told.
func (g *Gateway) Import(ctx context.Context, changes []group.Change, now time.Time, refused func(group.Change, error)) error {
	return g.end(ctx, func(enqueue func(*group.Record)) {
		for _, c := range changes {
			if err := g.state.Apply(c, now, enqueue); err != nil {
				refused(c, err)
			}
		}
	})
}

// pass hands a record that nobody waits for to the log, and to the state again once
// it is kept. It never blocks.
func (g *Gateway) pass(r *group.Record) { g.enqueue(r, func(uint64, error) {}) }

// emit hands a record that is not to be stored to the destinations that keep up.
func (g *Gateway) emit(r *group.Record) { g.log.Emit(r, r.Generation) }

// start applies one change.
func (g *Gateway) start(c group.Change, now time.Time) (*outcome, error) {
	if err := g.Ready(); err != nil {
		return nil, err
	}
	o := newOutcome()
	err := g.state.Apply(c, now, func(r *group.Record) { g.enqueue(r, o.expect()) })
	o.settle(0, nil)
	return o, err
}

// end makes several groups end, and waits.
func (g *Gateway) end(ctx context.Context, apply func(enqueue func(*group.Record))) error {
	if err := g.Ready(); err != nil {
		return err
	}
	o := newOutcome()
	apply(func(r *group.Record) { g.enqueue(r, o.expect()) })
	o.settle(0, nil)
	return o.wait(ctx)
}

// enqueue appends r to the log. settled is called once with the outcome, before readers
// of the log see r: it must neither wait nor take locks of the state.
func (g *Gateway) enqueue(r *group.Record, settled func(seq uint64, err error)) {
	err := g.log.Append(r, r.Generation, func(seq uint64, err error) { settled(seq, g.settle(r, seq, err)) })
	if err != nil {
		settled(0, notKept(err))
	}
}

// settle is called in sequence order, by the log's commit goroutine. What was
// appended behind a record that failed has failed too.
func (g *Gateway) settle(r *group.Record, seq uint64, err error) error {
	if err != nil {
		g.state.Abort(g.log.Generation())
		return notKept(err)
	}
	g.state.Fold(r, seq)
	g.samples.Add(float64(r.Samples()))
	r.Written()
	g.turns.saw(r)
	g.jobs.observe(r)
	g.kept(r)
	return nil
}

// outcome collects what becomes of the records of one change: most have one,
// a wipe has many.
type outcome struct {
	left   atomic.Int64          // records not settled, and 1 while more may come
	failed atomic.Pointer[error] // the first error
	last   atomic.Uint64         // sequence of the newest one that is kept
	done   chan struct{}         // closed when nothing is left
}

func newOutcome() *outcome {
	o := &outcome{done: make(chan struct{})}
	o.left.Store(1)
	return o
}

// expect announces one record and returns what settles it.
func (o *outcome) expect() func(uint64, error) {
	o.left.Add(1)
	return o.settle
}

func (o *outcome) settle(seq uint64, err error) {
	if err != nil {
		why := err // so that only errors take memory
		o.failed.CompareAndSwap(nil, &why)
	}
	if seq > 0 {
		o.last.Store(seq) // records are settled in order
	}
	if o.left.Add(-1) == 0 {
		close(o.done)
	}
}

// wait returns when every record is settled, or ctx ends.
func (o *outcome) wait(ctx context.Context) error {
	if ctx.Done() == nil { // as that of a plain push
		<-o.done
		return o.err()
	}
	select {
	case <-o.done:
		return o.err()
	case <-ctx.Done():
		return fmt.Errorf("wait for the change to be kept: %w", context.Cause(ctx))
	}
}

func (o *outcome) err() error {
	if err := o.failed.Load(); err != nil {
		return *err
	}
	return nil
}
