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
// others (promise P5).
type Books struct {
	Accepted  uint64            `json:"accepted"`
	Delivered uint64            `json:"delivered"`
	Dropped   map[string]uint64 `json:"dropped"`  // by reason
	InDoubt   uint64            `json:"in_doubt"` // perhaps stored: sent before a restart, refused after it
	Pending   uint64            `json:"pending"`  // in the log or on the way, not settled
}

// BooksOf returns the books of all runs of a destination, when the log has ever
// held total samples.
func BooksOf(l *queue.Ledger, total uint64) Books {
	return newBooks(l.Accepted(total), l.Pending(total), &l.Settled)
}

func newBooks(accepted, pending uint64, o *outcome) Books {
	return Books{Accepted: accepted, Delivered: o[placeDelivered], InDoubt: o[placeInDoubt], Dropped: dropped(o), Pending: pending}
}

// Redeem moves samples that were delivered after all, by the reason for which they had
// been dropped.
func (b *Books) Redeem(redeemed map[string]uint64) {
	for why, n := range redeemed {
		n = min(n, b.Dropped[why])
		if b.Delivered += n; b.Dropped[why] == n {
			delete(b.Dropped, why)
		} else {
			b.Dropped[why] -= n
		}
	}
}

// books returns those of all runs, with what was sent once more.
func (d *Destination) books() Books {
	b := d.ledger.books()
	if d.o.Letters != nil {
		b.Redeem(d.o.Letters.Redeemed(d.ID()))
	}
	return b
}

// Reasons spells what was dropped, by the name of the reason: "2 refused".
func (b *Books) Reasons() []string {
	var out []string
	for _, why := range slices.Sorted(maps.Keys(b.Dropped)) {
		out = append(out, fmt.Sprintf("%d %s", b.Dropped[why], why))
	}
	return out
}

// ledger is the Ledger of a destination that runs. The cursor's has the same, but for
// what waits to be noted there with the position behind it. One lock for all: what is
// seen at one moment balances.
type ledger struct {
	total func() uint64 // how many samples the log has ever held

	mu sync.Mutex

	ever     queue.Ledger
	before   outcome    // of ever, what earlier runs have settled
	taken    uint64     // samples that this run has handed to a shard, or missed
	shards   []progress // of ever, what the cursor does not know
	unstored struct {   // samples that the log never had: refreshes, and states
		accepted, skipped uint64
		settled           outcome
	}
}

// newLedger goes on with what the cursor has.
func newLedger(c *queue.Cursor, total func() uint64) *ledger {
	ever, _ := c.Ledger()
	l := &ledger{total: total, ever: ever, before: ever.Settled, shards: make([]progress, c.Shards())}
	for i := range l.shards {
		l.shards[i].now = &stretch{}
	}
	return l
}

// accept notes that a record of n samples was handed to a shard.
func (l *ledger) accept(k kind, n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.unstored() {
		l.unstored.accepted += n
		return
	}
	l.taken += n
}

// at returns the stretch that a shard is in: what becomes of its samples is noted there.
func (l *ledger) at(shard int) *stretch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shards[shard].now
}

// settle notes what became of samples of a stretch.
func (l *ledger) settle(s *stretch, k kind, o *outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.unstored() {
		l.unstored.settled.Add(o)
		return
	}
	l.ever.Settled.Add(o)
	s.settled.Add(o)
}

// setAside keeps s from being acknowledged until takeBack was called as often.
func (l *ledger) setAside(s *stretch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.open++
}

func (l *ledger) takeBack(s *stretch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.open--
}

// pass notes that the shard is done up to seq, where the log had held total samples, but
// for what is set aside. It returns what the cursor is to learn, position and outcome
// together: what a killed process leaves open is settled once.
func (l *ledger) pass(shard int, seq, total uint64) *stretch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shards[shard].pass(seq, total)
}

// missing returns how many samples of the records up to a place, where the log had
// held total, nobody has settled or taken. Shards do not keep in step, so earlier
// runs may have settled samples behind that place too: those come off, and the
// result may be negative.
func (l *ledger) missing(total uint64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(l.ever.Accepted(total) - l.before.Sum() - l.taken)
}

// miss notes samples that can never be read. The cursor learns that at once.
func (l *ledger) miss(o *outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken += o.Sum()
	l.ever.Settled.Add(o)
}

// repeat notes that n samples are accepted again that earlier runs have settled.
func (l *ledger) repeat(n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ever.Again += n
}

// skipped notes how many samples were never accepted since the destination lagged.
func (l *ledger) skipped(total uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unstored.skipped = total
}

// books returns those of all runs. The log is asked after the lock is given back:
// what it has got since then waits.
func (l *ledger) books() Books {
	l.mu.Lock()
	ever := l.ever
	l.mu.Unlock()
	return BooksOf(&ever, l.total())
}

// run returns the books of this run alone.
func (l *ledger) run() Books {
	l.mu.Lock()
	ever, before, taken := l.ever, l.before, l.taken
	l.mu.Unlock()
	accepted := ever.Accepted(l.total()) - before.Sum()
	if int64(accepted-taken) < 0 {
		accepted = taken // the log has forgotten the newest samples, see dispatcher.audit
	}
	for i, n := range before {
		ever.Settled[i] -= n
	}
	return newBooks(accepted, accepted-ever.Settled.Sum(), &ever.Settled)
}

// ofUnstored returns the books of what the log never had, and how many samples were
// skipped.
func (l *ledger) ofUnstored() (b Books, skipped uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := &l.unstored
	return newBooks(u.accepted, u.accepted-u.settled.Sum(), &u.settled), u.skipped
}
