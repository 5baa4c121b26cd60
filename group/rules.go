package group

import (
	"slices"
	"strings"
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

	Aggregate *Aggregation // nil: each push takes the place of the one before
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
	if l.IsJob() {
		return Policy{Refresh: p.Refresh} // as long as the job is expected
	}
	for i := range r.rules {
		if one := &r.rules[i]; one.matches(l) {
			return one.apply(p)
		}
	}
	return p
}

// Aggregation returns how pushes to l are added up, nil when they are not, and the rule
// that says so.
func (r *Rules) Aggregation(l Labels) (*Aggregation, *Rule) {
	if r == nil || l.IsJob() {
		return nil, nil
	}
	i := slices.IndexFunc(r.rules, func(one Rule) bool { return one.matches(l) })
	if i < 0 {
		return nil, nil
	}
	return r.rules[i].Aggregate, &r.rules[i]
}

// Selects prints what r matches.
func (r *Rule) Selects() string {
	all := make([]string, len(r.Match))
	for i, m := range r.Match {
		all[i] = m.String()
	}
	return strings.Join(all, " and ")
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
