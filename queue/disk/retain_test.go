package disk

import (
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pushbridge/pushbridge/queue"
)

// boundedLog is a log of small segments that is driven step by step.
type boundedLog struct {
	*testLog
	t   *testing.T
	sim *simDisk
	o   options
	sum uint64 // samples appended
}

func newBounded(t *testing.T, change func(o *options)) *boundedLog {
	t.Helper()
	b := &boundedLog{t: t, sim: newSim(), o: simOptions()}
	b.o.SegmentBytes = 200
	change(&b.o)
	b.reopen()
	return b
}

func (b *boundedLog) reopen() {
	b.t.Helper()
	l, err := open(b.sim, b.o)
	if err != nil {
		b.t.Fatal(err)
	}
	b.testLog = l
}

// fill appends n records with 1, 2, 3, … samples, and keeps house after each.
func (b *boundedLog) fill(n int) {
	for i := range n {
		push(b.t, b.testLog, rec{Time: int64(i), Samples: i + 1, Body: "0123456789012345678901234567890123456789"}, nil)
		b.sum += uint64(i + 1)
		b.commitQueued()
		if i%3 == 0 {
			b.snapshot()
		}
		b.maintain()
	}
}

func (b *boundedLog) snapshot() {
	err := b.WriteSnapshot(b.Head(), b.Floor(), func(w io.Writer) error { _, err := w.Write([]byte("state")); return err })
	if err != nil {
		b.t.Error(err)
	}
}

func (b *boundedLog) open(id string) (*queue.Cursor, *queue.Reader[rec]) {
	b.t.Helper()
	c, _, err := b.OpenCursor(id, 1)
	if err != nil {
		b.t.Fatal(err)
	}
	return c, b.NewReader(c.Acknowledged())
}

// deliver reads everything and acknowledges it. It returns how many samples came
// and how many are missing.
func deliver(t *testing.T, c *queue.Cursor, r *queue.Reader[rec]) (delivered, missing uint64) {
	t.Helper()
	for {
		it, ok, err := r.TryNext()
		var gap *queue.GapError
		switch {
		case errors.As(err, &gap):
			if gap.Reason != queue.GapDropped || !gap.Exact {
				t.Errorf("gap %+v", gap)
			}
			missing += gap.Samples
			continue
		case err != nil:
			t.Fatal(err)
		case !ok:
			return delivered, missing
		}
		delivered += uint64(it.Record.Samples)
		if err := errors.Join(c.Sent(0, it.Seq), c.Acked(0, it.Seq)); err != nil {
			t.Fatal(err)
		}
	}
}

// The limit that operators see is the one that trimming keeps to, whichever bound is nearer.
func TestLimit(t *testing.T) {
	for _, row := range []struct {
		name     string
		max, min int64
		capacity int64
		low, up  float64 // identity, lock and position take room as well
	}{
		{"max bytes", 4000, -1, 0, 4000, 4000},
		{"disk with room", 4000, 1000, 1 << 20, 4000, 4000},
		{"disk nearly full", 100_000, 30_000, 60_000, 20_000, 30_000},
		{"disk fuller than it may be", 100_000, 59_999, 60_000, 0, 1},
		{"no bound", -1, -1, 0, math.Inf(1), math.Inf(1)},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBounded(t, func(o *options) { o.MaxBytes, o.MinFreeBytes = row.max, row.min })
			b.sim.capacity = row.capacity
			b.fill(3)
			limit := b.disk.limit()
			if limit < row.low || limit > row.up {
				t.Errorf("limit %v, want %v to %v", limit, row.low, row.up)
			}
			excess, err := b.disk.Excess()
			if err != nil {
				t.Fatal(err)
			}
			if used := b.disk.used(); limit > 0 && !math.IsInf(limit, 1) && excess != used-int64(limit) {
				t.Errorf("excess %d, %d used of %v", excess, used, limit)
			}
		})
	}
}

// At a bound only the destination that lags loses samples, the oldest first, and
// the books balance: promise 6.
func TestDropOldest(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(o *options)
		disk   func(sim *simDisk)
	}{
		{"max bytes", func(o *options) { o.MaxBytes = 4000 }, func(*simDisk) {}},
		{"min free bytes", func(o *options) { o.MinFreeBytes = 30_000 }, func(sim *simDisk) { sim.capacity = 60_000 }},
	} {
		t.Run(row.name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			b := newBounded(t, func(o *options) { row.change(o); o.Registerer = reg })
			row.disk(b.sim)
			healthy, hr := b.open("healthy")
			dead, dr := b.open("dead")
			got := uint64(0)
			for range 20 {
				b.fill(10)
				n, missing := deliver(t, healthy, hr)
				if got += n; missing != 0 {
					t.Errorf("the healthy destination misses %d samples", missing)
				}
			}
			if got != b.sum {
				t.Errorf("the healthy destination got %d samples of %d", got, b.sum)
			}
			if bytes := b.bytes() + b.disk.snapshots.bytes(); bytes > 20_000 {
				t.Errorf("the log has %d bytes", bytes)
			}
			if err := b.Err(); err != nil {
				t.Error(err)
			}
			pending := b.SamplesAfter(dead.Acknowledged())
			n, missing := deliver(t, dead, dr)
			if n+missing != b.sum || missing == 0 || pending != b.sum {
				t.Errorf("the dead destination got %d and misses %d samples of %d, pending were %d", n, missing, b.sum, pending)
			}
			if got := counterValue(t, reg, "pushbridge_queue_dropped_samples_total"); got != float64(missing) {
				t.Errorf("dropped_samples_total is %v, missing are %d", got, missing)
			}
		})
	}
}

func counterValue(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// The books survive a restart, kill -9 and power loss between drop and delivery:
// they were written down before the segment went.
func TestDropsAreCountedAfterRestart(t *testing.T) {
	for _, row := range []struct {
		name string
		stop func(b *boundedLog)
	}{
		{"proper stop", func(b *boundedLog) {
			if err := errors.Join(b.finish(), b.Close()); err != nil {
				b.t.Fatal(err)
			}
		}},
		{"kill -9", func(b *boundedLog) { b.sim = b.sim.crash(true, nil) }},
		{"power loss", func(b *boundedLog) { b.sim = b.sim.crash(false, nil) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBounded(t, func(o *options) { o.MaxBytes = 4000 })
			c, r := b.open("lagging")
			b.fill(7)
			first, missing := deliver(t, c, r)
			b.steps.Cursors()
			b.fill(100)
			b.fill(100)
			row.stop(b)
			b.reopen()
			c, r = b.open("lagging")
			if pending := b.SamplesAfter(c.Acknowledged()); pending != b.sum-first {
				t.Errorf("pending %d, want %d", pending, b.sum-first)
			}
			rest, missing2 := deliver(t, c, r)
			if missing2 == 0 || first+missing+rest+missing2 != b.sum {
				t.Errorf("got %d and %d, missing %d and %d, of %d", first, rest, missing, missing2, b.sum)
			}
		})
	}
}

// A reader that stands in a segment while it is dropped does not keep its bytes,
// and counts what it had not read.
func TestDropUnderReader(t *testing.T) {
	b := newBounded(t, func(o *options) { o.MaxBytes = 4000 })
	c, r := b.open("slow")
	b.fill(10)
	it, ok, err := r.TryNext()
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	b.fill(100)
	n, missing := deliver(t, c, r)
	if n+missing+uint64(it.Record.Samples) != b.sum || missing == 0 {
		t.Errorf("got %d and %d, missing %d, of %d", it.Record.Samples, n, missing, b.sum)
	}
}

// Reject takes nothing more while a destination lags, loses nothing, and takes
// records again when it has caught up.
func TestReject(t *testing.T) {
	b := newBounded(t, func(o *options) { o.MaxBytes, o.OnFull = 4000, queue.Reject })
	c, r := b.open("lagging")
	for b.Err() == nil {
		b.fill(1)
		b.snapshot()
		if b.sum > 1000 {
			t.Fatal("never full")
		}
	}
	if err := b.Err(); !errors.Is(err, queue.ErrFull) {
		t.Errorf("Err: %v", err)
	}
	if n, missing := deliver(t, c, r); n != b.sum || missing != 0 {
		t.Errorf("got %d, missing %d, of %d", n, missing, b.sum)
	}
	b.maintain()
	if err := b.Err(); err != nil {
		t.Errorf("Err after the destination has caught up: %v", err)
	}
}

// Without a cursor the log does not grow: segments go once both kept snapshots
// have what is in them.
func TestNoCursor(t *testing.T) {
	b := newBounded(t, func(*options) {})
	most := 0
	for range 100 {
		b.fill(10)
		most = max(most, len(b.sim.list(segmentSuffix)))
	}
	if most > 8 {
		t.Errorf("there were %d segments", most)
	}
	if n := len(b.sim.list(snapshotSuffix)); n != queue.KeepSnapshots {
		t.Errorf("%d snapshots are kept", n)
	}
}

// What no snapshot has is never removed, whatever the bound: a snapshot is asked
// for instead.
func TestBoundNeedsSnapshot(t *testing.T) {
	b := newBounded(t, func(o *options) { o.MaxBytes = 2000 })
	for range 50 {
		push(b.t, b.testLog, rec{Body: "0123456789012345678901234567890123456789"}, nil)
		b.commitQueued()
		b.maintain()
	}
	if _, v := b.disk.segments.oldestSealed(); v.first != 1 {
		t.Errorf("the oldest record is %d", v.first)
	}
	if !b.SnapshotDue() {
		t.Error("no snapshot is due")
	}
	select {
	case <-b.SnapshotSignal():
	default:
		t.Error("no signal")
	}
	b.snapshot()
	b.maintain()
	if bytes := b.bytes(); bytes > 2000 {
		t.Errorf("%d bytes are left", bytes)
	}
}

// A destination is new until each of its shards has acknowledged something, also
// when the process ends in between.
func TestNewCursor(t *testing.T) {
	b := newBounded(t, func(*options) {})
	b.fill(5)
	for _, step := range []struct {
		shard int
		isNew bool // at the start after it
	}{{0, true}, {2, true}, {1, false}} {
		c, isNew, err := b.OpenCursor("dest", 3)
		if err != nil || !isNew {
			t.Fatalf("before shard %d: new %v, %v", step.shard, isNew, err)
		}
		if err := c.Acked(step.shard, 5); err != nil {
			t.Fatal(err)
		}
		b.sim = b.sim.crash(true, nil)
		b.reopen()
	}
	if _, isNew, err := b.OpenCursor("dest", 3); err != nil || isNew {
		t.Errorf("at the end: new %v, %v", isNew, err)
	}
}

// With another number of shards a job may go through another shard: all of them
// start from the smallest acknowledged position, and what any may have been sent
// is in doubt.
func TestShardsChange(t *testing.T) {
	for _, shards := range []int{1, 2, 4, 200} {
		b := newBounded(t, func(*options) {})
		c, _, err := b.OpenCursor("dest", 3)
		if err != nil {
			t.Fatal(err)
		}
		b.fill(9)
		for i, p := range []queue.Position{at(3, 4), at(5, 9), at(7, 7)} {
			if err := errors.Join(c.Sent(i, p.Sent), c.Acked(i, p.Acked)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(b.finish(), b.Close()); err != nil {
			t.Fatal(err)
		}
		b.reopen()
		c, isNew, err := b.OpenCursor("dest", shards)
		if err != nil || isNew {
			t.Fatal(isNew, err)
		}
		for i := range shards {
			if acked, sent := c.Position(i); acked != 3 || sent != 9 {
				t.Errorf("%d shards: shard %d is at %d, %d", shards, i, acked, sent)
			}
		}
	}
}

// Metrics have help texts, and names that a linter accepts.
func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	l, stop := start(t, options{Dir: t.TempDir(), Registerer: reg})
	add(t, l, rec{Samples: 3})
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) != 0 {
		t.Error(problems, err)
	}
	if got := counterValue(t, reg, "pushbridge_queue_appended_samples_total"); got != 3 {
		t.Errorf("appended %v samples", got)
	}
	stop()
}

// Sequences are gone with a file that somebody removes while the log is in use.
func TestSegmentRemovedByHand(t *testing.T) {
	b := newBounded(t, func(*options) {})
	_, r := b.open("dest")
	b.fill(12)
	if err := b.sim.Remove("/store/" + numbered(2, segmentSuffix)); err != nil {
		t.Fatal(err)
	}
	seqs, gaps := drainReader(t, r)
	if len(gaps) != 1 || gaps[0].Reason != queue.GapMissing || !gaps[0].Exact || len(seqs)+int(gaps[0].To-gaps[0].From)+1 != 12 {
		t.Errorf("gaps %+v, records %v", gaps, seqs)
	}
	if bad := b.damage(); len(bad) != 1 || !errors.Is(bad[0], os.ErrNotExist) {
		t.Errorf("damage %v", bad)
	}
}

// Memory does not grow with the backlog: promise 6.
func TestMemoryIsFlat(t *testing.T) {
	l, stop := start(t, options{
		Dir: t.TempDir(), Fsync: Off, RingBytes: mib, SegmentBytes: mib, MaxBytes: -1, MinFreeBytes: -1,
	})
	defer stop()
	if _, _, err := l.OpenCursor("dead", 4); err != nil {
		t.Fatal(err)
	}
	reader := l.NewReader(0)
	body := benchBody(rand.New(rand.NewPCG(1, 7)))
	var waiting atomic.Int64
	heap := func(records int) uint64 {
		for range records {
			waiting.Add(int64(len(body)))
			push(t, l, rec{Samples: 20, Body: body}, func(uint64) { waiting.Add(-int64(len(body))) })
			for waiting.Load() > mib {
				runtime.Gosched()
			}
		}
		add(t, l, rec{})
		if it, ok, err := reader.TryNext(); !ok || err != nil || !reader.Lagging() {
			t.Fatal(it.Seq, ok, err, reader.Lagging())
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap(10_000)
	after := heap(60_000)
	if after > before+4*mib {
		t.Errorf("%d bytes of heap behind %d records, %d before", after, l.Head(), before)
	}
}
