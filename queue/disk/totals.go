package disk

import (
	"errors"
	"io"
)

// totalAt looks seq up in its segment.
func (l *segments) totalAt(seq uint64) (uint64, bool) {
	s, v := l.segmentFor(seq)
	if s == nil {
		return v.total, seq >= v.last
	}
	if seq < v.first {
		// Before the oldest segment nobody knows; between two, nothing was kept.
		return v.before, seq+1 == v.first || s != l.oldest()
	}
	if seq == v.last {
		return v.total, true
	}
	if total, ok := l.lookedUp(seq); ok {
		return total, true
	}
	total, err := l.scanTotal(s, v, seq)
	if err == nil {
		l.remember(seq, total)
	}
	return total, err == nil
}

// maxLookups bounds what is remembered: the position of each shard of a
// destination that lags is asked for again and again.
const maxLookups = 1024

func (l *segments) lookedUp(seq uint64) (uint64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	total, ok := l.totals[seq]
	return total, ok
}

func (l *segments) remember(seq, total uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.totals) >= maxLookups || l.totals == nil {
		l.totals = map[uint64]uint64{}
	}
	l.totals[seq] = total
}

// scanTotal returns the samples of all records up to seq, which s holds.
func (l *segments) scanTotal(s *segment, v segmentView, seq uint64) (uint64, error) {
	f, err := l.d.fs.Open(l.d.path(s.name))
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
