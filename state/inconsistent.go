package state

import (
	"fmt"

	"github.com/pushbridge/pushbridge/group"
)

// Inconsistency is one of those that LiveConflicts counts, for people: what collides,
// and the groups that have it. It is nil when there is none.
func (s *Store) Inconsistency() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate.waitIdle() // until then the index holds more than there is
	return s.pending.inconsistency()
}

func (p *pending) inconsistency() error {
	if err := p.sameSeries(); err != nil {
		return err
	}
	for name, info := range p.index.names.byName {
		if err := p.clash(name, info); err != nil {
			return err
		}
	}
	return nil
}

// sameSeries tells of a series that is there twice.
func (p *pending) sameSeries() error {
	for h := range p.index.series.more {
		if _, ok := p.index.series.benign[h]; ok {
			continue
		}
		seen := map[string]uint32{}
		for _, slot := range p.index.series.ownersOf(h) {
			for _, name := range p.seriesWithHash(slot, h) {
				if other, ok := seen[name]; ok {
					return fmt.Errorf("metric %s is there twice: %s and %s", group.Brief(name), p.owner(other), p.owner(slot))
				}
				seen[name] = slot
			}
		}
	}
	return nil
}

func (p *pending) owner(slot uint32) string {
	if slot == gatewaySlot {
		return "of the gateway itself"
	}
	return "in group " + p.labelsOf(slot).String()
}

// clash tells of a name what groups make of it, if that does not go together.
func (p *pending) clash(name string, info *nameInfo) error {
	base, composed := composedBase(name)
	below := composed & p.index.names.types(base)
	if types := info.types(); types&(types-1) == 0 && below == 0 {
		return nil
	}
	var have []string
	for t, n := range info.count {
		if n > 0 {
			have = append(have, fmt.Sprintf("a %s %s", word(group.Type(t)), p.groupOfType(typedName{name, group.Type(t)})))
		}
	}
	if len(have) > 1 {
		return fmt.Errorf("metric family %q is %s and %s", group.Brief(name), have[0], have[1])
	}
	other := typedName{base, below.first()}
	return fmt.Errorf("metric family %q is %s, and collides with %s %q %s",
		group.Brief(name), have[0], word(other.typ), group.Brief(base), p.groupOfType(other))
}

func (p *pending) groupOfType(f typedName) string {
	if l := p.groupWithFamily(f); l != nil {
		return "in group " + l.String()
	}
	return "of the gateway itself"
}
