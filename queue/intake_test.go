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
