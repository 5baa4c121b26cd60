package queue

// Samples returns how many samples all durable records ever held.
func (l *Log[R]) Samples() uint64 {
	_, end := l.ring.end()
	return end
}

// SamplesAfter returns how many samples the records behind seq hold.
func (l *Log[R]) SamplesAfter(seq uint64) uint64 {
	total, _ := l.TotalAt(seq)
	_, end := l.ring.end()
	return minus(end, total)
}

// Pending returns how many samples a destination is still to get, or to lose.
func (l *Log[R]) Pending(c CursorStatus) uint64 {
	if c.Ledger.Based() {
		return c.Ledger.Pending(l.Samples())
	}
	return l.SamplesAfter(SmallestAcked(c.Shards))
}

// TotalAt returns how many samples all records up to seq held: from memory if possible,
// else the store is asked. Without any trace it returns those in front of the oldest
// record that is left, and false.
func (l *Log[R]) TotalAt(seq uint64) (uint64, bool) {
	if total, ok := l.ring.totalAt(seq); ok {
		return total, true
	}
	if total, ok := l.cursors.base(seq); ok {
		return total, true
	}
	total, ok := l.store.TotalAt(seq)
	if !ok && l.volatile {
		_, total = l.ring.oldest()
	}
	return total, ok
}

// BytesBehind returns about how many bytes the records behind seq take where they are
// kept: in the store if it can tell, else in memory.
func (l *Log[R]) BytesBehind(seq uint64) int64 {
	if s, ok := l.store.(interface{ BytesBehind(seq uint64) int64 }); ok {
		return s.BytesBehind(seq)
	}
	return l.ring.bytesBehind(seq)
}
