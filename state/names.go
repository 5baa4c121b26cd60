package state

import (
	"math/bits"
	"strings"

	"github.com/pushbridge/pushbridge/group"
)

const typeCount = int(group.GaugeHistogram) + 1

// names knows which types each family name has, and counts what does not go
// together: two types of one name, and a name that a component of a summary or
// histogram has too. These are the rules of client_golang's Gather, except that a
// gauge histogram counts as a histogram: it is delivered under the same names.
type names struct {
	byName  map[string]*nameInfo
	clashes int
	own     OwnNames          // of the gateway
	hidden  map[typedName]int // families that are not shown, and not in byName
}

func newNames() names { return names{byName: map[string]*nameInfo{}, hidden: map[typedName]int{}} }

type nameInfo struct {
	count [typeCount]uint32 // families by type
	total uint32
	slot  uint32 // of the group that had the name last; a hint for messages
}

func setOf(t group.Type) TypeSet { return 1 << t }

const (
	allHistograms = TypeSet(1<<group.Histogram | 1<<group.GaugeHistogram)
	composed      = allHistograms | 1<<group.Summary
)

// suffixes of component names, and the types that use them.
var suffixes = [...]struct {
	text  string
	types TypeSet
}{{"_count", composed}, {"_sum", composed}, {"_bucket", allHistograms}}

// change adds a family of a group to the names, or removes it.
func (n *names) change(name string, t group.Type, slot uint32, add bool) {
	switch {
	case !n.hidesFamily(name, t):
		n.count(name, t, slot, add)
	case add:
		n.hide(typedName{strings.Clone(name), t}, 1)
	default:
		n.hide(typedName{name, t}, -1)
	}
}

// count adds a family to the names, or removes it.
func (n *names) count(name string, t group.Type, slot uint32, add bool) {
	info := n.byName[name]
	if add {
		if info == nil {
			info = &nameInfo{}
			n.byName[strings.Clone(name)] = info
		}
		info.count[t]++
		info.total++
		info.slot = slot
		if info.count[t] == 1 {
			n.toggled(name, t, info, 1)
		}
		return
	}
	info.count[t]--
	info.total--
	if info.count[t] == 0 {
		n.toggled(name, t, info, -1)
	}
	if info.total == 0 {
		delete(n.byName, name)
	}
}

// reserve adds a family to the names for a group that may not come to have it.
func (n *names) reserve(name string, t group.Type, slot uint32) {
	info := n.byName[name]
	if info == nil {
		n.change(name, t, slot, true)
		return
	}
	had := info.slot
	n.change(name, t, slot, true)
	info.slot = had
}

// toggled counts the clashes that came or went with a type of a name; sign says
// which.
func (n *names) toggled(name string, t group.Type, info *nameInfo, sign int) {
	others := 0
	for o, c := range info.count {
		if group.Type(o) != t && c > 0 {
			others++
		}
	}
	if others > 0 {
		n.clashes += sign
	} else if base, types := composedBase(name); types != 0 {
		n.clashes += sign * bits.OnesCount8(uint8(n.types(base)&types))
	}
	for _, s := range suffixes {
		if s.types&setOf(t) != 0 && n.types(name+s.text) != 0 {
			n.clashes += sign
		}
	}
}

// types returns the types that a name has.
func (n *names) types(name string) TypeSet { return n.byName[name].types() }

func (i *nameInfo) types() TypeSet {
	if i == nil {
		return 0
	}
	s := TypeSet(0)
	for t, c := range i.count {
		if c > 0 {
			s |= setOf(group.Type(t))
		}
	}
	return s
}

// composedBase returns, for a name with a suffix of a component, the name
// without it and the types of that name that would clash.
func composedBase(name string) (string, TypeSet) {
	for _, s := range suffixes {
		if base, ok := strings.CutSuffix(name, s.text); ok {
			return base, s.types
		}
	}
	return "", 0
}
