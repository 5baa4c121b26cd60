package state

import (
	"fmt"

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
		c.underWay = c.underWay || c.gate.decides(c, other)
		if c.on.strict {
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
	info := c.on.index.names.byName[name]
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

func (s TypeSet) first() group.Type {
	for t := range group.Type(typeCount) {
		if s&setOf(t) != 0 {
			return t
		}
	}
	return group.Untyped
}

// groupWithName finds a group with a family of that name, for a message.
func (c *checker) groupWithName(t *transition, name string) group.Labels {
	if c.on.index.names.byName[name] == nil {
		return t.labels() // in the push itself
	}
	return c.on.groupWithName(name, t.slot)
}

// word is the type as a message calls it.
func word(t group.Type) string {
	if t == group.GaugeHistogram {
		return "gauge histogram"
	}
	return t.String()
}
