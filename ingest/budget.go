package ingest

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// budget counts bytes that pushes hold while they are read, parsed and carried
// out, and those that they have let go of: until the collector has been there
// these take memory like the others.
type budget struct {
	limit      int64
	used       atomic.Int64
	spent      atomic.Int64 // let go of, and perhaps not collected yet
	collecting sync.Mutex
}

// pocket is what may lie around in any case, so that a small limit does not keep
// the collector busy.
const pocket = 64 << 20

// take adds n bytes, collecting what was let go of if there is no room without.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return false
	}
	for b.tight() {
		b.collect()
	}
	return true
}

// tight reports whether what lies around is in the way.
func (b *budget) tight() bool { n := b.loose(); return n > 0 && b.used.Load()+n > b.limit }

// loose is what lies around beyond the pocket.
func (b *budget) loose() int64 { return max(0, b.spent.Load()-pocket) }

// give lets go of n bytes. When a good part of the budget lies around the
// collector is sent in time, so that nobody has to wait for it.
func (b *budget) give(n int64) {
	b.spent.Add(n)
	b.used.Add(-n)
	if b.loose() > b.limit/4 && b.collecting.TryLock() {
		go func() {
			defer b.collecting.Unlock()
			b.sweep()
		}()
	}
}

func (b *budget) collect() {
	b.collecting.Lock()
	defer b.collecting.Unlock()
	if b.tight() { // or it was just done
		b.sweep()
	}
}

func (b *budget) sweep() {
	n := b.spent.Load()
	runtime.GC()
	b.spent.Add(-n)
}

// lease is one push's part of a budget.
type lease struct {
	b *budget
	n int64
}

// take adds n bytes to the lease, or says why it cannot: a push that alone
// would pass the bound is too large, any other may come again.
func (l *lease) take(n int64) error {
	if l.n+n > l.b.limit {
		return &TooLargeError{What: "memory needed for the push", Limit: l.b.limit, Flag: FlagMaxInFlightBytes}
	}
	if !l.b.take(n) {
		return ErrInFlight
	}
	l.n += n
	return nil
}

// give returns n bytes early.
func (l *lease) give(n int64) {
	l.n -= n
	l.b.give(n)
}

// settle makes the lease one of n bytes.
func (l *lease) settle(n int64) error {
	if n > l.n {
		return l.take(n - l.n)
	}
	l.give(l.n - n)
	return nil
}

// close returns the rest.
func (l *lease) close() { l.give(l.n) }
