package remotewrite

import (
	"context"
	"sync/atomic"

	"github.com/pushbridge/pushbridge/group"
)

// Restatement is the state at one moment: every group once, newly stamped. It has a
// place in the log, behind the clock mark that keeps its timestamps, and is known to
// be right only when that mark is durable.
type Restatement struct {
	Records []*group.Record

	mark   atomic.Uint64 // its sequence; 0: not known yet
	failed atomic.Bool   // the mark, and with it perhaps groups that the state has
}

// Settle says what became of the clock mark. It must be called before readers of the
// log see the mark.
func (r *Restatement) Settle(seq uint64, err error) {
	if err != nil {
		r.failed.Store(true)
		return
	}
	r.mark.Store(seq)
}

// lost says whether its place will not come any more, behind what was handed out up
// to at.
func (r *Restatement) lost(at uint64) bool {
	mark := r.mark.Load()
	return r.failed.Load() || mark != 0 && at > mark
}

func (r *Restatement) due(at uint64) bool { return r.mark.Load() == at && at != 0 }

// restating is the way of a state to a destination: it is asked for, waits for its
// place in the log, and is handed out. A destination is sent the state when it is new,
// when it has other names for its series than before, and behind an outage.
type restating struct {
	ask   func() *Restatement
	state *Restatement                    // nil: none is under way
	items func(r *group.Record) []item    // what is sent of a group
	done  func(state *Restatement, n int) // it was handed out, as n items
}

// restate hands out r's state if this is its place. One whose mark has failed, or
// cannot be read any more, is exchanged for a new one.
func (x *dispatcher) restate(ctx context.Context, r *restating) error {
	if r.state == nil {
		return nil
	}
	if r.state.lost(x.at) {
		r.state = r.ask()
	}
	if !r.state.due(x.at) {
		return nil
	}
	n := 0
	for _, record := range r.state.Records {
		for _, it := range r.items(record) {
			it.seq, it.kind = x.at, ephemeral
			if err := x.put(ctx, x.d.shardOf(record.Labels.Job()), it); err != nil {
				return err
			}
			n++
		}
	}
	state := r.state
	r.state = nil
	r.done(state, n)
	return nil
}

// oweFirst makes a new destination be sent the state in front of everything else.
func (x *dispatcher) oweFirst() {
	x.d.debt.add()
	x.owed = restating{
		ask:   x.d.o.State,
		state: x.d.o.State(),
		items: func(r *group.Record) []item { return []item{{record: r, samples: r.Samples(), owed: true}} },
		done:  func(*Restatement, int) { x.d.paid() },
	}
}

// oweNames makes a destination end what was sent under its names of before: with what
// ends, and of what lives once the backlog is handed out.
func (x *dispatcher) oweNames() {
	x.d.debt.add()
	x.renaming, x.upTo = true, x.d.o.Log.Head()
	x.owed = restating{
		ask: x.d.o.State,
		items: func(r *group.Record) []item {
			n := r.Samples()
			markers := n * len(x.d.o.Former) // at most: those that are not needed are counted as such
			return []item{{record: r, samples: n + markers, owed: true, aside: stateAside}}
		},
		done: func(state *Restatement, _ int) {
			x.renaming = false
			x.d.log.Info("series that have other names or labels by the configuration of now are ended", "groups", len(state.Records))
			x.d.paid()
		},
	}
}

// askState asks for the state that ends what has other names now, once the backlog
// is handed out: a state that waits takes memory.
func (x *dispatcher) askState() {
	if x.renaming && x.owed.state == nil && x.at >= x.upTo {
		x.owed.state = x.owed.ask()
	}
}

// debt is what a destination must be sent before its cursor stops being new, or its
// names of before are forgotten.
type debt struct {
	first atomic.Bool  // the current state was not sent yet: nothing is acknowledged
	left  atomic.Int64 // records that are not settled; one more until all were put
}

func (b *debt) add() { b.left.Add(1) }

// paidBy notes the records that end in b.
func (d *Destination) paidBy(b *batch) {
	for i := range b.parts {
		if p := &b.parts[i]; p.whole && p.item.owed {
			d.paid()
		}
	}
}

// paid counts one of them. With the last, the cursor stops being new, for shards too
// that have nothing to acknowledge yet: the state is sent once.
func (d *Destination) paid() {
	if d.debt.left.Add(-1) > 0 {
		return
	}
	for _, s := range d.shards {
		total, _ := d.o.Log.TotalAt(s.acked)
		if err := d.cursor.Settle(s.n, s.acked, total, outcome{}); err != nil {
			d.report.cursorFailed(err)
		}
	}
	d.debt.first.Store(false)
	if len(d.o.Former) > 0 && d.o.FormerEnded != nil {
		d.o.FormerEnded()
	}
}
