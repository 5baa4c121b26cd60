package state

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pushbridge/pushbridge/group"
)

// checkNames applies the rules on names and types. Unchecked, a family that
// breaks them is not delivered: its components may be other families' series.
func (c *checker) checkNames(t *transition, from, to int) error {
	for i := from; i < to; i++ {
		f := &t.part.Shape.Families()[i]
		reason, other := c.checkName(t, f)
		if reason == "" {
			continue
		}
		c.underWay = c.underWay || c.s.large.touches(c, other)
		if c.s.o.CheckConsistency {
			return &group.ConflictError{Family: f.Name, Reason: reason, Other: c.groupWithName(t, other)}
		}
		for n := range f.Count() {
			c.unsent[f.First()+n] = true
		}
	}
	return nil
}

// checkName returns what is wrong with the name or type of f, and the name that
// it collides with.
func (c *checker) checkName(t *transition, f *group.Family) (reason, other string) {
	if types := c.typesIn(t, f.Name) &^ setOf(f.Type); types != 0 {
		return fmt.Sprintf("is a %s, but a %s of that name exists", word(f.Type), word(types.first())), f.Name
	}
	if base, types := composedBase(f.Name); types != 0 {
		if both := c.typesIn(t, base) & types; both != 0 {
			return fmt.Sprintf("collides with %s %q", word(both.first()), group.Brief(base)), base
		}
	}
	for _, x := range suffixes {
		if name := f.Name + x.text; x.types&setOf(f.Type) != 0 && c.typesIn(t, name) != 0 {
			return fmt.Sprintf("is a %s and collides with metric family %q", word(f.Type), group.Brief(name)), name
		}
	}
	return "", ""
}

// typesIn returns the types that a name will have.
func (c *checker) typesIn(t *transition, name string) TypeSet {
	set := TypeSet(0)
	info := c.s.index.names.byName[name]
	if info != nil {
		set = info.types()
		if m, ok := t.replacedMember(name); ok && info.count[m.Of().Type] == 1 {
			set &^= setOf(m.Of().Type)
		}
	}
	if f, ok := t.part.Shape.Find(name); ok {
		set |= setOf(f.Type)
	}
	return set
}

func (t *transition) replacedMember(name string) (group.Member, bool) {
	i, ok := slices.BinarySearchFunc(t.replaced, name, func(m group.Member, n string) int { return strings.Compare(m.Of().Name, n) })
	if !ok {
		return group.Member{}, false
	}
	return t.replaced[i], true
}

func (s TypeSet) first() group.Type {
	for t := range group.Type(typeCount) {
		if s&setOf(t) != 0 {
			return t
		}
	}
	return group.Untyped
}

// groupWithName finds a group with a family of that name, for a message. It
// looks at few groups, and returns nil when none of those has it.
func (c *checker) groupWithName(t *transition, name string) group.Labels {
	info := c.s.index.names.byName[name]
	if info == nil {
		return t.labels() // in the push itself
	}
	has := func(e *entry) bool {
		if e == nil || e.pending == nil || e.slot == t.slot {
			return false
		}
		_, ok := e.pending.Member(name)
		return ok
	}
	if e := c.s.slots[info.slot]; has(e) {
		return e.pending.Labels
	}
	tries := 1000
	for _, e := range c.s.entries {
		if has(e) {
			return e.pending.Labels
		}
		if tries--; tries == 0 {
			break
		}
	}
	return nil
}

// word is the type as a message calls it.
func word(t group.Type) string {
	if t == group.GaugeHistogram {
		return "gauge histogram"
	}
	return t.String()
}
