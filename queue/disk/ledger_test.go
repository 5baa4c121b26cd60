package disk

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/queue"
)

// A destination acknowledges a record whose segment was dropped while it was on
// its way. After a restart what is missing behind it is still counted exactly.
func TestAckedBehindDroppedSegments(t *testing.T) {
	b := newBounded(t, func(o *options) { o.MaxBytes = 4000; o.RingBytes = 1 })
	c, r := b.open("slow")
	b.fill(10)
	var at queue.Item[rec]
	for range 5 {
		it, ok, err := r.TryNext()
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		at = it
	}
	total, known := r.Total()
	if !known {
		t.Fatal("the reader does not know its books")
	}
	for range 20 {
		b.fill(10)
	}
	if first := b.disk.segments.oldest().view.first; first <= at.Seq+1 {
		t.Fatalf("nothing behind record %d was dropped", at.Seq)
	}
	if err := errors.Join(c.Sent(0, at.Seq), c.Settle(0, at.Seq, total, queue.Outcome{total})); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	c, r = b.open("slow")
	pending := b.SamplesAfter(c.Acknowledged())
	delivered, missing := deliver(t, c, r) // fails for a gap that is not exact
	if missing == 0 || pending != delivered+missing || total+pending != b.sum {
		t.Errorf("%d samples before, then %d missing and %d delivered of %d pending; all are %d",
			total, missing, delivered, pending, b.sum)
	}
}

// The books of a destination are those of its whole life: over restarts, another
// number of shards, and a file of format version 1, which had none.
func TestLedger(t *testing.T) {
	b := newBounded(t, func(o *options) { o.MaxBytes = -1 })
	b.fill(3)
	begun := b.sum
	c, _, err := b.OpenCursor("dest", 2)
	if err != nil {
		t.Fatal(err)
	}
	b.fill(6) // sequences 4 to 9
	first, second := b.upTo(4)-begun, b.upTo(9)-b.upTo(4)
	err = errors.Join(
		c.Settle(0, 4, b.upTo(4), queue.Outcome{0: first}),
		c.Settle(1, 9, b.upTo(9), queue.Outcome{0: 1, 2: 2}), // some of the records behind 4
		c.Settle(1, 8, b.upTo(8), queue.Outcome{}),           // changes nothing
	)
	if err != nil {
		t.Fatal(err)
	}
	want := queue.Ledger{Begun: begun, Settled: queue.Outcome{0: first + 1, 2: 2}}
	checkLedger := func(when string, pending uint64) {
		t.Helper()
		got, upTo := c.Ledger()
		if diff := cmp.Diff(want, got); diff != "" || upTo != 9 && want.Again == 0 {
			t.Errorf("%s: up to %d, (-want +got):\n%s", when, upTo, diff)
		}
		status := b.Cursors()[0]
		if n := b.Pending(status); n != pending {
			t.Errorf("%s: %d samples are pending, want %d", when, n, pending)
		}
	}
	restart := func(shards int) {
		t.Helper()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b.reopen()
		if c, _, err = b.OpenCursor("dest", shards); err != nil {
			t.Fatal(err)
		}
	}
	checkLedger("at first", second-3)
	restart(2)
	checkLedger("after a restart", second-3)
	restart(1)
	want.Again = 3
	checkLedger("with one shard", second)
	if err := c.Reshard(3); err != nil {
		t.Fatal(err)
	}
	checkLedger("with three shards", second)
	if err := errors.Join(c.Missed(9, queue.Outcome{4: second}), c.Repeat(2)); err != nil {
		t.Fatal(err)
	}
	want.MissedTo, want.Again, want.Settled[4] = 9, 5, second
	checkLedger("when the rest is missed and two come again", 2)
}

// upTo returns how many samples the records up to seq held.
func (b *boundedLog) upTo(seq uint64) uint64 {
	b.t.Helper()
	total, exact := b.TotalAt(seq)
	if !exact {
		b.t.Errorf("the samples up to %d are not known", seq)
	}
	return total
}

// A cursor of format version 1 knows no books. They begin at its smallest
// position, and what lies behind that is in doubt.
func TestLedgerOfVersion1(t *testing.T) {
	sim := newSim()
	for name, data := range goldenFiles(t, goldenDirs[0]) {
		sim.add("/store/"+name, data)
	}
	l, err := open(sim, simOptions())
	if err != nil {
		t.Fatal(err)
	}
	if n := l.Pending(l.Cursors()[0]); n != 302 {
		t.Errorf("%d samples are pending, want 302", n)
	}
	c, _, err := l.OpenCursor("golden", 2)
	if err != nil {
		t.Fatal(err)
	}
	got, upTo := c.Ledger()
	if diff := cmp.Diff(queue.Ledger{Begun: 7}, got); diff != "" || upTo != 1 {
		t.Errorf("up to %d, (-want +got):\n%s", upTo, diff)
	}
	if diff := cmp.Diff([][2]uint64{{1, 3}, {1, 3}}, positionsOf(c)); diff != "" {
		t.Errorf("positions (-want +got):\n%s", diff)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = open(sim, simOptions()); err != nil {
		t.Fatal(err)
	}
	status := l.Cursors()[0]
	if diff := cmp.Diff(queue.Ledger{Begun: 7}, status.Ledger); diff != "" || l.Pending(status) != 302 {
		t.Errorf("after a restart, %d pending (-want +got):\n%s", l.Pending(status), diff)
	}
}
