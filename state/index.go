package state

import (
	"slices"

	"github.com/pushbridge/pushbridge/group"
)

// gatewaySlot stands for the gateway's own metrics where a slot number names the
// owner of a series.
const gatewaySlot = 0

// index says, without looking at any group, who owns a series and what types a
// name has: what keeps the check of a push independent of what is stored
// (promise P7). It describes the pending versions, see pending.
type index struct {
	names names

	// series has the owner of each series of the view. The key is a hash of name
	// and labels as a view shows them, but for an empty instance label, which
	// every series without one is shown with.
	series owners

	// claims has the owner of the delivery identity of each series that has
	// empty labels and is delivered. The other series have the same hash for
	// both, and are found in series.
	claims owners
}

// move says what happens to a series in the index.
type move uint8

const (
	goes        move = iota
	comes            // it may be one that is there
	comesUnlike      // it was found to be unlike all that is there
)

func newIndex() index {
	x := index{names: newNames(), series: newOwners(), claims: newOwners()}
	// Every group has these, so a push must not make them anything else.
	for _, o := range ownSeries {
		x.names.count(o.name, group.Gauge, gatewaySlot, true)
	}
	return x
}

// addGateway adds a family that the gateway exposes itself.
func (x *index) addGateway(h *hasher, f OwnFamily) {
	x.names.count(f.Name, f.Type, gatewaySlot, true)
	for _, l := range f.Series {
		g := h.of(l)
		x.series.add(g.own(f.Name).view, gatewaySlot)
	}
}

// conflicts returns the number of inconsistencies, see Store.LiveConflicts.
func (x *index) conflicts() int { return x.series.extra + x.names.clashes }

// owners maps a hash to the slots that own something with that hash. Nearly
// always there is one.
type owners struct {
	first  *slotTable
	more   map[uint64][]uint32 // further owners
	benign map[uint64]struct{} // hashes whose owners are known to differ really
	extra  int                 // in more, those that are not benign
}

func newOwners() owners {
	return owners{first: &slotTable{}, more: map[uint64][]uint32{}, benign: map[uint64]struct{}{}}
}

func (o *owners) add(h uint64, slot uint32) {
	if o.first.add(h, slot) {
		return
	}
	o.more[h] = append(o.more[h], slot)
	if _, ok := o.benign[h]; !ok {
		o.extra++
	}
}

func (o *owners) remove(h uint64, slot uint32) {
	more, ok := o.more[h]
	if !ok {
		o.first.remove(h)
		return
	}
	if _, ok := o.benign[h]; !ok {
		o.extra--
	}
	last := len(more) - 1
	if first, _ := o.first.get(h); first == slot {
		o.first.replace(h, more[last])
	} else {
		more[slices.Index(more, slot)] = more[last]
	}
	if last == 0 {
		delete(o.more, h)
		delete(o.benign, h)
		return
	}
	o.more[h] = more[:last]
}

// tolerate notes that the owners of h differ really.
func (o *owners) tolerate(h uint64) {
	n := len(o.more[h])
	if _, ok := o.benign[h]; !ok && n > 0 {
		o.benign[h] = struct{}{}
		o.extra -= n
	}
}

// ownersOf returns the slots that own something with hash h, each once.
func (o *owners) ownersOf(h uint64) []uint32 {
	first, _ := o.first.get(h)
	slots := append([]uint32{first}, o.more[h]...)
	slices.Sort(slots)
	return slices.Compact(slots)
}

// any reports whether f holds for an owner of h other than slot.
func (o *owners) any(h uint64, slot uint32, f func(owner uint32) bool) bool {
	first, ok := o.first.get(h)
	if !ok {
		return false
	}
	if first != slot && f(first) {
		return true
	}
	return slices.ContainsFunc(o.more[h], func(s uint32) bool { return s != slot && f(s) })
}

// change adds members of a group to the index, or removes them.
func (x *index) change(h *groupHash, slot uint32, members []group.Member, m move) {
	for _, mem := range members {
		f := mem.Of()
		x.names.change(f.Name, f.Type, slot, m != goes)
		h.each(mem, func(n int, s seriesHash) {
			x.changeSeries(slot, s.view, m)
			if s.empty && !mem.Part.IsUnsent(uint32(n)) {
				x.changeClaim(slot, s.claim, m)
			}
		})
	}
}

// changeOwn adds or removes series of the group's own.
func (x *index) changeOwn(h *groupHash, slot uint32, which, hide group.Own, m move) {
	for _, o := range ownSeries {
		if which&o.own == 0 {
			continue
		}
		s := h.own(o.name)
		x.changeSeries(slot, s.view, m)
		if s.empty && hide&o.own == 0 {
			x.changeClaim(slot, s.claim, m)
		}
	}
}

// ownSeries are the group's own series, in the order in which they are shipped.
var ownSeries = [...]struct {
	own  group.Own
	name string
}{{group.OwnPushTime, group.PushTimeName}, {group.OwnFailTime, group.FailTimeName}}

func (x *index) changeSeries(slot uint32, h uint64, m move) {
	if m != goes {
		x.series.add(h, slot)
		if m == comesUnlike {
			x.series.tolerate(h)
		}
	} else {
		x.series.remove(h, slot)
	}
}

func (x *index) changeClaim(slot uint32, h uint64, m move) {
	if m != goes {
		x.claims.add(h, slot)
	} else {
		x.claims.remove(h, slot)
	}
}

// changeGroup adds a whole version to the index, or removes it. A nil group has
// nothing.
func (x *index) changeGroup(h *hasher, slot uint32, g *group.Group, m move) {
	if g == nil {
		return
	}
	of := h.of(g.Labels)
	x.change(&of, slot, g.Members, m)
	x.changeOwn(&of, slot, g.Shows(), g.Hide, m)
}
