package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushbridge/pushbridge/queue"
)

// A reader moves between ring and segments without losing or repeating a record,
// gets ephemeral records in their place while it keeps up, and counts them when it
// does not.
func TestReaderMovesBetweenRingAndSegments(t *testing.T) {
	sim := newSim()
	o := simOptions()
	o.RingBytes = 1000
	l, err := open(sim, o)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 4))
	r := l.NewReader(0)
	var want, got []string
	seq, emitted, lagged := uint64(0), uint64(0), 0
	for range 500 {
		for range 1 + rng.IntN(10) {
			seq++
			push(t, l, rec{Samples: 1}, nil)
			want = append(want, fmt.Sprint(seq))
			if rng.IntN(3) == 0 {
				l.Emit(rec{Samples: 2}, 0)
				want = append(want, fmt.Sprint(seq, "e"))
				emitted++
			}
		}
		l.commitQueued()
		for range rng.IntN(14) {
			it, ok, err := r.TryNext()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if r.Lagging() {
				lagged++
			}
			if it.Ephemeral {
				got = append(got, fmt.Sprint(it.Seq, "e"))
			} else {
				got = append(got, fmt.Sprint(it.Seq))
			}
		}
	}
	for {
		it, ok, err := r.TryNext()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if it.Ephemeral {
			got = append(got, fmt.Sprint(it.Seq, "e"))
		} else {
			got = append(got, fmt.Sprint(it.Seq))
		}
	}
	records, samples := r.Skipped()
	seen := uint64(strings.Count(strings.Join(got, " "), "e"))
	if seen+records != emitted || samples != 2*records || seen == 0 || records == 0 || lagged == 0 {
		t.Errorf("%d ephemeral records were seen and %d skipped, with %d samples, of %d; lagged %d times",
			seen, records, samples, emitted, lagged)
	}
	// got is want without the skipped ones.
	i := 0
	for _, w := range want {
		if i < len(got) && got[i] == w {
			i++
		} else if !strings.HasSuffix(w, "e") {
			t.Fatalf("record %s is missing or out of order: %s", w, got[i])
		}
	}
	if i != len(got) {
		t.Errorf("%d items too many", len(got)-i)
	}
}

// Readers see a record only after its done function was called, however they read.
func TestReadersSeeOnlyWhatIsDone(t *testing.T) {
	for _, ring := range []int64{1, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			sim := newSim()
			sim.onSync = func() { time.Sleep(time.Millisecond) }
			o := simOptions()
			o.RingBytes = ring
			l, stop := startSim(t, sim, o)
			var mu sync.Mutex
			done := uint64(0)
			ctx, cancel := context.WithCancel(t.Context())
			var readers sync.WaitGroup
			for range 3 {
				readers.Go(func() {
					r := l.NewReader(0)
					for want := uint64(1); want <= 300; want++ {
						it, err := r.Next(ctx)
						if err != nil || it.Seq != want {
							t.Errorf("got %d, %v, want %d", it.Seq, err, want)
							return
						}
						mu.Lock()
						if it.Seq > done {
							t.Errorf("record %d was read before it was done", it.Seq)
						}
						mu.Unlock()
					}
					_ = r.Close()
				})
			}
			var pushers sync.WaitGroup
			for range 3 {
				pushers.Go(func() {
					for range 100 {
						ok := make(chan error)
						_ = l.Append(rec{}, 0, func(seq uint64, err error) {
							mu.Lock()
							if seq != done+1 {
								t.Errorf("record %d is done after %d", seq, done)
							}
							done = seq
							mu.Unlock()
							go func() { ok <- err }()
						})
						if err := <-ok; err != nil {
							t.Error(err)
						}
					}
				})
			}
			pushers.Wait()
			readers.Wait()
			cancel()
			stop()
		})
	}
}

// Bytes that are good and no record cost that record, and are named.
func TestUndecodable(t *testing.T) {
	sim := newSim()
	l, err := open(sim, simOptions())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		body := "fine"
		if i != 0 {
			body = "undecodable"
		}
		push(t, l, rec{Samples: 10 + i, Body: body}, nil)
		l.commitQueued()
	}
	seqs, gaps := drainStore(t, l)
	want := []queue.GapError{
		{From: 2, To: 2, Samples: 11, Exact: true, Reason: queue.GapDamaged},
		{From: 3, To: 3, Samples: 12, Exact: true, Reason: queue.GapDamaged},
	}
	if diff := cmp.Diff(want, gaps); diff != "" || len(seqs) != 1 {
		t.Errorf("records %v, gaps (-want +got):\n%s", seqs, diff)
	}
	if bad := l.damage(); len(bad) != 2 || !errors.Is(bad[0], errBadRec) || bad[0].First != 2 || bad[0].Samples != 11 {
		t.Errorf("damage %v", bad)
	}
}

// drainStore returns everything that the store has at present, whatever the ring has.
func drainStore(t *testing.T, l *testLog) (seqs []uint64, gaps []queue.GapError) {
	t.Helper()
	tail := l.disk.Tail(queue.Place{Exact: true})
	for {
		err := tail.Next(func(e queue.Entry, b []byte) error {
			_, err := testCodec.Decode(b)
			if err == nil {
				seqs = append(seqs, e.Seq)
			}
			return err
		})
		var gap *queue.GapError
		switch {
		case errors.As(err, &gap):
			gaps = append(gaps, *gap)
		case errors.Is(err, io.EOF):
			if err := tail.Close(); err != nil {
				t.Error(err)
			}
			return seqs, gaps
		case err != nil:
			t.Fatal(err)
		}
	}
}

// A frame of a kind that this version does not know is passed over if it says so,
// and otherwise stops the start: nothing is guessed, and nothing is cut.
func TestUnknownKind(t *testing.T) {
	for _, row := range []struct {
		name  string
		flags byte
		open  bool
	}{{"may be passed over", flagSkip, true}, {"must be known", 0, false}} {
		t.Run(row.name, func(t *testing.T) {
			sim, all := build(t, 4, false)
			names := sim.list(segmentSuffix)
			last := names[len(names)-1]
			h, err := parseSegmentHeader(sim.now[last].data, last)
			if err != nil {
				t.Fatal(err)
			}
			f := frame{kind: 99, flags: row.flags, seq: 4, total: 3 + 4 + 5 + 6}
			sim.edit(last, func(b []byte) []byte {
				b, _ = appendFrame(b, seedOf(h.store, h.number), f, []byte("news"), nil)
				return b
			})
			size := len(sim.now[last].data)
			l, err := open(sim, simOptions())
			if row.open != (err == nil) {
				t.Fatalf("open: %v", err)
			}
			if err != nil {
				if len(sim.now[last].data) != size || !strings.Contains(err.Error(), "newer version") {
					t.Errorf("%v, and the file has %d bytes of %d", err, len(sim.now[last].data), size)
				}
				return
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if lost := readAll(t, sim).lost(all); len(lost) != 0 {
				t.Errorf("lost %v", lost)
			}
		})
	}
}

// Everything at once, on a real disk, for the race detector: pushers, readers that
// keep up and that lag, snapshots, cursors, metrics.
func TestConcurrentUse(t *testing.T) {
	dir := t.TempDir()
	const pushers, each = 8, 200
	o := options{Dir: dir, SegmentBytes: 8 << 10, RingBytes: 4 << 10, MinFreeBytes: -1, SnapshotBytes: 32 << 10}
	l, stop := start(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 3 {
		c, _, err := l.OpenCursor(fmt.Sprint("dest", i), 2)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			r := l.NewReader(0)
			for last := uint64(0); last < pushers*each; {
				it, err := r.Next(ctx)
				if err != nil {
					t.Errorf("reader %d at %d: %v", i, last, err)
					return
				}
				if it.Ephemeral {
					continue
				}
				if it.Seq != last+1 {
					t.Errorf("reader %d: %d after %d", i, it.Seq, last)
				}
				last = it.Seq
				err = errors.Join(c.Sent(int(last%2), last), c.Acked(0, last), c.Acked(1, last))
				if err != nil {
					t.Error(err)
				}
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	for range pushers {
		wg.Go(func() {
			for i := range each {
				add(t, l, rec{Time: int64(i), Samples: 1, Body: strings.Repeat("x", i)})
				if i%10 == 0 {
					l.Emit(rec{Samples: 1}, 0)
				}
			}
		})
	}
	snapshots := make(chan struct{})
	go func() {
		defer close(snapshots)
		for ctx.Err() == nil && l.Head() < pushers*each {
			select {
			case <-l.SnapshotSignal():
				head := l.Head()
				if err := l.WriteSnapshot(head, l.Floor(), func(w io.Writer) error { _, err := fmt.Fprint(w, head); return err }); err != nil {
					t.Error(err)
				}
			case <-time.After(time.Millisecond):
			}
			l.SamplesAfter(l.Head() / 2)
			l.Cursors()
			_ = l.Err()
			if _, err := Inspect(dir); err != nil {
				t.Error(err)
			}
		}
	}()
	wg.Wait()
	<-snapshots
	if got := l.SamplesAfter(l.Head() - 10); got != 10 {
		t.Errorf("%d samples after the last but ten", got)
	}
	stop()
	l, stop = start(t, o)
	defer stop()
	if l.Head() != pushers*each || len(l.damage()) != 0 {
		t.Errorf("head %d, damage %v", l.Head(), l.damage())
	}
	for _, c := range l.Cursors() {
		if diff := cmp.Diff([]queue.Position{at(1600, 1600), at(1600, 1600)}, c.Shards); diff != "" {
			t.Errorf("cursor %s (-want +got):\n%s", c.ID, diff)
		}
	}
}
