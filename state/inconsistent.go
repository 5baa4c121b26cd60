package state

import (
	"fmt"
	"slices"

	"github.com/pushbridge/pushbridge/group"
)

// Inconsistency is one of those that LiveConflicts counts, for people: what collides,
// and the groups that have it. It is nil when there is none.
func (s *Store) Inconsistency() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.large != nil { // the index holds more than there is
		s.idle.Wait()
	}
	if err := s.sameSeriesLocked(); err != nil {
		return err
	}
	for name, info := range s.index.names.byName {
		if err := s.clashLocked(name, info); err != nil {
			return err
		}
	}
	return nil
}

// sameSeriesLocked tells of a series that is there twice.
func (s *Store) sameSeriesLocked() error {
	for h, more := range s.index.series.more {
		if _, ok := s.index.series.benign[h]; ok {
			continue
		}
		first, _ := s.index.series.first.get(h)
		seen := map[string]uint32{}
		slots := slices.Concat([]uint32{first}, more)
		slices.Sort(slots)
		for _, slot := range slices.Compact(slots) {
			for _, name := range s.seriesWithHash(slot, h) {
				if other, ok := seen[name]; ok {
					return fmt.Errorf("metric %s is there twice: %s and %s", group.Brief(name), s.ownerLocked(other), s.ownerLocked(slot))
				}
				seen[name] = slot
			}
		}
	}
	return nil
}

func (s *Store) ownerLocked(slot uint32) string {
	if slot == gatewaySlot {
		return "of the gateway itself"
	}
	return "in group " + s.checker.labelsOf(slot).String()
}

// clashLocked tells of a name what groups make of it, if that does not go together.
func (s *Store) clashLocked(name string, info *nameInfo) error {
	base, composed := composedBase(name)
	below := composed & s.index.names.types(base)
	if types := info.types(); types&(types-1) == 0 && below == 0 {
		return nil
	}
	var have []string
	for t, n := range info.count {
		if n > 0 {
			have = append(have, fmt.Sprintf("a %s %s", word(group.Type(t)), s.groupOfTypeLocked(typedName{name, group.Type(t)})))
		}
	}
	if len(have) > 1 {
		return fmt.Errorf("metric family %q is %s and %s", group.Brief(name), have[0], have[1])
	}
	other := typedName{base, below.first()}
	return fmt.Errorf("metric family %q is %s, and collides with %s %q %s",
		group.Brief(name), have[0], word(other.typ), group.Brief(base), s.groupOfTypeLocked(other))
}

func (s *Store) groupOfTypeLocked(f typedName) string {
	if l := s.groupWithFamilyLocked(f); l != nil {
		return "in group " + l.String()
	}
	return "of the gateway itself"
}
