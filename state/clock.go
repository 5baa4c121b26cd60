package state

import (
	"sync/atomic"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// clock gives out timestamps so that the samples of each series go forward in time
// (promise P2). All but highest is guarded by the store's lock.
type clock struct {
	highest atomic.Int64 // largest timestamp given out or seen; written under the lock
	base    int64        // what is given out is later than that, whoever gave it out
	floors  floors
}

// stamp says what a record does to series, as far as its timestamp depends on it.
type stamp struct{ adds, ends bool }

// endGap is how much later than what was before a record is that ends series: a
// marker may have to go out a millisecond before the record's samples.
const endGap = 2

// last returns the timestamp that what comes next for e is later than.
func (c *clock) last(e *entry) int64 { return max(e.last, c.base) }

// floor returns the timestamp that series which come to be are later than.
func (c *clock) floor(l group.Labels) int64 { return max(*c.floors.of(l), c.base) }

// stamp returns the timestamp of the next record of e: now, but later than every one
// before, and later than its job's floor when it adds series. It is never given out
// again, also when the commit fails.
func (c *clock) stamp(e *entry, l group.Labels, now time.Time, does stamp) int64 {
	ts := max(now.UnixMilli(), c.last(e)+1)
	if does.ends {
		ts = max(ts, c.last(e)+endGap)
	}
	if does.adds {
		ts = max(ts, c.floor(l)+1)
	}
	e.last = ts
	c.saw(ts)
	return ts
}

// stampRecord gives r, a push to e or a refusal, its timestamp.
func (c *clock) stampRecord(e *entry, r *group.Record, now time.Time, adds bool) {
	r.Time = c.stamp(e, r.Labels, now, stamp{adds: adds, ends: len(r.Ended) > 0})
	if r.Part != nil {
		r.Part.Time, r.Part.Pushed = r.Time, r.Push
	}
}

// stampEnd is stamp for groups that end at one time, unless they were refreshed
// meanwhile.
func (c *clock) stampEnd(e *entry, ts int64) int64 {
	e.last = max(ts, c.last(e)+endGap)
	c.saw(e.last)
	return e.last
}

func (c *clock) saw(ts int64) { c.highest.Store(max(c.highest.Load(), ts)) }

// raise makes ts a floor of everything.
func (c *clock) raise(ts int64) {
	c.base = max(c.base, ts)
	c.saw(ts)
}

func (c *clock) reset() {
	c.floors, c.base = newFloors(), 0
	c.highest.Store(0)
}

// Newest returns the largest timestamp that was given out or seen.
func (s *Store) Newest() int64 { return s.clock.highest.Load() }

// ResetClock forgets floors and last timestamps, after a clock that was far
// ahead: what is pushed from now on is stamped with the time of the push.
func (s *Store) ResetClock() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock.reset()
	for e := range s.pending.all() {
		e.last = 0
	}
}
