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

	// read is the sequence up to which records were handed to shards, settled
	// what was settled when the process started. Behind the larger of them the
	// log's own count of samples is what waits: records between the two are
	// counted one by one, as some of them were settled by the process before.
	read, settled uint64
	backlog       func(after uint64) uint64

	accepted  uint64
	delivered uint64
	inDoubt   uint64
	dropped   tally
	refresh   RefreshBooks
}

// resume sets where the books begin.
func (b *books) resume(read, settled uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read, b.settled = read, settled
}

// reached notes that the reader is at seq.
func (b *books) reached(seq uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read = max(b.read, seq)
}

// accept notes that the record at seq, of n samples, was handed to a shard.
func (b *books) accept(seq, n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read = max(b.read, seq)
	b.accepted += n
}

// miss notes that the records up to seq, of n samples, can never be read.
func (b *books) miss(seq, n uint64, why reason) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read = max(b.read, seq)
	b.accepted += n
	b.dropped[why] += n
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

// snapshot returns books that balance. What waits in the log is looked up after
// the lock is given back, for the position that was seen under it.
func (b *books) snapshot() (Books, tally) {
	b.mu.Lock()
	at, accepted, dropped := max(b.read, b.settled), b.accepted, b.dropped
	s := Books{Delivered: b.delivered, InDoubt: b.inDoubt, Refresh: b.refresh}
	b.mu.Unlock()
	s.Accepted = accepted + b.backlog(at)
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
