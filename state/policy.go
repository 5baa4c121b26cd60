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

// policyLocked returns the policy of e's group, which is looked up once for each
// set of rules: a refresh asks for it again and again.
func (s *Store) policyLocked(e *entry, r *group.Rules) group.Policy {
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
	rules, n := s.rules.Load(), 0
	s.ownOnce.Do(s.addOwnFamilies)
	for first := 0; ; first += chunkSize {
		changed, more := s.reconsiderChunk(first, rules, now, enqueue)
		n += changed
		if !more {
			return n
		}
	}
}

func (s *Store) reconsiderChunk(first int, rules *group.Rules, now time.Time, enqueue func(*group.Record)) (changed int, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.tidyLocked()
	last := min(first+chunkSize, len(s.slots))
	for _, e := range s.slots[min(first, last):last] {
		if e == nil {
			continue
		}
		// One that is refused is in nobody's way as it is.
		if s.retryLocked(func() error { return s.reconsiderLocked(e, rules, now, enqueue) }) == nil {
			changed++
		}
	}
	return changed, last < len(s.slots)
}

// errAlike says that a group need not change.
var errAlike = errors.New("the rules say what the group has")

func (s *Store) reconsiderLocked(e *entry, rules *group.Rules, now time.Time, enqueue func(*group.Record)) error {
	for s.large != nil && s.large.entry == e {
		s.idle.Wait()
	}
	old := e.pending
	if old == nil {
		return errAlike
	}
	expect := int64(s.policyLocked(e, rules).Expect)
	if old.Expect == expect {
		return errAlike
	}
	r := &group.Record{
		Kind: group.KindPost, Labels: old.Labels, Push: old.Push, Fail: old.Fail, TTL: old.TTL, Hide: old.Hide,
		Expect: expect, Part: &group.Part{Shape: emptyShape},
	}
	return s.transitLocked(old.ID, old, r, now, enqueue)
}
