package group

import (
	"errors"
	"slices"
	"time"
)

// Policy is how a group is treated.
type Policy struct {
	TTL     time.Duration // how long it lives after a push that does not say it; 0: until it is deleted
	Refresh time.Duration // how often it is sent again; 0: never
	Expect  time.Duration // how often it is expected to be pushed; 0: nobody knows
}

// Rule gives the groups that all of Match selects their own policy. What is nil
// is as for any group.
type Rule struct {
	Match   []Matchers
	TTL     *time.Duration
	Refresh *time.Duration
	Expect  *time.Duration
}

// Rules say how each group is treated. They do not change once made.
type Rules struct {
	base  Policy
	rules []Rule
}

// NewRules returns rules of which the first one that matches counts, and base
// for everything that none says.
func NewRules(base Policy, rules []Rule) *Rules { return &Rules{base: base, rules: rules} }

// Of returns the policy of the group with labels l.
func (r *Rules) Of(l Labels) Policy {
	if r == nil {
		return Policy{}
	}
	p := r.base
	for i := range r.rules {
		if one := &r.rules[i]; one.matches(l) {
			return one.apply(p)
		}
	}
	return p
}

func (r *Rule) matches(l Labels) bool {
	return !slices.ContainsFunc(r.Match, func(m Matchers) bool { return !m.Match(l) })
}

func (r *Rule) apply(p Policy) Policy {
	for _, f := range []struct {
		to   *time.Duration
		from *time.Duration
	}{{&p.TTL, r.TTL}, {&p.Refresh, r.Refresh}, {&p.Expect, r.Expect}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	return p
}

// Intervals returns every refresh interval that a group may have, each once,
// the shortest first.
func (r *Rules) Intervals() []time.Duration {
	all := []time.Duration{r.base.Refresh}
	for i := range r.rules {
		if v := r.rules[i].Refresh; v != nil {
			all = append(all, *v)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if all[0] == 0 {
		all = all[1:] // never
	}
	return all
}

// SetRules makes r what the store goes by, from the next push and refresh on.
// Without rules every group is refreshed at any interval that Refresh is called
// with. Reconsider brings the groups in line that are not pushed to.
func (s *Store) SetRules(r *Rules) { s.rules.Store(r) }

// Rules returns what SetRules was given last, nil for none.
func (s *Store) Rules() *Rules { return s.rules.Load() }

// policyLocked returns the policy of e's group, which is looked up once for each
// set of rules: a refresh asks for it again and again.
func (s *Store) policyLocked(e *entry, r *Rules) Policy {
	if e.rules != r {
		e.rules, e.policy = r, r.Of(e.pending.Labels)
	}
	return e.policy
}

// Reconsider brings groups in line with the rules that were pushed to under
// other ones: whether they say that they are overdue. enqueue gets a record for
// each that changes, to be stored; their metrics, push times and time to live
// stay as they are. It returns the number of groups.
func (s *Store) Reconsider(now time.Time, enqueue func(*Record)) int {
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

func (s *Store) reconsiderChunk(first int, rules *Rules, now time.Time, enqueue func(*Record)) (changed int, more bool) {
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

func (s *Store) reconsiderLocked(e *entry, rules *Rules, now time.Time, enqueue func(*Record)) error {
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
	r := &Record{
		Kind: KindPost, Labels: old.Labels, Push: old.Push, Fail: old.Fail, TTL: old.TTL, Hide: old.Hide,
		Expect: expect, Part: &Part{Shape: emptyShape},
	}
	return s.transitLocked(old.ID, old, r, now, enqueue)
}
