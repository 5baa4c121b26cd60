package remotewrite

import "sync"

// Books are the samples of a destination, in the unit of group.Record.Samples:
// what a push expands to before relabelling. Accepted is always the sum of the
// others (promise P5). Refreshed samples are not in it, they are told apart.
type Books struct {
	Accepted  uint64
	Delivered uint64
	Dropped   map[string]uint64 // by reason
	InDoubt   uint64            // perhaps stored: sent before a restart, refused after it
	Pending   uint64            // in the log or on the way, not settled

	Refresh RefreshBooks
}

// RefreshBooks are the books of samples that were never stored: refreshes, and
// the state that a new destination is sent first.
type RefreshBooks struct {
	Delivered, Dropped, Pending uint64
	Skipped                     uint64 // not sent because the destination lagged
}

// books count as it happens. One lock for all: a snapshot balances.
type books struct {
	mu sync.Mutex

	// at is how many samples the log had ever held where the reader is. What it
	// has got since then waits, but for what the process before had settled behind
	// that place: shards do not keep in step. That is early, and lies before end.
	at    uint64
	early uint64
	end   uint64
	all   func() uint64 // how many samples the log has ever held

	accepted  uint64
	delivered uint64
	inDoubt   uint64
	dropped   tally
	refresh   RefreshBooks
}

// resume sets where the books begin.
func (b *books) resume(at, early, end uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at, b.early, b.end = at, early, end
}

// reachLocked notes that the reader is behind at samples of the log.
func (b *books) reachLocked(at uint64) {
	b.at = max(b.at, at)
	if b.at >= b.end {
		b.early = 0
	}
}

// reached notes that the reader is behind at samples of the log.
func (b *books) reached(at uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reachLocked(at)
}

// passed notes that the process before had settled a record of n samples, the
// last ones up to at.
func (b *books) passed(at, n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.early -= min(n, b.early)
	b.reachLocked(at)
}

// accept notes that a record of n samples, the last ones up to at, was handed to
// a shard.
func (b *books) accept(at, n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accepted += n
	b.reachLocked(at)
}

// miss notes that records of n samples, the last ones up to at, can never be
// read.
func (b *books) miss(at, n uint64, why reason) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accepted += n
	b.dropped[why] += n
	b.reachLocked(at)
}

// settle notes the end of stored samples.
func (b *books) settle(o outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.delivered += o.delivered
	b.inDoubt += o.inDoubt
	for i, n := range o.dropped {
		b.dropped[i] += n
	}
}

// refreshed notes the end of samples that were never stored; arrived notes their
// beginning.
func (b *books) refreshed(o outcome) {
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
	at, early, accepted, dropped := b.at, b.early, b.accepted, b.dropped
	s := Books{Delivered: b.delivered, InDoubt: b.inDoubt, Refresh: b.refresh}
	b.mu.Unlock()
	waiting := max(b.all(), at) - at
	s.Accepted = accepted + waiting - min(early, waiting)
	s.Dropped = make(map[string]uint64)
	for i, n := range dropped {
		if n > 0 {
			s.Dropped[reason(i).String()] = n
		}
	}
	s.Pending = s.Accepted - s.Delivered - s.InDoubt - dropped.total()
	return s, dropped
}

// outcome is what became of some samples.
type outcome struct {
	delivered uint64
	inDoubt   uint64
	dropped   tally
}

func (o *outcome) total() uint64 { return o.delivered + o.inDoubt + o.dropped.total() }
