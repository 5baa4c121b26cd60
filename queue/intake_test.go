package queue

import (
	"errors"
	"testing"
)

// TestOneLargeRecordKeepsNobodyOut: a record that is larger than the bound waits like
// others, and two such are too much.
func TestOneLargeRecordKeepsNobodyOut(t *testing.T) {
	in := &intake[int]{limit: 100, wake: make(chan struct{}, 1)}
	add := func(size int64) {
		t.Helper()
		if err := in.add(queued[int]{size: size}, 0); err != nil {
			t.Fatal(err)
		}
	}
	add(1000)
	if err := in.err(); err != nil {
		t.Errorf("one record of ten times the bound: %v", err)
	}
	add(1000)
	add(1)
	if err := in.err(); !errors.Is(err, ErrBusy) {
		t.Errorf("two of them and more: %v", err)
	}
	in.release(in.take(1 << 20))
	if n := in.bytes(); n != 0 {
		t.Errorf("%d bytes wait in an empty queue", n)
	}
}

// TestEnoughForABatch: large records fill a batch before as many have come as are expected.
func TestEnoughForABatch(t *testing.T) {
	in := &intake[int]{limit: 8 * maxBatchBytes, wake: make(chan struct{}, 1)}
	woken := func() bool {
		select {
		case <-in.wake:
			return true
		default:
			return false
		}
	}
	for i := range 4 {
		if queued, enough := in.await(mostCompany); queued != i || enough {
			t.Fatalf("with %d records of a quarter of a batch: %d are queued, enough: %v, want a wait", i, queued, enough)
		}
		woken()
		if err := in.add(queued[int]{size: maxBatchBytes / 4}, 0); err != nil {
			t.Fatal(err)
		}
		if got, want := woken(), i == 0 || i == 3; got != want { // nobody waits for the first one
			t.Errorf("after %d records the commit loop is woken: %v, want %v", i+1, got, want)
		}
	}
	if queued, enough := in.await(mostCompany); queued != 4 || !enough {
		t.Errorf("%d records are queued, which fill a batch, enough: %v, want true", queued, enough)
	}
}
