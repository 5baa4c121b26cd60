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
	var records []*group.Record
	mark, rules := int64(0), s.rules.Load()
	for i := slot; i < len(s.slots); i += RefreshSlots {
		if rules != nil && !s.refreshedAtLocked(s.slots[i], rules, interval) {
			continue
		}
		r := s.refreshLocked(s.slots[i], now.Add(-interval).UnixMilli(), now)
		if r != nil {
			records = append(records, r)
			mark = max(mark, r.Time)
		}
	}
	if len(records) == 0 {
		return 0
	}
	s.markLocked(mark, enqueue)
	for _, r := range records {
		emit(r)
	}
	return len(records)
}

// refreshedAtLocked reports whether e's group is refreshed at that interval.
func (s *Store) refreshedAtLocked(e *entry, r *group.Rules, interval time.Duration) bool {
	return e != nil && e.pending != nil && s.policyLocked(e, r).Refresh == interval
}

// refreshLocked returns a record of what e's group sent last at or before
// limit, nil when there is nothing.
func (s *Store) refreshLocked(e *entry, limit int64, now time.Time) *group.Record {
	if e == nil || e.pending == nil {
		return nil
	}
	g := e.pending
	var due []group.Member
	for _, m := range g.Members {
		// last is smaller only after ResetClock.
		if min(m.Part.Time, e.last) <= limit && !m.Timed() {
			due = append(due, m)
		}
	}
	if len(due) == 0 && e.last > limit {
		return nil
	}
	return s.restateLocked(e, due, now)
}

func (s *Store) restateLocked(e *entry, members []group.Member, now time.Time) *group.Record {
	g := e.pending
	return &group.Record{
		Kind: group.KindRefresh, Labels: g.Labels, Time: s.clock.stamp(e, g.Labels, now, stamp{}),
		Push: g.Push, Fail: g.Fail, TTL: g.TTL, Expect: g.Expect, Hide: g.Hide, Members: members, Last: g.Last,
		Generation: s.generation,
	}
}

// Restate returns every group once, newly stamped (but for explicit timestamps),
// for a new destination. enqueue gets one KindClock record with the largest
// timestamp: the destination gets the records behind it, and in front of what
// follows it in the log. The records describe what is pending, so they must wait
// until that clock record is durable, and be thrown away when it fails.
func (s *Store) Restate(now time.Time, enqueue func(*group.Record)) []*group.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	records := make([]*group.Record, 0, len(s.entries))
	mark := max(now.UnixMilli(), s.clock.highest.Load())
	for _, e := range s.slots {
		if e == nil || e.pending == nil {
			continue
		}
		r := s.restateLocked(e, e.pending.Members, now)
		records = append(records, r)
		mark = max(mark, r.Time)
	}
	s.markLocked(mark, enqueue)
	return records
}

// markLocked enqueues a clock mark.
func (s *Store) markLocked(ts int64, enqueue func(*group.Record)) {
	r := &group.Record{Kind: group.KindClock, Time: ts, Generation: s.generation}
	s.plans = append(s.plans, plan{record: r})
	enqueue(r)
}
