package web

import (
	"cmp"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// Paging of a list: how many there are in an answer.
const (
	defaultLimit = 1000
	maxLimit     = 10000
)

// selection is which groups a request asks for, and in which order.
type selection struct {
	match  []group.Matchers // any of them; none: all groups
	filter filter           // of q
	failed bool             // only groups whose last push was refused
	late   bool             // only groups that are overdue
	now    time.Time
	order  order
	offset int
	limit  int
}

// order is what a list is sorted by.
type order struct {
	by      func(a, b *group.Group) int
	reverse bool
}

// compareBy knows the values of sort, each of which may stand behind a minus; nil for others.
func compareBy(name string) func(a, b *group.Group) int {
	switch name {
	case "name":
		return func(*group.Group, *group.Group) int { return 0 } // it decides where others do not
	case "last_push":
		return func(a, b *group.Group) int { return cmp.Compare(a.Push, b.Push) }
	case "last_fail":
		return func(a, b *group.Group) int { return cmp.Compare(a.Fail, b.Fail) }
	case "overdue":
		return func(a, b *group.Group) int { return cmp.Compare(dueOf(a), dueOf(b)) }
	case "series":
		return func(a, b *group.Group) int { return cmp.Compare(a.Samples(), b.Samples()) }
	}
	return nil
}

// dueOf is when a rule expects the next push, in ns; what nobody expects comes last.
func dueOf(g *group.Group) int64 {
	if g.Expect == 0 || g.Expect > math.MaxInt64-g.Push {
		return math.MaxInt64
	}
	return g.Push + g.Expect
}

// selectionOf reads match[], q, failed, overdue, sort, offset and limit.
func selectionOf(query url.Values, now time.Time) (s selection, err error) {
	s.now = now
	for _, text := range query["match[]"] {
		m, err := group.ParseMatchers(text)
		if err != nil {
			return s, fmt.Errorf("match[]: %w", err)
		}
		s.match = append(s.match, m)
	}
	if s.filter, err = parseFilter(query.Get("q")); err != nil {
		return s, err
	}
	if s.failed, err = truthOf(query, "failed"); err != nil {
		return s, err
	}
	if s.late, err = truthOf(query, "overdue"); err != nil {
		return s, err
	}
	if s.order, err = orderOf(query.Get("sort")); err != nil {
		return s, err
	}
	if s.offset, err = numberOf(query, "offset", 0, 0, 1<<31-1); err != nil {
		return s, err
	}
	s.limit, err = numberOf(query, "limit", defaultLimit, 1, maxLimit)
	return s, err
}

func truthOf(query url.Values, name string) (bool, error) {
	v := query.Get(name)
	if v == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("%s must be 0 or 1, is %q", name, group.Brief(v))
	}
	return b, nil
}

func orderOf(text string) (order, error) {
	name, reverse := strings.CutPrefix(text, "-")
	by := compareBy(cmp.Or(name, "name"))
	if by == nil {
		return order{}, fmt.Errorf("sort must be one of name, last_push, last_fail, overdue, series, perhaps with a minus in front, is %q", group.Brief(text))
	}
	return order{by, reverse}, nil
}

func numberOf(query url.Values, name string, otherwise, least, most int) (int, error) {
	v := query.Get(name)
	if v == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s must be a number from %d to %d, is %q", name, least, most, group.Brief(v))
	}
	return n, nil
}

func (s *selection) has(g *group.Group) bool {
	if s.failed && lastPushSuccessful(g) || s.late && !g.Overdue(s.now) || !s.filter.has(g) {
		return false
	}
	return len(s.match) == 0 || slices.ContainsFunc(s.match, func(m group.Matchers) bool { return m.Match(g.Labels) })
}

// from returns the groups that are selected, and of those the ones that the answer has
// room for, in order.
func (s *selection) from(groups []*group.Group) (matching int, shown []*group.Group) {
	groups = sortByJob(slices.DeleteFunc(groups, func(g *group.Group) bool { return !s.has(g) }))
	slices.SortStableFunc(groups, s.order.by)
	if s.order.reverse {
		slices.Reverse(groups)
	}
	first := min(s.offset, len(groups))
	return len(groups), groups[first:min(first+s.limit, len(groups))]
}
