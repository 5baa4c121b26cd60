package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// ownSchema are the settings that are not Prometheus'.
type ownSchema struct {
	// What some groups do differently. The first rule that matches counts.
	Rules []item[ruleSchema] `yaml:"rules"`
	// Jobs that are expected to succeed in time.
	Jobs []item[jobSchema] `yaml:"jobs"`
	// What remote_write has no field for.
	Destinations []item[traitsSchema] `yaml:"destinations"`
}

// ruleSchema is one rule: what the groups that all of match selects do
// differently.
type ruleSchema struct {
	// A selector of grouping labels, or a list of which all must match.
	Match matchList `yaml:"match"`
	// In place of --push.ttl.
	TTL *durationText `yaml:"ttl"`
	// In place of --refresh.interval.
	RefreshInterval *durationText `yaml:"refresh_interval"`
	// A group that was not pushed for this long is overdue.
	ExpectEvery *durationText `yaml:"expect_every"`
	// Pushes are added up, where otherwise each takes the place of the one before: aggregation.md.
	Aggregate *aggregateSchema `yaml:"aggregate"`
}

// matchList is one selector or several, all of which must match.
type matchList []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (l *matchList) UnmarshalYAML(unmarshal func(any) error) error {
	var one string
	if unmarshal(&one) == nil {
		*l = matchList{one}
		return nil
	}
	return unmarshal((*[]string)(l))
}

// durationText is a duration as the flags take it.
type durationText string

// rules are those of the file, checked.
func (o *ownSchema) rules(wrong *problems) []group.Rule {
	var rules []group.Rule
	for i := range o.Rules {
		r, err := o.Rules[i].value.rule()
		if err != nil {
			wrong.add(o.Rules[i].line, fmt.Errorf("pushbridge.rules, rule %d: %w", i+1, err))
		}
		rules = append(rules, r)
	}
	return rules
}

func (s *ruleSchema) rule() (group.Rule, error) {
	var r group.Rule
	if len(s.Match) == 0 {
		return r, errors.New(`match is missing: say which groups, as job=~"ci-.*"`)
	}
	for _, text := range s.Match {
		m, err := group.ParseMatchers(text)
		if err != nil {
			return r, fmt.Errorf("match: %w", err)
		}
		r.Match = append(r.Match, m)
	}
	for _, f := range []struct {
		name string
		from *durationText
		to   **time.Duration
	}{
		{"ttl", s.TTL, &r.TTL},
		{"refresh_interval", s.RefreshInterval, &r.Refresh},
		{"expect_every", s.ExpectEvery, &r.Expect},
	} {
		if f.from == nil {
			continue
		}
		d, err := ParseDuration(string(*f.from))
		if err != nil {
			return r, fmt.Errorf("%s: %w", f.name, err)
		}
		if d < 0 {
			return r, fmt.Errorf("%s: must not be negative, is %s", f.name, d)
		}
		*f.to = &d
	}
	if r.Refresh != nil && *r.Refresh > 0 && *r.Refresh < MinRefresh {
		return r, fmt.Errorf("refresh_interval: must be 0 or at least %s, is %s", MinRefresh, *r.Refresh)
	}
	if s.Aggregate != nil {
		var err error
		if r.Aggregate, err = s.Aggregate.aggregation(); err != nil {
			return r, fmt.Errorf("aggregate: %w", err)
		}
	}
	return r, nil
}

// MinRefresh is the shortest refresh interval.
const MinRefresh = time.Second

// describeRule prints a rule as check-config shows it.
func describeRule(r *group.Rule) string {
	var text strings.Builder
	text.WriteString(r.Selects())
	for _, f := range []struct {
		name string
		d    *time.Duration
	}{{"ttl", r.TTL}, {"refresh_interval", r.Refresh}, {"expect_every", r.Expect}} {
		if f.d != nil {
			fmt.Fprintf(&text, " %s=%s", f.name, *f.d)
		}
	}
	if a := r.Aggregate; a != nil {
		fmt.Fprintf(&text, " aggregate %s", a)
	}
	return text.String()
}
