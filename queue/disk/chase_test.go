package disk

import (
	"errors"
	"sync"
	"testing"

	"github.com/pushbridge/pushbridge/queue"
)

// Readers that the ring is too small for chase the end of the log: each finds
// every record, and none missing, whenever a batch is published and a new segment
// begins.
func TestReadersChaseTheEnd(t *testing.T) {
	l, err := open(newSim(), options{Dir: "/store", MinFreeBytes: -1, Fsync: Off, RingBytes: 1, SegmentBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, l)
	defer stop()
	const records = 1_000 // and as many segments
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { chase(t, l, records) })
	}
	for range records {
		add(t, l, rec{Samples: 1})
	}
	wg.Wait()
}

func chase(t *testing.T, l *testLog, records uint64) {
	r := l.NewReader(0)
	for seq := range records {
		it, err := r.Next(t.Context())
		if gap := (*queue.GapError)(nil); errors.As(err, &gap) {
			t.Errorf("behind %d: %v", seq, gap)
			return
		}
		if err != nil || it.Seq != seq+1 {
			t.Errorf("record %d behind %d, %v", it.Seq, seq, err)
			return
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
