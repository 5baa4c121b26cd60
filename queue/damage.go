package queue

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

// nag remembers which problems were logged: what is tried every second is logged
// when it starts to fail, and again only after it has worked.
type nag struct {
	mu     sync.Mutex
	failed map[string]bool
}

// starts notes the outcome of what, and reports whether it fails for the first
// time.
func (n *nag) starts(what string, err error) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	was := n.failed[what]
	if n.failed == nil {
		n.failed = map[string]bool{}
	}
	n.failed[what] = err != nil
	return err != nil && !was
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

// report logs and counts damage once.
func (d *disk) report(bad *CorruptionError) {
	if !d.damage.add(bad) {
		return
	}
	attrs := []any{
		"file", bad.File, "offset", bad.Offset, "length", bad.Length,
		"first_seq", bad.First, "last_seq", bad.Last, "samples", bad.Samples, "err", bad.Err,
	}
	if bad.Torn {
		d.metrics.tornBytes.Add(float64(bad.Length))
		d.log.Warn("found the torn end of a crash: nothing of it was known to be on disk", attrs...)
		return
	}
	d.metrics.damagedRanges.Inc()
	d.metrics.damagedRecords.Add(float64(bad.lost()))
	d.log.Error("found damage: the records named are lost", attrs...)
}
