package state

import (
	"maps"
	"slices"
	"strings"

	"github.com/pushbridge/pushbridge/group"
)

// OwnNames say which families would collide with metrics that the gateway exposes
// itself: for each name the types that a pushed family of that name must not have.
type OwnNames map[string]TypeSet

// Add adds a family of the gateway.
func (o OwnNames) Add(name string, t group.Type) {
	o[name] |= ^setOf(t)
	for _, x := range suffixes {
		if x.types.Has(t) {
			o[name+x.text] = ^TypeSet(0)
		}
		if base, ok := strings.CutSuffix(name, x.text); ok {
			o[base] |= x.types
		}
	}
}

// TypeSet is a set of types.
type TypeSet uint8

// Has reports whether t is in s.
func (s TypeSet) Has(t group.Type) bool { return s&setOf(t) != 0 }

// HiddenFamily is a family that no view shows, because the gateway has metrics of its
// own by which it would be taken apart.
type HiddenFamily struct {
	Name   string
	Type   group.Type
	Groups int          // that have it
	Group  group.Labels // one of them
}

// Hidden returns the families that are not shown. They were pushed when the gateway did
// not have those metrics, or without checks.
func (s *Store) Hidden() []HiddenFamily {
	s.ownOnce.Do(s.addOwnFamilies)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.hidden()
}

func (p *pending) hidden() []HiddenFamily {
	var out []HiddenFamily
	for f, n := range p.index.names.hidden {
		out = append(out, HiddenFamily{Name: f.name, Type: f.typ, Groups: n, Group: p.groupWithFamily(f)})
	}
	slices.SortFunc(out, func(a, b HiddenFamily) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// typedName is a family as the names know it.
type typedName struct {
	name string
	typ  group.Type
}

// OwnNames returns the names of all metrics that the gateway may have. Read only.
func (s *Store) OwnNames() OwnNames {
	s.ownOnce.Do(s.addOwnFamilies)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.index.names.own
}

// hides reports whether some family is not shown: pushes are then checked also when they
// bring nothing new, so that who pushes it hears.
func (n *names) hides() bool { return len(n.hidden) > 0 }

// hidesFamily reports whether a family is not shown, and so collides with none.
func (n *names) hidesFamily(name string, t group.Type) bool { return n.own[name].Has(t) }

// hide counts a family that is not shown.
func (n *names) hide(f typedName, by int) {
	if n.hidden[f] += by; n.hidden[f] == 0 {
		delete(n.hidden, f)
	}
}

// setOwn makes own the names of the gateway. Families that are there already and are
// not shown from now on are counted no more.
func (n *names) setOwn(own []OwnFamily) {
	n.own = OwnNames{}
	for _, f := range own {
		n.own.Add(f.Name, f.Type)
	}
	for name, info := range maps.Clone(n.byName) {
		for t, count := range info.count {
			if count == 0 || !n.hidesFamily(name, group.Type(t)) {
				continue
			}
			for range count {
				n.count(name, group.Type(t), gatewaySlot, false)
			}
			n.hide(typedName{name, group.Type(t)}, int(count))
		}
	}
}

// addOwnFamilies asks for the gateway's own metrics and puts them into the index.
func (s *Store) addOwnFamilies() {
	if s.o.OwnFamilies == nil {
		return
	}
	own := s.o.OwnFamilies() // may read the store's metrics: not under the lock
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending.gateway = own
	s.pending.addGateway()
	s.countConflictsLocked()
	for _, f := range s.pending.hidden() {
		s.o.Logger.Warn("metric family is not shown: the gateway has metrics of its own that it collides with",
			"family", group.Brief(f.Name), "type", word(f.Type), "groups", f.Groups, "group", f.Group.String())
	}
}
