package web

import (
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// unpushed is a family that groups have without pushing it.
type unpushed struct {
	name, help string
	of         func(*group.Group) bool // whether it has the series
	value      func(g *group.Group, now time.Time) float64
}

var unpushedFamilies = [...]unpushed{
	{group.PushTimeName, group.PushTimeHelp, pushedTo, func(g *group.Group, _ time.Time) float64 { return seconds(g.Push) }},
	{group.FailTimeName, group.FailTimeHelp, pushedTo, func(g *group.Group, _ time.Time) float64 { return seconds(g.Fail) }},
	{group.OverdueName, group.OverdueHelp, (*group.Group).ShipsOverdue, func(g *group.Group, now time.Time) float64 {
		if g.Overdue(now) {
			return 1
		}
		return 0
	}},
}

// pushedTo reports whether clients push to the group.
func pushedTo(g *group.Group) bool { return !g.Labels.IsJob() }

// unpushedOf returns the family of that name, nil when there is none.
func unpushedOf(name string) *unpushed {
	for i := range unpushedFamilies {
		if u := &unpushedFamilies[i]; u.name == name {
			return u
		}
	}
	return nil
}
