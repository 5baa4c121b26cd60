package queue

import (
	"errors"
	"io"
)

// Samples returns how many samples all durable records ever held.
func (l *Log[R]) Samples() uint64 {
	_, end := l.ring.end()
	return end
}

// SamplesUpTo returns how many of them the records up to seq held.
func (l *Log[R]) SamplesUpTo(seq uint64) uint64 {
	total, _ := l.totalAt(seq)
	return total
}

// SamplesAfter returns how many samples the records behind seq hold.
func (l *Log[R]) SamplesAfter(seq uint64) uint64 {
	total, _ := l.totalAt(seq)
	_, end := l.ring.end()
	return minus(end, total)
}

// Pending returns how many samples a destination is still to get, or to lose.
func (l *Log[R]) Pending(c CursorStatus) uint64 {
	if c.Ledger.Based() {
		return c.Ledger.Pending(l.Samples())
	}
	return l.SamplesAfter(smallestAcked(c.Shards))
}

// totalAt returns the samples of all records up to seq: from memory if possible,
// else from a segment. Without any trace it returns those before the oldest
// record that is left, and false.
func (l *Log[R]) totalAt(seq uint64) (uint64, bool) {
	if total, ok := l.ring.totalAt(seq); ok {
		return total, true
	}
	if total, ok := l.cursors.base(seq); ok {
		return total, true
	}
	if l.disk == nil {
		_, total := l.ring.oldest()
		return total, false
	}
	return l.disk.totalAt(seq)
}

// totalAt looks seq up in its segment.
func (d *disk) totalAt(seq uint64) (uint64, bool) {
	s, v := d.segmentFor(seq)
	if s == nil {
		return v.total, seq >= v.last
	}
	if seq < v.first {
		// Before the oldest segment nobody knows; between two, nothing was kept.
		return v.before, seq+1 == v.first || s != d.oldest()
	}
	if seq == v.last {
		return v.total, true
	}
	if total, ok := d.lookedUp(seq); ok {
		return total, true
	}
	total, err := d.scanTotal(s, v, seq)
	if err == nil {
		d.remember(seq, total)
	}
	return total, err == nil
}

// maxLookups bounds what is remembered: the position of each shard of a
// destination that lags is asked for again and again.
const maxLookups = 1024

func (d *disk) lookedUp(seq uint64) (uint64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	total, ok := d.totals[seq]
	return total, ok
}

func (d *disk) remember(seq, total uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.totals) >= maxLookups || d.totals == nil {
		d.totals = map[uint64]uint64{}
	}
	d.totals[seq] = total
}

// scanTotal returns the samples of all records up to seq, which s holds.
func (d *disk) scanTotal(s *segment, v segmentView, seq uint64) (uint64, error) {
	f, err := d.fs.Open(d.path(s.name))
	if err != nil {
		return v.before, err
	}
	scan := newScanner(f, s.name, v, v.size)
	total := v.before
	for {
		fr, err := scan.next()
		switch {
		case errors.As(err, new(*CorruptionError)):
			continue
		case errors.Is(err, io.EOF) || err == nil && fr.seq > seq:
			return total, f.Close()
		case err != nil:
			return total, errors.Join(err, f.Close())
		}
		total = fr.total
	}
}
