package state

import (
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// Expire ends the groups whose time is over, all at one timestamp, and returns
// how many those were. A push that was sequenced before wins.
func (s *Store) Expire(now time.Time, enqueue func(*group.Record)) int {
	x := s.ending(now, enqueue)
	s.mu.Lock()
	for _, e := range s.pending.expiry.due(now) {
		x.add(e)
	}
	s.mu.Unlock()
	n := x.run()
	s.metrics.expired.Add(float64(n))
	return n
}

// DeleteAll ends the groups with the given keys, all at one timestamp, and
// returns how many existed. It lets pushes through in between: a group that is
// pushed meanwhile stays.
func (s *Store) DeleteAll(keys []group.Labels, now time.Time, enqueue func(*group.Record)) int {
	ids := make([]string, len(keys))
	for i, l := range keys {
		ids[i] = l.ID()
	}
	x := s.ending(now, enqueue)
	s.mu.Lock()
	for _, id := range ids {
		if e := s.pending.entries[id]; e != nil {
			x.add(e)
		}
	}
	s.mu.Unlock()
	return x.run()
}

// Wipe ends every group that was pushed, as DeleteAll does.
func (s *Store) Wipe(now time.Time, enqueue func(*group.Record)) int {
	x := s.ending(now, enqueue)
	s.mu.Lock()
	for e := range s.pending.all() {
		if e.pending != nil && !e.pending.Labels.IsJob() {
			x.add(e)
		}
	}
	s.mu.Unlock()
	return x.run()
}

// ending ends groups, as they are when they are added, at one shared timestamp, so that
// floors do not run ahead of the clock when many groups of one job end. It lets others
// have the lock in between: a group that has another version when it is reached stays.
type ending struct {
	turn
	due []version
	at  int64 // the shared timestamp, but for groups that are refreshed meanwhile
}

// version is a group as it was at some time.
type version struct {
	entry *entry
	group *group.Group
}

// chunkSize is how many groups are looked at under one hold of the lock.
const chunkSize = 128

func (s *Store) ending(now time.Time, enqueue func(*group.Record)) *ending {
	return &ending{turn: turn{s, now, enqueue}, at: now.UnixMilli()}
}

// add adds a group, if there is one. The caller holds the lock.
func (x *ending) add(e *entry) {
	if e.pending == nil {
		return
	}
	x.due = append(x.due, version{e, e.pending})
	x.at = max(x.at, x.s.clock.last(e)+endGap)
}

// run returns how many groups have ended.
func (x *ending) run() int {
	n := 0
	for len(x.due) > 0 {
		n += x.chunk()
	}
	return n
}

func (x *ending) chunk() int {
	chunk, heft := 0, 0
	for chunk < min(chunkSize, len(x.due)) && heft < x.s.o.largeFrom {
		heft += weight(x.due[chunk].group)
		chunk++
	}
	s, n := x.s, 0
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.tidyLocked()
	for _, v := range x.due[:chunk] {
		if s.gate.retry(func() error { return x.one(v) }) == nil {
			n++
		}
	}
	x.due = x.due[chunk:]
	return n
}

// one ends a group. It returns ErrAbsent when the group has another version by now.
func (x *ending) one(v version) error {
	large := x.s.gate.admit(v.entry.id, func() int { return weight(v.group) })
	switch {
	case v.entry.pending != v.group:
		return group.ErrAbsent
	case large:
		return x.changeLarge(v.entry.id, &group.Record{Kind: group.KindDelete, Labels: v.group.Labels}, x.at, nil)
	}
	x.end(v.entry, x.s.clock.stampEnd(v.entry, x.at), group.PushKey{})
	return nil
}
