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

// What every reader has read goes when the last of them is done with it, though nothing is
// published any more.
func TestRingForgetsWhatIsReadLater(t *testing.T) {
	g := newRing[int](100, 20, 0, 0)
	one, other := new(int), new(int)
	at, _, _ := g.attach(0)
	g.at(one, at)
	g.at(other, at)
	for seq := range uint64(8) {
		g.publish([]ringItem[int]{{Item: Item[int]{Seq: seq + 1}, size: 10, total: seq + 1, samples: 1}})
	}
	for _, row := range []struct {
		reader any
		want   int64
	}{{one, 80}, {other, 20}} {
		for pos := at; ; pos++ {
			if _, wake, _ := g.at(row.reader, pos); wake != nil {
				break
			}
		}
		if got := g.size(); got != row.want {
			t.Errorf("%d bytes, want %d", got, row.want)
		}
	}
}

// The ring stays in its array while it is of the right size, lets go of what it was, and of an
// array that has become too large.
func TestRingArray(t *testing.T) {
	g := newRing[*int](1000, 100, 0, 0)
	reader := new(int)
	at, _, _ := g.attach(0)
	g.at(reader, at)
	seq := uint64(0)
	publish := func(n int) {
		for range n {
			seq++
			g.publish([]ringItem[*int]{{Item: Item[*int]{Seq: seq, Record: new(int)}, size: 1, total: seq, samples: 1}})
		}
	}
	read := func() {
		for wake := (<-chan struct{})(nil); wake == nil; at++ {
			_, wake, _ = g.at(reader, at)
		}
		at--
	}
	publish(900)
	large := len(g.array)
	read()
	arrays := map[*ringItem[*int]]bool{}
	for range 5000 {
		publish(1)
		read()
		arrays[&g.array[0]] = true
		for i := range g.items {
			if want := seq - uint64(len(g.items)-1-i); g.items[i].Seq != want || g.items[i].Record == nil {
				t.Fatalf("item %d is record %d, want %d", i, g.items[i].Seq, want)
			}
		}
	}
	if len(arrays) > 3 || len(g.array) >= large {
		t.Errorf("%d arrays were used, the last one of %d items, after one of %d", len(arrays), len(g.array), large)
	}
	held := 0
	for i := range g.array {
		if g.array[i].Record != nil {
			held++
		}
	}
	if held != len(g.items) {
		t.Errorf("the array holds %d records, and the ring has %d", held, len(g.items))
	}
}
