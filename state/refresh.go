package state

import (
	"hash/fnv"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// RefreshSlots is the number of slots that one refresh interval is cut into.
const RefreshSlots = group.RefreshSlots

// slotOfID returns the slot of a group. It is the same at every replica.
func slotOfID(id string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // cannot fail
	return int(h.Sum32() % RefreshSlots)
}

// Refresh stamps the groups of one slot, numbered from 0, again: those of their
// metrics that were not pushed within the interval. enqueue gets one KindClock record,
// which defines the refresh: it has slot, interval and the timestamp of all of them, and
// must be durable before they are sent. Then emit gets a KindRefresh record for each,
// which is not to be stored: it follows from the state behind the mark, see Refreshed.
// Refresh returns the number of groups. With rules, groups that have another interval are
// left alone.
//
// Families with explicit timestamps are left alone until their next push, and so is a
// group that is ahead of the clock: it has a newer sample than it would get.
func (s *Store) Refresh(slot int, interval time.Duration, now time.Time, enqueue, emit func(*group.Record)) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := refreshing{s: s, slot: slot, interval: interval, rules: s.rules.Load()}
	x.choose(now)
	records := x.records(func(e *entry) (*group.Group, int64) { return e.pending, e.last })
	if len(records) == 0 {
		return 0
	}
	mark := group.NewRefreshMark(x.at, slot, interval)
	s.queue.addMark(mark)
	enqueue(mark)
	for _, r := range records {
		s.pending.entries[r.Labels.ID()].last = x.at
		emit(r)
	}
	s.clock.saw(x.at)
	return len(records)
}

// Refreshed returns the records that whoever made a clock mark has emitted behind it. It
// is called when the mark, which has the sequence seq, was folded in, and nothing behind
// it. Later than that, groups that have changed since are missing; a mark that defines
// no refresh has none.
func (s *Store) Refreshed(mark *group.Record, seq uint64) []*group.Record {
	slot, interval, ok := mark.Refreshes()
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x := refreshing{s: s, slot: slot, interval: interval, rules: s.rules.Load(), at: mark.Time}
	live := s.shown.asOf() == seq
	records := x.records(func(e *entry) (*group.Group, int64) {
		switch g := e.committed; {
		case g == nil || g.Seq > seq:
			return nil, 0
		case live:
			return g, e.last
		default:
			return g, g.Last
		}
	})
	for _, r := range records {
		e := s.pending.entries[r.Labels.ID()]
		e.last = max(e.last, x.at)
	}
	return records
}

// refreshing restates what was not sent within an interval, of the groups of a slot that
// have that one, all at one time.
type refreshing struct {
	s        *Store
	slot     int
	interval time.Duration
	rules    *group.Rules
	at       int64
}

// nearly is how far ahead of the clock a group may be for all of its slot to wait for it:
// it was pushed to a moment ago, or the clock was set back a little.
const nearly = 1000

// choose finds the time.
func (x *refreshing) choose(now time.Time) {
	x.at = max(now.UnixMilli(), x.s.clock.base+1)
	limit := x.at + nearly
	x.each(func(e *entry) {
		if e.pending != nil && e.last < limit {
			x.at = max(x.at, e.last+1)
		}
	})
}

func (x *refreshing) each(f func(*entry)) {
	slots := x.s.pending.slots
	for i := x.slot; i < len(slots); i += RefreshSlots {
		if e := slots[i]; e != nil {
			f(e)
		}
	}
}

// records returns what is sent again. version says what a group is, and when it was
// stamped last.
func (x *refreshing) records(version func(*entry) (g *group.Group, last int64)) (records []*group.Record) {
	x.each(func(e *entry) {
		g, last := version(e)
		if g == nil || last >= x.at || x.rules != nil && e.policyBy(x.rules).Refresh != x.interval {
			return
		}
		if members, due := x.due(g, last); due {
			records = append(records, x.s.again(g, x.at, members))
		}
	})
	return records
}

// due returns the members of a group that were not pushed within the interval, and
// whether there is something to send at all. When it was refreshed before is no matter:
// turns come earlier than an interval after each other.
func (x *refreshing) due(g *group.Group, last int64) (members []group.Member, due bool) {
	limit := x.at - x.interval.Milliseconds()
	for _, m := range g.Members {
		// last is smaller only after ResetClock.
		if min(m.Part.Time, last) <= limit && !m.Timed() {
			members = append(members, m)
		}
	}
	return members, len(members) > 0 || min(g.Last, last) <= limit
}

// again says again what members of a group have, at another time.
func (s *Store) again(g *group.Group, at int64, members []group.Member) *group.Record {
	return &group.Record{
		Kind: group.KindRefresh, Labels: g.Labels, Time: at, Push: g.Push, Fail: g.Fail, TTL: g.TTL, Expect: g.Expect,
		Hide: g.Hide, Members: members, Last: g.Last, Generation: s.queue.generation,
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
	records := make([]*group.Record, 0, len(s.pending.entries))
	newest := max(now.UnixMilli(), s.clock.highest.Load())
	for e := range s.pending.all() {
		if g := e.pending; g != nil {
			at := s.clock.stamp(e, g.Labels, now, stamp{})
			newest = max(newest, at)
			records = append(records, s.again(g, at, g.Members))
		}
	}
	mark := &group.Record{Kind: group.KindClock, Time: newest}
	s.queue.addMark(mark)
	enqueue(mark)
	return records
}
