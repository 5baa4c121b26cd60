package disk

import (
	"slices"
	"sync"
)

// damageList remembers what was found damaged, each range once however many
// readers come across it.
type damageList struct {
	mu    sync.Mutex
	found []*CorruptionError
}

// maxDamage bounds the list: a disk that is beyond help must not fill memory, nor
// the operator's log.
const maxDamage = 10_000

// add returns whether bad is new.
func (l *damageList) add(bad *CorruptionError) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := func(o *CorruptionError) bool {
		return o.File == bad.File && o.Offset <= bad.Offset && bad.Offset+bad.Length <= o.Offset+o.Length &&
			(bad.First == 0 || o.First <= bad.First && bad.Last <= o.Last)
	}
	if slices.ContainsFunc(l.found, known) || len(l.found) >= maxDamage {
		return false
	}
	l.found = append(l.found, bad)
	return true
}

func (l *damageList) list() []*CorruptionError {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.found)
}

// names reports whether some damage explains that the records from first to last
// are lost.
func (l *damageList) names(first, last uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.found, func(c *CorruptionError) bool {
		return c.First != 0 && c.First <= first && last <= c.Last
	})
}

// lost describes a frame that is good and of no use.
func (f *frame) lost(file string, segment uint64, err error) *CorruptionError {
	return &CorruptionError{
		File: file, Segment: segment, Offset: f.offset, Length: f.size,
		First: f.seq, Last: f.seq, Samples: uint64(f.samples), Err: err,
	}
}

// report logs and counts damage once.
func (d *directory) report(bad *CorruptionError) {
	if !d.damage.add(bad) {
		return
	}
	attrs := []any{
		"file", bad.File, "offset", bad.Offset, "length", bad.Length,
		"first_seq", bad.First, "last_seq", bad.Last, "samples", bad.Samples, "err", bad.Err,
	}
	if bad.Torn {
		d.metrics.TornBytes.Add(float64(bad.Length))
		d.log.Warn("found the torn end of a crash: nothing of it was known to be on disk", attrs...)
		return
	}
	d.metrics.DamagedRanges.Inc()
	d.metrics.DamagedRecords.Add(float64(bad.lost()))
	d.log.Error("found damage: the records named are lost", attrs...)
}
