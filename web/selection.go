package web

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

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
	words  []string         // all of them, in the grouping key or in the name of a family
	failed bool             // only groups whose last push was refused
	order  order
	offset int
	limit  int
}

// order is what a list is sorted by.
type order struct {
	by      func(a, b *group.Group) int
	reverse bool
}

// orders are the values of sort, each of which may stand behind a minus.
var orders = map[string]func(a, b *group.Group) int{
	"name":      func(*group.Group, *group.Group) int { return 0 }, // it decides where others do not
	"last_push": func(a, b *group.Group) int { return cmp.Compare(a.Push, b.Push) },
	"last_fail": func(a, b *group.Group) int { return cmp.Compare(a.Fail, b.Fail) },
	"series":    func(a, b *group.Group) int { return cmp.Compare(a.Samples(), b.Samples()) },
}

// selectionOf reads match[], q, failed, sort, offset and limit.
func selectionOf(query url.Values) (s selection, err error) {
	for _, text := range query["match[]"] {
		m, err := group.ParseMatchers(text)
		if err != nil {
			return s, fmt.Errorf("match[]: %w", err)
		}
		s.match = append(s.match, m)
	}
	s.words = strings.Fields(strings.ToLower(query.Get("q")))
	if v := query.Get("failed"); v != "" {
		if s.failed, err = strconv.ParseBool(v); err != nil {
			return s, fmt.Errorf("failed must be 0 or 1, is %q", group.Brief(v))
		}
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

func orderOf(text string) (order, error) {
	name, reverse := strings.CutPrefix(text, "-")
	by, ok := orders[cmp.Or(name, "name")]
	if !ok {
		return order{}, fmt.Errorf("sort must be one of name, last_push, last_fail, series, perhaps with a minus in front, is %q", group.Brief(text))
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
	if s.failed && lastPushSuccessful(g) || !hasWords(g, s.words) {
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
