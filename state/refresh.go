package state

import (
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// RefreshSlots is the number of slots that one refresh interval is cut into.
const RefreshSlots = 60

// Refresh stamps the groups of one slot, numbered from 0, again: those of their
// metrics that were not pushed within the interval. emit gets a KindRefresh
// record for each, which is not to be stored. Before the first, enqueue gets one
// KindClock record, which is, with the largest of their timestamps: it must be
// durable before they are sent. Refresh returns the number of groups. With rules,
// groups that have another interval are left alone.
//
// Families with explicit timestamps are left alone until their next push.
func (s *Store) Refresh(slot int, interval time.Duration, now time.Time, enqueue, emit func(*group.Record)) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := refreshing{restating: restating{s: s, now: now}, interval: interval, rules: s.rules.Load()}
	for i := slot; i < len(s.pending.slots); i += RefreshSlots {
		if e := s.pending.slots[i]; e != nil && e.pending != nil {
			x.refresh(e)
		}
	}
	if len(x.records) == 0 {
		return 0
	}
	x.enqueueMark(enqueue)
	for _, r := range x.records {
		emit(r)
	}
	return len(x.records)
}

// Restate returns every group once, newly stamped (but for explicit timestamps),
// for a new destination. enqueue gets one KindClock record with the largest
// timestamp: the destination gets the records behind it, and in front of what
// follows it in the log. The records describe what is pending, so they must wait
// until that clock record is durable, and be thrown away when it fails.
func (s *Store) Restate(now time.Time, enqueue func(*group.Record)) []*group.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := restating{s: s, now: now, mark: max(now.UnixMilli(), s.clock.highest.Load())}
	x.records = make([]*group.Record, 0, len(s.pending.entries))
	for e := range s.pending.all() {
		if e.pending != nil {
			x.restate(e, e.pending.Members)
		}
	}
	x.enqueueMark(enqueue)
	return x.records
}

// restating says again what groups have, newly stamped, under one hold of the store's lock.
type restating struct {
	s       *Store
	now     time.Time
	records []*group.Record
	mark    int64 // the largest timestamp
}

// restate says again what members of e's group have.
func (x *restating) restate(e *entry, members []group.Member) {
	g := e.pending
	r := &group.Record{
		Kind: group.KindRefresh, Labels: g.Labels, Time: x.s.clock.stamp(e, g.Labels, x.now, stamp{}),
		Push: g.Push, Fail: g.Fail, TTL: g.TTL, Expect: g.Expect, Hide: g.Hide, Members: members, Last: g.Last,
		Generation: x.s.queue.generation,
	}
	x.records = append(x.records, r)
	x.mark = max(x.mark, r.Time)
}

// enqueueMark stores how far the clock has come with all of them.
func (x *restating) enqueueMark(enqueue func(*group.Record)) {
	r := &group.Record{Kind: group.KindClock, Time: x.mark}
	x.s.queue.addMark(r)
	enqueue(r)
}

// refreshing restates what was not sent within an interval, of groups that have that one.
type refreshing struct {
	restating
	interval time.Duration
	rules    *group.Rules
}

func (x *refreshing) refresh(e *entry) {
	if x.rules != nil && e.policyBy(x.rules).Refresh != x.interval {
		return
	}
	limit := x.now.Add(-x.interval).UnixMilli()
	var due []group.Member
	for _, m := range e.pending.Members {
		// last is smaller only after ResetClock.
		if min(m.Part.Time, e.last) <= limit && !m.Timed() {
			due = append(due, m)
		}
	}
	if len(due) > 0 || e.last <= limit {
		x.restate(e, due)
	}
}
