package queuetest

import (
	"errors"

	"github.com/pushbridge/pushbridge/queue"
)

// deliver reads what there is and acknowledges it.
func (r *rig) deliver(c *queue.Cursor, reader *queue.Reader[record]) got {
	r.Helper()
	g := r.drain(reader)
	n := queue.Outcome{0: g.samples}
	total, known := reader.Total()
	if !known {
		r.Error("the reader does not know its books")
	}
	if len(g.gaps) > 0 {
		r.must(c.Missed(g.gaps[len(g.gaps)-1].To, queue.Outcome{1: g.missing}))
	}
	if len(g.seqs) > 0 {
		r.must(c.Sent(0, g.seqs[len(g.seqs)-1]), c.Settle(0, g.seqs[len(g.seqs)-1], total, n))
	}
	return g
}

// bounded fills a log for one destination that keeps up and one that does not. It
// returns what the one that lags had got before.
func (r *rig) bounded() (before got) {
	r.Helper()
	lagging, keeping := r.cursor("lagging", 1), r.cursor("keeping", 1)
	slow, quick := r.log.NewReader(0), r.log.NewReader(0)
	r.fill(7)
	before = r.deliver(lagging, slow)
	var all got
	for range 30 {
		r.fill(10)
		g := r.deliver(keeping, quick)
		all.samples, all.missing = all.samples+g.samples, all.missing+g.missing
		r.snapshot("state")
		r.steps.Maintain()
	}
	if all.samples != r.sum || all.missing != 0 {
		r.Errorf("the destination that keeps up got %d samples and misses %d, of %d", all.samples, all.missing, r.sum)
	}
	r.must(slow.Close(), quick.Close())
	return before
}

var boundCases = []testCase{
	{name: "6 what waits is bounded", log: queue.Options{MaxQueuedBytes: 1000}, run: func(r *rig) {
		for n := 0; r.log.Err() == nil; n++ {
			r.push(record{})
			if n > 20 {
				r.Fatal("too much is taken")
			}
		}
		if err := r.log.Err(); !errors.Is(err, queue.ErrBusy) {
			r.Errorf("Err is %v", err)
		}
		r.steps.Commit()
		if err := r.log.Err(); err != nil {
			r.Errorf("Err is %v when nothing waits", err)
		}
	}},
	{name: "6 a bound costs only what lags, and that is exact", needs: survives, o: Options{MaxBytes: 6000}, run: func(r *rig) {
		before := r.bounded()
		excess, err := r.store.Excess()
		if err != nil || excess > 400 { // the part that is being written
			r.Errorf("%d bytes too many, %v", excess, err)
		}
		c := r.log.Cursors()
		if n := r.log.Pending(c[1]); c[1].ID != "lagging" || n != r.sum-before.samples {
			r.Errorf("%d pending for %s, want %d", n, c[1].ID, r.sum-before.samples)
		}
		r.restart()
		lagging := r.cursor("lagging", 1)
		if n := r.log.SamplesAfter(lagging.Acknowledged()); n != r.sum-before.samples {
			r.Errorf("%d samples behind the one that lags, want %d", n, r.sum-before.samples)
		}
		reader := r.log.NewReader(lagging.Acknowledged())
		g := r.deliver(lagging, reader)
		if g.missing == 0 || before.samples+g.samples+g.missing != r.sum {
			r.Errorf("got %d, then %d, and %d are missing, of %d", before.samples, g.samples, g.missing, r.sum)
		}
		ledger, _ := lagging.Ledger()
		if n := ledger.Pending(r.log.Samples()); n != 0 {
			r.Errorf("%d samples are pending in the end: %+v", n, ledger)
		}
		r.must(reader.Close())
	}},
	{
		name: "6 with reject nothing is lost", needs: survives, o: Options{MaxBytes: 6000}, log: queue.Options{OnFull: queue.Reject},
		run: func(r *rig) {
			c := r.cursor("lagging", 1)
			for n := 0; r.log.Err() == nil; n++ {
				r.add(record{samples: 1, body: "0123456789012345678901234567890123456789"})
				r.snapshot("state")
				r.steps.Maintain()
				if n > 1000 {
					r.Fatal("too much is taken")
				}
			}
			if err := r.log.Err(); !errors.Is(err, queue.ErrFull) {
				r.Errorf("Err is %v", err)
			}
			reader := r.log.NewReader(0)
			if g := r.deliver(c, reader); g.samples != r.sum {
				r.Errorf("got %+v, of %d samples", g, r.sum)
			}
			r.must(reader.Close())
			r.steps.Maintain()
			if err := r.log.Err(); err != nil {
				r.Errorf("Err is %v when the destination has caught up", err)
			}
		},
	},
	{name: "6 what no snapshot has is kept", needs: survives, o: Options{MaxBytes: 3000}, run: func(r *rig) {
		r.fill(100)
		r.steps.Maintain()
		if oldest, _ := r.store.Oldest(); oldest.First != 1 || !r.log.SnapshotDue() {
			r.Errorf("the oldest part is %+v, a snapshot is due: %t", oldest, r.log.SnapshotDue())
		}
		r.replayed(0)
		r.snapshot("state")
		r.steps.Maintain()
		if excess, _ := r.store.Excess(); excess > 400 {
			r.Errorf("%d bytes too many", excess)
		}
	}},
	{name: "6 what everybody has goes", needs: survives, run: func(r *rig) {
		c := r.cursor("dest", 1)
		reader := r.log.NewReader(0)
		for range 10 {
			r.fill(10)
			r.deliver(c, reader)
			r.snapshot("state")
			r.steps.Maintain()
		}
		if oldest, ok := r.store.Oldest(); ok && oldest.First < 60 {
			r.Errorf("the oldest part is %+v", oldest)
		}
		r.must(reader.Close())
	}},
}
