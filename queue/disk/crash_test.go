package disk

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

var (
	crashTime = flag.Duration("crash.time", 0, "how long the random crash tests run; 0: a fixed small number of histories")
	crashSeed = flag.Uint64("crash.seed", 1, "seed of the first random crash history")
)

// history drives a log through random operations on a simulated disk, one after
// the other and without Run, so that a seed always makes the same operations. It
// knows what was promised, and verify compares.
type history struct {
	t    *testing.T
	name string
	rng  *rand.Rand
	sim  *simDisk
	o    options
	l    *testLog
	now  time.Time

	given map[uint64]rec  // appended, whatever came of it
	acked map[uint64]rec  // reported done
	safe  map[uint64]bool // of acked, what a power loss cannot take
	lost  map[uint64]bool // reported as missing to the reader
	state map[uint64]bool // what a store would hold

	c            *queue.Cursor
	r            *queue.Reader[rec]
	acknowledged uint64 // what the destination did
	tried        uint64
	sent         uint64
	synced       uint64 // acknowledged when the cursor was synced last
	floor        int64  // largest time that anybody has seen

	ledger  queue.Ledger   // the destination's books
	unnoted queue.Outcome  // of them, what goes with the next acknowledgement
	moments map[books]bool // positions and books that belonged together
}

// books are what a slot of the cursor must have together.
type books struct {
	acked  uint64
	ledger queue.Ledger
}

func newHistory(t *testing.T, seed uint64, o options, crashAt int) *history {
	h := &history{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), sim: newSim(), o: o,
		now:   time.UnixMilli(1_000_000),
		given: map[uint64]rec{}, acked: map[uint64]rec{}, safe: map[uint64]bool{}, lost: map[uint64]bool{}, state: map[uint64]bool{},
		moments: map[books]bool{},
	}
	h.name = fmt.Sprintf("seed %d, crash at %d", seed, crashAt)
	h.sim.crashAt = crashAt
	h.o.Dir = "/store"
	h.o.Now = func() time.Time { return h.now }
	if testing.Verbose() && crashAt > 0 && *crashSeed != 1 {
		h.o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	return h
}

func (h *history) errorf(format string, args ...any) {
	h.t.Helper()
	h.t.Errorf("%s: %s", h.name, fmt.Sprintf(format, args...))
}

// open opens the log, rebuilds the state and resumes the destination. It returns
// false when the machine crashed meanwhile.
func (h *history) open() bool {
	h.t.Helper()
	l, err := open(h.sim, h.o)
	if err != nil {
		if !h.sim.crashed {
			h.t.Fatalf("%s: open: %v", h.name, err)
		}
		return false
	}
	h.l = l
	h.restore()
	if h.c, _, err = l.OpenCursor("dest", 1); err != nil {
		if !h.sim.crashed {
			h.t.Fatalf("%s: open cursor: %v", h.name, err)
		}
		return false
	}
	l.reopen()
	acked, _ := h.c.Position(0)
	h.r = l.NewReader(acked)
	if now, _ := h.c.Ledger(); h.c.IsNew() && now.Settled == (queue.Outcome{}) {
		h.moments[books{acked, now}] = true // of a cursor that is made at this moment
	}
	h.ledger, _ = h.c.Ledger()
	h.unnoted = queue.Outcome{}
	return !h.sim.crashed
}

// restore rebuilds the state from snapshot and log.
func (h *history) restore() {
	h.state = map[uint64]bool{}
	seq, _, err := h.l.ReadSnapshot(func(r io.Reader) error {
		var seqs []uint64
		err := json.NewDecoder(r).Decode(&seqs)
		for _, s := range seqs {
			h.state[s] = true
		}
		return err
	})
	if err == nil {
		err = h.l.Replay(seq, func(r rec, seq uint64) error {
			if g, ok := h.given[seq]; !ok || g != r {
				h.errorf("replayed record %d, which was never appended like that", seq)
			}
			h.state[seq] = true
			return nil
		})
	}
	if err != nil && !h.sim.crashed {
		h.errorf("restore: %v", err)
	}
}

// append adds a few records in one batch.
func (h *history) append() {
	next := max(h.l.Head(), h.l.disk.writer.void) // what fails has a sequence too
	for range 1 + h.rng.IntN(6) {
		h.now = h.now.Add(time.Duration(h.rng.IntN(2000)-500) * time.Millisecond)
		body := strings.Repeat(fmt.Sprintf("%d.", h.rng.IntN(1000)), []int{0, 3, 30, 300, 3000}[h.rng.IntN(5)]/2)
		if h.rng.IntN(2) == 0 {
			body = fmt.Sprintf("~%d:%s", h.rng.IntN(3), body)
		}
		r := rec{Time: max(h.now.UnixMilli(), h.l.Floor()+1), Samples: h.rng.IntN(50), Body: body}
		next++
		h.given[next] = r
		push(h.t, h.l, r, func(seq uint64) {
			if _, used := h.acked[seq]; used {
				h.errorf("sequence %d is used again", seq)
			}
			h.acked[seq] = r
			h.safe[seq] = h.o.Fsync == Always
			h.state[seq] = true
			h.floor = max(h.floor, r.Time)
		})
		if h.rng.IntN(5) == 0 {
			h.l.Emit(rec{Body: "ephemeral"}, h.l.Generation())
		}
	}
	h.l.commitQueued()
}

// fsync is the timer of Interval.
func (h *history) fsync() {
	h.l.syncInterval()
	if h.o.Fsync == Interval && h.l.Err() == nil && !h.sim.crashed {
		h.allSafe()
	}
}

func (h *history) allSafe() {
	for seq := range h.acked {
		h.safe[seq] = true
	}
}

// snapshot writes what the store holds.
func (h *history) snapshot() {
	head := h.l.Head()
	_ = h.l.WriteSnapshot(head, h.l.Floor(), func(w io.Writer) error {
		return json.NewEncoder(w).Encode(slices.Sorted(maps.Keys(h.state)))
	})
}

// deliver is a destination: it reads, notes that it sends, and acknowledges.
func (h *history) deliver(n int) {
	for range n {
		it, ok, err := h.r.TryNext()
		var gap *queue.GapError
		switch {
		case errors.As(err, &gap):
			h.gap(gap)
			if !h.miss(gap) {
				return
			}
			continue
		case err != nil:
			if !h.sim.crashed {
				h.errorf("read: %v", err)
			}
			return
		case !ok:
			return
		case it.Ephemeral:
			continue
		}
		if g := h.given[it.Seq]; g != it.Record {
			h.errorf("read record %d, which was never appended like that", it.Seq)
		}
		if h.c.Sent(0, it.Seq) != nil {
			return
		}
		h.sent = max(h.sent, it.Seq)
		h.floor = max(h.floor, it.Record.Time)
		h.unnoted[0] += uint64(it.Record.Samples)
		if h.rng.IntN(8) == 0 {
			continue
		}
		h.settle(it.Seq)
	}
}

func addCounts(c *queue.Outcome, n queue.Outcome) {
	for i, v := range n {
		c[i] += v
	}
}

// settle acknowledges everything up to seq.
func (h *history) settle(seq uint64) {
	h.tried = max(h.tried, seq) // what a crash interrupts may have happened
	n := h.unnoted
	h.unnoted = queue.Outcome{}
	addCounts(&h.ledger.Settled, n)
	h.moments[books{seq, h.ledger}] = true
	total, _ := h.r.Total()
	if h.c.Settle(0, seq, total, n) == nil {
		h.acknowledged = max(h.acknowledged, seq)
	}
}

// miss takes what can never be read into the books. It returns false when that
// was not written.
func (h *history) miss(g *queue.GapError) bool {
	n := queue.Outcome{1: g.Samples}
	addCounts(&h.ledger.Settled, n)
	h.ledger.MissedTo = max(h.ledger.MissedTo, g.To)
	acked, _ := h.c.Position(0)
	h.moments[books{acked, h.ledger}] = true
	return h.c.Missed(g.To, n) == nil
}

// gap checks the books of records that the reader cannot have.
func (h *history) gap(g *queue.GapError) {
	samples := uint64(0)
	for seq := g.From; seq <= g.To; seq++ {
		h.lost[seq] = true
		if r, ok := h.acked[seq]; ok {
			samples += uint64(r.Samples)
			if h.o.MaxBytes <= 0 {
				h.errorf("record %d was reported done and is missing: %v", seq, g)
			}
		}
	}
	if g.Exact && h.o.Fsync == Always && samples != g.Samples {
		h.errorf("%v held %d samples", g, samples)
	}
}

// maintain lets the log keep house, and notes what it made durable.
func (h *history) maintain() {
	acked := h.acknowledged
	h.l.maintain()
	if !h.sim.crashed && h.sim.fault == nil {
		h.synced = acked
	}
}

// fill leaves little room on the disk for a while.
func (h *history) fill() {
	h.sim.capacity = h.sim.usedLocked() + int64(h.rng.IntN(3000))
	for range 4 {
		h.append()
		h.deliver(3)
		h.maintain()
	}
	h.sim.capacity = 0
	h.heal()
}

// heal expects the log to work again when the disk does.
func (h *history) heal() {
	h.l.reopen()
	if err := h.l.Err(); err != nil && !errors.Is(err, queue.ErrFull) && !h.sim.crashed {
		h.errorf("the disk works again, and the log does not: %v", err)
	}
}

// disturb makes the disk fail for a while.
func (h *history) disturb() {
	kinds := []error{errors.New("I/O error"), errShortOp}
	failing, left := kinds[h.rng.IntN(len(kinds))], 1+h.rng.IntN(4)
	h.sim.fault = func(op, _ string) error {
		if op == "read" || op == "open" || op == "list" || op == "lock" || left == 0 {
			return nil
		}
		left--
		return failing
	}
	for range 3 {
		h.append()
	}
	h.sim.fault = nil
	h.heal()
}

// restart stops properly and starts again.
func (h *history) restart() bool {
	err := errors.Join(h.l.finish(), h.r.Close(), h.l.Close())
	if h.sim.crashed {
		return false
	}
	if err != nil {
		h.errorf("stop: %v", err)
	}
	h.synced = h.acknowledged
	if h.o.Fsync != Off {
		h.allSafe()
	}
	if !h.open() {
		return false
	}
	h.verify(true)
	return true
}

// run does n random operations, or fewer when the machine crashes.
func (h *history) run(n int) {
	for range n {
		if h.sim.crashed {
			return
		}
		switch h.rng.IntN(12) {
		case 0, 1, 2, 3:
			h.append()
		case 4, 5, 6:
			h.deliver(h.rng.IntN(20))
		case 7, 8:
			h.maintain()
		case 9:
			h.snapshot()
		case 10:
			if h.rng.IntN(3) == 0 && !h.restart() {
				return
			}
		case 11:
			// A failed fsync of Interval loses what the mode may lose, see
			// TestIntervalFsyncFails.
			if h.o.Fsync != Always {
				h.fsync()
			} else {
				[]func(){h.disturb, h.fill}[h.rng.IntN(2)]()
			}
		}
	}
}

// revive starts on the disk that the crash left, perhaps with another crash while
// it is being repaired, and verifies.
func (h *history) revive(kill bool, rng *rand.Rand) {
	h.sim = h.sim.crash(kill, rng)
	if !kill {
		maps.DeleteFunc(h.acked, func(seq uint64, _ rec) bool { return !h.safe[seq] })
	}
	if rng != nil && rng.IntN(3) == 0 {
		h.sim.crashAt = 1 + rng.IntN(12)
		if h.open() {
			h.sim.crashed = true
		}
		h.sim = h.sim.crash(kill, rng)
	}
	if !h.open() {
		h.t.Fatalf("%s: no start after the crash", h.name)
	}
	h.verify(kill)
}

// verify checks the promises after a start. exact: the page cache survived.
func (h *history) verify(exact bool) {
	h.t.Helper()
	h.verifyState(exact)
	h.verifyCursor(exact)
	h.verifyReader()
	for _, v := range h.sim.violations {
		h.errorf("%s", v)
	}
}

func (h *history) verifyState(exact bool) {
	h.t.Helper()
	largest := uint64(0)
	for seq := range h.acked {
		largest = max(largest, seq)
		if !h.state[seq] {
			h.errorf("record %d was reported done and is not in the state", seq)
		}
	}
	if head := h.l.Head(); head < largest {
		h.errorf("head is %d, and %d was reported done", head, largest)
	}
	if floor := h.l.Floor(); floor < h.floor && (exact || h.o.Fsync == Always) {
		h.errorf("floor is %d, and somebody has seen %d", floor, h.floor)
	}
	h.floor = h.l.Floor()
	for _, bad := range h.l.damage() {
		if !bad.Torn && h.o.Fsync == Always {
			h.errorf("damage, after a crash: %+v", bad)
		}
	}
}

func (h *history) verifyCursor(exact bool) {
	h.t.Helper()
	acked, sent := h.c.Position(0)
	if acked > max(h.acknowledged, h.tried) || acked < h.synced {
		h.errorf("cursor at %d, acknowledged %d, of which synced %d", acked, h.acknowledged, h.synced)
	}
	if sent < h.sent && (exact || h.o.Fsync == Always) {
		h.errorf("cursor says sent %d, and %d was", sent, h.sent)
	}
	if exact && (acked < h.acknowledged || sent > max(h.sent, h.tried, h.l.Head())) {
		h.errorf("cursor at %d, %d after kill -9, was at %d, %d", acked, sent, h.acknowledged, h.sent)
	}
	h.acknowledged, h.sent = acked, max(sent, acked)
	ledger, upTo := h.c.Ledger()
	if !h.moments[books{acked, ledger}] || upTo < acked {
		h.errorf("cursor at %d has the books %+v up to %d, which never were", acked, ledger, upTo)
	}
	h.checkLedger(acked, ledger)
}

// checkLedger holds the books to the samples of the log: the destination has
// settled everything up to where it is, and missed nothing behind that.
func (h *history) checkLedger(acked uint64, ledger queue.Ledger) {
	total, known := h.l.TotalAt(acked)
	if h.o.Fsync != Always || !known || ledger.MissedTo > acked {
		return
	}
	if n := ledger.Pending(total); n != 0 || ledger.Accepted(total) != ledger.Settled.Sum() {
		h.errorf("up to %d, of %d samples, the books are %+v", acked, total, ledger)
	}
}

// verifyReader reads everything that the destination has not acknowledged.
func (h *history) verifyReader() {
	h.t.Helper()
	r := h.l.NewReader(h.acknowledged)
	defer func() { _ = r.Close() }()
	seen, last := map[uint64]bool{}, h.acknowledged
	for {
		it, ok, err := r.TryNext()
		var gap *queue.GapError
		switch {
		case errors.As(err, &gap):
			h.gap(gap)
			continue
		case err != nil:
			h.errorf("read: %v", err)
		}
		if err != nil || !ok {
			break
		}
		if it.Seq <= last || h.given[it.Seq] != it.Record {
			h.errorf("read record %d after %d", it.Seq, last)
		}
		last = it.Seq
		seen[it.Seq] = true
	}
	for seq := range h.acked {
		if seq > h.acknowledged && !seen[seq] && !h.lost[seq] {
			h.errorf("record %d was reported done, and the reader neither had nor missed it", seq)
		}
	}
}

// crashModes are what can be left of a disk.
var crashModes = []struct {
	name string
	kill bool
	rng  func(seed uint64) *rand.Rand
}{
	{"kill", true, func(uint64) *rand.Rand { return nil }},
	{"only what was synced", false, func(uint64) *rand.Rand { return nil }},
	{"random pages and entries", false, func(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 2)) }},
}

var crashOptions = []struct {
	name string
	o    options
}{
	{"unbounded", options{SegmentBytes: 2000, MaxBytes: -1, MinFreeBytes: -1, RingBytes: 2000}},
	{"bounded", options{SegmentBytes: 1000, MaxBytes: 20_000, MinFreeBytes: -1, RingBytes: 500}},
	{"interval", options{SegmentBytes: 1500, MaxBytes: -1, MinFreeBytes: -1, RingBytes: 2000, Fsync: Interval}},
	{"off", options{SegmentBytes: 1500, MaxBytes: -1, MinFreeBytes: -1, RingBytes: 2000, Fsync: Off}},
}

// crashOnce runs one history up to operation n of the disk, crashes, verifies, and
// goes on for a while.
func crashOnce(t *testing.T, seed uint64, o options, steps, n int, kill bool, rng *rand.Rand) (ops int) {
	h := newHistory(t, seed, o, n)
	if h.open() {
		h.run(steps)
	}
	ops = h.sim.ops
	h.revive(kill, rng)
	h.run(10)
	if h.l != nil && !h.sim.crashed {
		h.restart()
	}
	return ops
}

// TestCrashAfterEachOperation: promises 1 to 4 hold whatever operation of the disk
// is the last one.
func TestCrashAfterEachOperation(t *testing.T) {
	const steps = 30
	for _, opt := range crashOptions {
		for _, mode := range crashModes {
			t.Run(opt.name+"/"+mode.name, func(t *testing.T) {
				for seed := uint64(1); seed <= 1; seed++ {
					total := crashOnce(t, seed, opt.o, steps, 0, true, nil)
					for n := 1; n <= total && !t.Failed(); n++ {
						crashOnce(t, seed, opt.o, steps, n, mode.kill, mode.rng(seed*1000+uint64(n)))
					}
				}
			})
		}
	}
}

// TestCrashRandom runs long random histories with several crashes each.
func TestCrashRandom(t *testing.T) {
	end := time.Now().Add(*crashTime)
	crashes := 0
	defer func() { t.Logf("%d crashes survived", crashes) }()
	for seed := *crashSeed; !t.Failed() && (seed < *crashSeed+40 || time.Now().Before(end)); seed++ {
		opt := crashOptions[seed%uint64(len(crashOptions))]
		h := newHistory(t, seed, opt.o, 0)
		if !h.open() {
			t.Fatal("no start")
		}
		for range 5 {
			h.sim.crashAt = h.sim.ops + 1 + h.rng.IntN(300)
			h.run(60)
			mode := crashModes[h.rng.IntN(len(crashModes))]
			h.revive(mode.kill, mode.rng(h.rng.Uint64()))
			crashes++
		}
	}
}
