package queue

import (
	"encoding/binary"
	"errors"
	"testing"
)

// Records of the tests are numbers of samples.
var testCodec = Codec[uint32]{
	Encode:  func(dst []byte, r uint32) []byte { return binary.BigEndian.AppendUint32(dst, r) },
	Decode:  func(b []byte) (uint32, error) { return binary.BigEndian.Uint32(b), nil },
	Samples: func(r uint32) int { return int(r) },
	Time:    func(uint32) int64 { return 0 },
	Size:    func(uint32) int { return 64 },
}

func openMemory(t *testing.T, o Options) *Log[uint32] {
	t.Helper()
	l, err := Open(NewMemory(), o, testCodec)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// put appends a record and commits it.
func put(t *testing.T, l *Log[uint32], samples uint32) {
	t.Helper()
	if err := l.Append(samples, l.Generation(), nil); err != nil {
		t.Fatal(err)
	}
	l.Steps().Commit()
}

// Without a store the ring is the queue: a reader that lags behind it misses records,
// counted exactly.
func TestMemoryLagging(t *testing.T) {
	l := openMemory(t, Options{RingBytes: 1000})
	lagging, caught := l.NewReader(0), l.NewReader(0)
	sum := uint64(0)
	for i := range uint32(100) {
		put(t, l, i)
		sum += uint64(i)
		if _, ok, err := caught.TryNext(); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	_, _, err := lagging.TryNext()
	var gap *GapError
	if !errors.As(err, &gap) || gap.Reason != GapDropped || !gap.Exact {
		t.Fatalf("got %v", err)
	}
	got := gap.Samples
	for {
		it, ok, err := lagging.TryNext()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		got += uint64(it.Record)
	}
	if got != sum {
		t.Errorf("%d samples of %d", got, sum)
	}
	if total, exact := l.TotalAt(3); exact || total != gap.Samples {
		t.Errorf("%d samples up to record 3, exact %t: what is left begins behind %d", total, exact, gap.Samples)
	}
}

// Reject without a store: the ring takes no more than half of its size for a
// destination that lags.
func TestMemoryReject(t *testing.T) {
	l := openMemory(t, Options{RingBytes: 2000, OnFull: Reject})
	c, _, err := l.OpenCursor("dest", 1)
	if err != nil {
		t.Fatal(err)
	}
	for l.Err() == nil && l.Head() < 100 {
		put(t, l, 1)
		l.Steps().Maintain()
	}
	if err := l.Err(); !errors.Is(err, ErrFull) {
		t.Errorf("Err after %d records: %v", l.Head(), err)
	}
	if err := c.Acked(0, l.Head()); err != nil {
		t.Fatal(err)
	}
	l.Steps().Maintain()
	if err := l.Err(); err != nil {
		t.Errorf("Err after the destination has caught up: %v", err)
	}
}

// What does not come back anyway needs no snapshot.
func TestMemorySnapshot(t *testing.T) {
	l := openMemory(t, Options{SnapshotBytes: 1, SnapshotInterval: 1})
	put(t, l, 1)
	l.Steps().Maintain()
	if l.SnapshotDue() {
		t.Error("a snapshot is due")
	}
	if err := l.WriteSnapshot(1, 1, nil); err != nil {
		t.Error(err)
	}
	if seq, _, err := l.ReadSnapshot(nil); seq != 0 || err != nil {
		t.Error(seq, err)
	}
}
