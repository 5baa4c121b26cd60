package queuetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// at returns the positions of a cursor as acked/sent.
func at(c *queue.Cursor) (all []string) {
	for i := range c.Shards() {
		acked, sent := c.Position(i)
		all = append(all, fmt.Sprintf("%d/%d", acked, sent))
	}
	return all
}

// hold fails the case when a cursor is not where it should be.
func (r *rig) hold(when string, c *queue.Cursor, want ...string) {
	r.Helper()
	if got := at(c); !slices.Equal(got, want) {
		r.Errorf("%s: the cursor is at %v, want %v", when, got, want)
	}
}

// noted opens a cursor with two shards and notes positions and books.
func (r *rig) noted() *queue.Cursor {
	r.Helper()
	c := r.cursor("dest", 2)
	r.fill(9)
	total, _ := r.log.TotalAt(4)
	r.must(c.SettleAll(
		queue.Settled{Shard: 0, Seq: 4, Total: total, Outcome: queue.Outcome{0: total}},
		queue.Settled{Shard: 1, Seq: 2, Total: queue.UnknownTotal, Outcome: queue.Outcome{3: 1}},
	), c.Sent(1, 6), c.Missed(3, queue.Outcome{5: 2}), c.Repeat(1))
	return c
}

var notedLedger = queue.Ledger{Again: 1, MissedTo: 3, Settled: queue.Outcome{0: 10, 3: 1, 5: 2}}

// holdLedger fails the case when the books are not those of noted.
func (r *rig) holdLedger(when string, c *queue.Cursor) {
	r.Helper()
	if got, _ := c.Ledger(); got != notedLedger {
		r.Errorf("%s: the books are %+v, want %+v", when, got, notedLedger)
	}
}

var cursorCases = []testCase{
	{name: "identity: is that of this store alone", run: func(r *rig) {
		r.fill(1)
		if id := r.log.Identity(); id == ([16]byte{}) {
			r.Error("it has none")
		}
	}},
	{name: "identity: outlives the process", needs: survives, run: func(r *rig) {
		r.fill(1)
		id := r.log.Identity()
		r.restart()
		if got := r.log.Identity(); got != id {
			r.Errorf("it is %x after a restart, was %x", got, id)
		}
	}},
	{name: "cursor: begins at the head, and is new until all shards have acknowledged", run: func(r *rig) {
		r.fill(5)
		c, isNew, err := r.log.OpenCursor("dest", 2)
		r.must(err)
		r.hold("at first", c, "5/5", "5/5")
		if c.HasSent() {
			r.Error("nothing was sent, and it has sent something")
		}
		r.must(c.Sent(0, 6))
		if !c.HasSent() || !c.IsNew() {
			r.Error("something was sent, and it has sent nothing, or is new no more")
		}
		r.must(c.Acked(0, 6))
		if !isNew || !c.IsNew() {
			r.Error("it is not new before the second shard has acknowledged")
		}
		r.must(c.Acked(1, 5))
		if c.IsNew() {
			r.Error("it is new when all have acknowledged")
		}
		if ledger, _ := c.Ledger(); ledger.Begun != r.sum {
			r.Errorf("the books begin at %d, want %d", ledger.Begun, r.sum)
		}
	}},
	{name: "cursor: is opened once", run: func(r *rig) {
		r.cursor("dest", 1)
		if _, _, err := r.log.OpenCursor("dest", 1); err == nil {
			r.Error("opened twice")
		}
		r.cursor("other", 1)
		if all := r.log.Cursors(); len(all) != 2 || all[0].ID != "dest" || all[1].ID != "other" || !all[0].Open {
			r.Errorf("cursors %+v", all)
		}
	}},
	{name: "cursor: positions and books survive a proper stop", needs: survives, run: func(r *rig) {
		r.noted()
		r.restart()
		if all := r.log.Cursors(); len(all) != 1 || all[0].Open || all[0].Ledger != notedLedger || all[0].Shards[1].Sent != 6 {
			r.Errorf("before it is opened: %+v", all)
		}
		c := r.cursor("dest", 2)
		r.hold("after a stop", c, "4/4", "2/6")
		r.holdLedger("after a stop", c)
	}},
	{name: "cursor: positions and books survive kill -9", needs: survives | kills, run: func(r *rig) {
		r.noted()
		for range 2 {
			r.after(r.place.Kill)
			c := r.cursor("dest", 2)
			r.hold("after kill -9", c, "4/4", "2/6")
			r.holdLedger("after kill -9", c)
		}
	}},
	{name: "cursor: what was synced survives a power loss, and the rest is in doubt", needs: survives | losesPower, run: func(r *rig) {
		c := r.noted()
		r.steps.Cursors()
		r.must(c.Acked(0, 8))
		r.after(r.place.PowerLoss)
		c = r.cursor("dest", 2)
		acked, sent := c.Position(0)
		if acked != 4 && acked != 8 || sent != 9 {
			r.Errorf("after a power loss it is at %d, %d", acked, sent)
		}
		if acked == 4 {
			r.holdLedger("after a power loss", c)
		}
	}},
	{name: "cursor: with another number of shards it goes on from the smallest position", log: queue.Options{RingBytes: 1 << 20}, run: func(r *rig) {
		c := r.noted()
		r.must(c.Reshard(3))
		r.hold("resharded", c, "2/6", "2/6", "2/6")
		if ledger, _ := c.Ledger(); ledger.Pending(r.log.Samples()) != r.sum-3 {
			r.Errorf("%d pending: %+v", ledger.Pending(r.log.Samples()), ledger)
		}
		if err := c.Reshard(0); err == nil {
			r.Error("no shards are possible")
		}
	}},
	{name: "cursor: another number of shards survives", needs: survives, run: func(r *rig) {
		r.noted()
		for _, shards := range []int{1, 300, 2} {
			r.restart()
			c := r.cursor("dest", shards)
			for _, p := range at(c) {
				if p != "2/6" {
					r.Fatalf("%d shards: %v", shards, at(c))
				}
			}
		}
	}},
	{name: "cursor: an orphan is kept, taken up again, and forgotten", needs: survives, run: func(r *rig) {
		c := r.noted()
		r.must(c.Orphan())
		r.restart()
		r.must(r.log.KeepOrphans())
		orphans := r.log.Cursors()
		if len(orphans) != 1 || orphans[0].Open || !orphans[0].Orphaned.Equal(r.now) {
			r.Fatalf("orphans %+v", orphans)
		}
		if until := r.log.KeptUntil(orphans[0]); !until.Equal(r.now.Add(7 * 24 * time.Hour)) {
			r.Errorf("kept until %v", until)
		}
		c = r.cursor("dest", 2)
		r.hold("taken up", c, "4/4", "2/6")
		if err := r.log.Forget("dest", "test"); !errors.Is(err, queue.ErrNoOrphan) {
			r.Errorf("forget what is in use: %v", err)
		}
		r.must(c.Orphan())
		r.now = r.now.Add(8 * 24 * time.Hour)
		r.steps.Maintain()
		if all := r.log.Cursors(); len(all) != 0 {
			r.Errorf("left: %+v", all)
		}
		r.restart()
		if all := r.log.Cursors(); len(all) != 0 {
			r.Errorf("it is back: %+v", all)
		}
	}},
	{name: "cursor: an orphan in one process", run: func(r *rig) {
		c := r.noted()
		r.must(c.Orphan())
		again, isNew, err := r.log.OpenCursor("dest", 2)
		if err != nil || isNew {
			r.Fatal(isNew, err)
		}
		r.hold("taken up", again, "4/4", "2/6")
		r.must(again.Orphan(), r.log.Forget("dest", "test"))
		if _, isNew, err := r.log.OpenCursor("dest", 2); err != nil || !isNew {
			r.Errorf("made again: new %t, %v", isNew, err)
		}
	}},
	{name: "cursor: a former id", needs: survives, run: func(r *rig) {
		r.noted()
		r.restart()
		c, isNew, err := r.log.OpenCursor("renamed", 2, "never", "dest")
		if err != nil || isNew {
			r.Fatal(isNew, err)
		}
		r.hold("renamed", c, "4/4", "2/6")
		r.holdLedger("renamed", c)
		r.restart()
		if all := r.log.Cursors(); len(all) != 1 || all[0].ID != "renamed" {
			r.Errorf("cursors %+v", all)
		}
	}},
	{name: "cursor: the log goes on behind what a cursor knows", needs: survives, run: func(r *rig) {
		c := r.noted()
		r.must(c.Sent(0, 50))
		r.restart()
		r.add(record{})
		if last := r.order[len(r.order)-1]; last != 51 {
			r.Errorf("the next record is %d, and somebody has been sent 50", last)
		}
	}},
	{name: "cursor: positions stay true while they cannot be saved", needs: survives | breaks, run: func(r *rig) {
		c := r.noted()
		r.place.Break(errBroken)
		if err := c.Sent(0, 9); err != nil && !errors.Is(err, errBroken) {
			r.Errorf("sent: %v", err)
		}
		r.steps.Cursors()
		r.hold("broken", c, "4/9", "2/6")
		r.place.Break(nil)
		r.steps.Cursors()
		r.restart()
		r.hold("well again", r.cursor("dest", 2), "4/9", "2/6")
	}},
}
