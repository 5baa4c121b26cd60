package state

import (
	"errors"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// SetRules makes r what the store goes by, from the next push and refresh on.
// Without rules every group is refreshed at any interval that Refresh is called
// with. Reconsider brings the groups in line that are not pushed to.
func (s *Store) SetRules(r *group.Rules) { s.rules.Store(r) }

// Rules returns what SetRules was given last, nil for none.
func (s *Store) Rules() *group.Rules { return s.rules.Load() }

// policyBy returns the policy of e's group, which is there, by a set of rules. It is
// looked up once for each set: a refresh asks for it again and again.
func (e *entry) policyBy(r *group.Rules) group.Policy {
	if e.rules != r {
		e.rules, e.policy = r, r.Of(e.pending.Labels)
	}
	return e.policy
}

// Reconsider brings groups in line with the rules that were pushed to under
// other ones: whether they say that they are overdue. enqueue gets a record for
// each that changes, to be stored; their metrics, push times and time to live
// stay as they are. It returns the number of groups.
func (s *Store) Reconsider(now time.Time, enqueue func(*group.Record)) int {
	x, n := reconsidering{turn{s, now, enqueue}, s.rules.Load()}, 0
	s.ownOnce.Do(s.addOwnFamilies)
	for first := 0; ; first += chunkSize {
		changed, more := x.chunk(first)
		n += changed
		if !more {
			return n
		}
	}
}

// reconsidering brings groups in line with rules, and lets others have the lock in between.
type reconsidering struct {
	turn
	rules *group.Rules
}

// chunk goes through some groups, from a slot on.
func (x *reconsidering) chunk(first int) (changed int, more bool) {
	s := x.s
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.tidyLocked()
	last := min(first+chunkSize, len(s.pending.slots))
	for _, e := range s.pending.slots[min(first, last):last] {
		if e == nil {
			continue
		}
		// One that is refused is in nobody's way as it is.
		if s.gate.retry(func() error { return x.one(e) }) == nil {
			changed++
		}
	}
	return changed, last < len(s.pending.slots)
}

// errAlike says that a group need not change.
var errAlike = errors.New("the rules say what the group has")

func (x *reconsidering) one(e *entry) error {
	x.s.gate.waitFor(e)
	old := e.pending
	if old == nil {
		return errAlike
	}
	expect := int64(e.policyBy(x.rules).Expect)
	if old.Expect == expect {
		return errAlike
	}
	return x.transit(old.ID, old, &group.Record{
		Kind: group.KindPost, Labels: old.Labels, Push: old.Push, Fail: old.Fail, TTL: old.TTL, Hide: old.Hide,
		Expect: expect, Part: &group.Part{Shape: emptyShape()}, Merge: group.Merge{Pushes: old.Pushes},
	})
}
