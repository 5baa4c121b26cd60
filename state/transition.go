package state

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/pushbridge/pushbridge/bigslice"
	"github.com/pushbridge/pushbridge/group"
)

// transition is what one record does to one group, while it is being worked
// out: what it replaces and what it brings.
type transition struct {
	kind     group.Kind
	slot     uint32
	hash     groupHash      // of the group
	old      *group.Group   // nil when there was none
	part     *group.Part    // nil for a refused push and a deletion
	replaced []group.Member // of old
	shows    group.Own      // own series that the group shows afterwards
	hide     group.Own      // own series that it does not deliver afterwards
	unsent   []uint32       // numbers of the metrics of part that it does not deliver
}

// labels are those of the group.
func (t *transition) labels() group.Labels { return t.hash.key }

// newTransition says what a push replaces.
func newTransition(of groupHash, kind group.Kind, old *group.Group, part *group.Part) transition {
	t := transition{kind: kind, hash: of, old: old, part: part, shows: group.OwnPushTime | group.OwnFailTime}
	if of.key.IsJob() {
		t.shows = 0
	}
	if old != nil {
		for _, m := range old.Members {
			if t.replaces(m.Of().Name) {
				t.replaced = bigslice.Append(t.replaced, m)
			} else if m.Of().Name == group.FailTimeName {
				t.shows = group.OwnPushTime
			}
		}
	}
	if part != nil && part.Shape.Has(group.FailTimeName) {
		t.shows = group.OwnPushTime
	}
	return t
}

// replaces reports whether the family of that name, if the group has it, ends
// or is replaced.
func (t *transition) replaces(name string) bool {
	switch {
	case t.part != nil && t.part.Shape.Has(name):
		return true
	case name == group.FailTimeName:
		return t.kind == group.KindFail // a family that was pushed stays until then, as in Pushgateway
	default:
		return t.kind == group.KindPut
	}
}

func (t *transition) replacedMember(name string) (group.Member, bool) {
	i, ok := slices.BinarySearchFunc(t.replaced, name, func(m group.Member, n string) int { return strings.Compare(m.Of().Name, n) })
	if !ok {
		return group.Member{}, false
	}
	return t.replaced[i], true
}

// ownStays reports whether the group had that series before and delivered it.
func (t *transition) ownStays(o group.Own) bool {
	return t.old != nil && t.old.Shows()&o != 0 && t.old.Hide&o == 0
}

// checkGrouping refuses grouping labels that a component of a pushed family has
// itself.
func (t *transition) checkGrouping() error {
	for i := range t.part.Shape.Families() {
		f := &t.part.Shape.Families()[i]
		label := f.Type.ReservedLabel()
		if label == "" || f.Count() == 0 {
			continue
		}
		if _, ok := t.labels().Lookup(label); ok {
			return &group.InvalidError{Family: f.Name, Err: fmt.Errorf("a %s must not have an explicit %q label", f.Type, label)}
		}
	}
	return nil
}

// noSlot is the owner number of a group that is not there yet.
const noSlot = math.MaxUint32

// sameSeries reports whether r leaves every series of the group as it is, shown
// and delivered, and only changes values: the usual push. That the group has all series of
// a record with some is for the caller to know.
func sameSeries(old *group.Group, r *group.Record) bool {
	if old == nil || old.Hide != 0 || (old.Expect > 0) != (r.Expect > 0) {
		return false
	}
	if r.Merge.Some || r.Kind == group.KindFail {
		return true
	}
	if r.Kind == group.KindPut && len(r.Members) != len(old.Members) || r.Part.Times != nil {
		return false
	}
	i := 0
	for _, m := range r.Members {
		name := m.Of().Name
		for i < len(old.Members) && old.Members[i].Of().Name < name {
			i++
		}
		if i == len(old.Members) {
			return false
		}
		o := old.Members[i]
		if o.Part.Shape != m.Part.Shape || o.Family != m.Family || o.Part.Unsent != nil || o.Part.Times != nil {
			return false
		}
	}
	return true
}

// apply brings the index in step with a transition.
func (x *index) apply(t *transition, r *group.Record, come move) {
	h := &t.hash
	x.change(h, t.slot, t.replaced, goes)
	if t.old == nil {
		x.changeOwn(h, t.slot, t.shows, t.hide, come)
	} else if shows := t.old.Shows(); shows != t.shows || t.old.Hide != t.hide {
		x.changeOwn(h, t.slot, shows, t.old.Hide, goes)
		x.changeOwn(h, t.slot, t.shows, t.hide, come)
	}
	x.change(h, t.slot, r.Members, come)
}
