package remotewrite

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/pushbridge/pushbridge/queue"
)

// Books are the samples of a destination, in the unit of group.Record.Samples:
// what a push expands to before relabelling. Accepted is always the sum of the
// others (promise P5). Refreshed samples are not in it, they are told apart.
type Books struct {
	Accepted  uint64            `json:"accepted"`
	Delivered uint64            `json:"delivered"`
	Dropped   map[string]uint64 `json:"dropped"`  // by reason
	InDoubt   uint64            `json:"in_doubt"` // perhaps stored: sent before a restart, refused after it
	Pending   uint64            `json:"pending"`  // in the log or on the way, not settled

	Refresh RefreshBooks `json:"-"`
}

// Reasons spells what was dropped, by the name of the reason: "2 refused".
func (b *Books) Reasons() []string {
	var out []string
	for _, why := range slices.Sorted(maps.Keys(b.Dropped)) {
		out = append(out, fmt.Sprintf("%d %s", b.Dropped[why], why))
	}
	return out
}

// RefreshBooks are the books of samples that were never stored: refreshes, and
// the state that a new destination is sent first.
type RefreshBooks struct {
	Delivered, Dropped, Pending uint64
	Skipped                     uint64 // not sent because the destination lagged
}

// books count as it happens, for one run of a destination: what an earlier one has
// settled is not in them. The cursor has those of all runs. One lock for all: a
// snapshot balances.
type books struct {
	mu sync.Mutex

	origin uint64        // samples of the log that are not for this destination
	before uint64        // samples that earlier runs have settled
	taken  uint64        // samples that this run has handed to a shard, or missed
	all    func() uint64 // how many samples the log has ever held

	settled outcome
	refresh RefreshBooks
}

// resume sets where the books begin.
func (b *books) resume(l *queue.Ledger) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.origin, b.before = l.Begun-l.Again, l.Counts.Sum()
}

// accept notes that a record of n samples was handed to a shard.
func (b *books) accept(n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken += n
}

// missing returns how many samples of the records up to a place, where the log had
// held total, nobody has settled or taken. Shards do not keep in step, so earlier
// runs may have settled samples behind that place too: those come off, and the
// result may be negative.
func (b *books) missing(total uint64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(total - b.origin - b.before - b.taken)
}

// miss notes that n samples can never be read.
func (b *books) miss(n uint64, why reason) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken += n
	b.settled.dropped[why] += n
}

// repeat notes that n samples are accepted that earlier runs have settled.
func (b *books) repeat(n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.origin -= n
}

// settle notes the end of stored samples.
func (b *books) settle(o *outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settled.add(o)
}

// refreshed notes the end of samples that were never stored; arrived notes their
// beginning.
func (b *books) refreshed(o *outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refresh.Delivered += o.delivered
	b.refresh.Dropped += o.dropped.total() + o.inDoubt
	b.refresh.Pending -= o.total()
}

func (b *books) arrived(n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refresh.Pending += n
}

func (b *books) skipped(total uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refresh.Skipped = total
}

// snapshot returns books that balance. The log is asked after the lock is given
// back: what it has got since then waits.
func (b *books) snapshot() (Books, tally) {
	b.mu.Lock()
	origin, before, taken, settled := b.origin, b.before, b.taken, b.settled
	s := Books{Delivered: settled.delivered, InDoubt: settled.inDoubt, Dropped: settled.dropped.named(), Refresh: b.refresh}
	b.mu.Unlock()
	s.Accepted = b.all() - origin - before
	if int64(s.Accepted-taken) < 0 {
		s.Accepted = taken // the log has forgotten the newest samples, see dispatcher.audit
	}
	s.Pending = s.Accepted - settled.total()
	return s, settled.dropped
}

// outcome is what became of some samples.
type outcome struct {
	delivered uint64
	inDoubt   uint64
	dropped   tally
}

func (o *outcome) add(more *outcome) {
	o.delivered += more.delivered
	o.inDoubt += more.inDoubt
	o.dropped.add(&more.dropped)
}

func (o *outcome) total() uint64 { return o.delivered + o.inDoubt + o.dropped.total() }

// The places of queue.Counts: what a cursor keeps for all runs. They are on disk,
// so they never change; docs/queue-format.md lists them.
const (
	countDelivered = iota
	countInDoubt
	countDropped // and those behind it: by reason
)

// counts returns o as a cursor keeps it.
func (o *outcome) counts() queue.Counts {
	c := queue.Counts{countDelivered: o.delivered, countInDoubt: o.inDoubt}
	copy(c[countDropped:], o.dropped[:])
	return c
}

// BooksOf returns the books of all runs of a destination, when the log has ever
// held total samples.
func BooksOf(l *queue.Ledger, total uint64) Books {
	dropped := tally(l.Counts[countDropped : countDropped+numReasons])
	return Books{
		Accepted:  l.Accepted(total),
		Delivered: l.Counts[countDelivered],
		Dropped:   dropped.named(),
		InDoubt:   l.Counts[countInDoubt],
		Pending:   l.Pending(total),
	}
}

// unnoted is what became of samples of a shard and the cursor does not know. It
// learns that together with the position behind them: what a killed process leaves
// open is settled once.
type unnoted struct {
	mu sync.Mutex
	o  outcome
}

func (u *unnoted) add(o *outcome) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.o.add(o)
}

func (u *unnoted) take() queue.Counts {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.o.counts()
	u.o = outcome{}
	return c
}
