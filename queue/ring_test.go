package queue

import "testing"

// What every reader has read stays within the spare bytes, what some has not within the
// limit.
func TestRingForgetsWhatWasRead(t *testing.T) {
	g := newRing[int](100, 20, 0, 0)
	slow, quick := new(int), new(int)
	seq := uint64(0)
	publish := func(n, want int) {
		t.Helper()
		for range n {
			seq++
			g.publish([]ringItem[int]{{Item: Item[int]{Seq: seq}, size: 10, total: seq, samples: 1}})
		}
		if got := len(g.items); got != want {
			t.Errorf("%d items behind record %d, want %d", got, seq, want)
		}
	}
	publish(5, 2) // nobody reads
	slowAt, _, ok := g.attach(seq)
	if _, wake, _ := g.at(slow, slowAt); !ok || wake == nil {
		t.Fatal("no place at the end")
	}
	quickAt := slowAt
	publish(5, 5)
	for range 5 {
		if it, wake, evicted := g.at(quick, quickAt); wake != nil || evicted || it.Seq <= 5 {
			t.Errorf("got %d", it.Seq)
		}
		quickAt++
	}
	publish(20, 10) // the slow one has read nothing, and the limit is reached
	if _, _, evicted := g.at(slow, slowAt); !evicted {
		t.Error("the slow reader is still in place")
	}
	publish(1, 10) // the quick one has not read them
	g.leave(quick)
	publish(1, 2)
	if total, ok := g.totalAt(seq - 1); !ok || total != seq-1 {
		t.Errorf("total %d, %v", total, ok)
	}
}
