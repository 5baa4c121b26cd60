package queue

import (
	"errors"
	"testing"
)

// A destination acknowledges a record whose segment was dropped while it was on
// its way. After a restart what is missing behind it is still counted exactly.
func TestAckedBehindDroppedSegments(t *testing.T) {
	b := newBounded(t, func(o *Options) { o.MaxBytes = 4000; o.RingBytes = 1 })
	c, r := b.open("slow")
	b.fill(10)
	var at Item[rec]
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
	if first := b.disk.oldest().view.first; first <= at.Seq+1 {
		t.Fatalf("nothing behind record %d was dropped", at.Seq)
	}
	if err := errors.Join(c.Sent(0, at.Seq), c.AckedAt(0, at.Seq, total)); err != nil {
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
