package state

import "github.com/pushbridge/pushbridge/group"

// diff returns what a transition ends, and whether it adds anything.
func (k *checker) diff(t *transition, expect int64) (ended []group.Ended, adds bool) {
	c := &k.components
	c.begin(t.hash)
	if t.part != nil {
		c.addLive(t.part, t.unsent)
	}
	for _, o := range ownSeries {
		if t.hide&o.own == 0 {
			c.addOwn(o.name)
		}
	}
	if group.ShipsOverdue(expect, t.hide) {
		c.addOwn(group.OverdueName)
	}
	c.seal()
	ended = c.appendEnded(nil, t.replaced)
	if t.old == nil {
		return ended, true
	}
	for _, o := range ownSeries {
		if t.old.Hide&o.own == 0 && !c.meets(c.ownIdentity(o.name)) {
			ended = append(ended, ownEnded(o.name))
		}
	}
	if t.old.ShipsOverdue() && !c.meets(c.ownIdentity(group.OverdueName)) {
		ended = append(ended, ownEnded(group.OverdueName))
	}
	return ended, c.added()
}

func ownEnded(name string) group.Ended {
	return group.Ended{Family: name, Type: group.Gauge, What: group.ComponentValue}
}

// endAll returns what the end of a group ends.
func (k *checker) endAll(of groupHash, g *group.Group) []group.Ended {
	c := &k.components
	c.begin(of)
	c.seal()
	ended := c.appendEnded(nil, g.Members)
	for _, o := range ownSeries {
		if g.Hide&o.own == 0 {
			ended = append(ended, ownEnded(o.name))
		}
	}
	if g.ShipsOverdue() {
		ended = append(ended, ownEnded(group.OverdueName))
	}
	return ended
}
