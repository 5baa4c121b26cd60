package web

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/state"
)

// view is what one scrape shows: the groups as of one moment, with all that is said
// of them. It costs 12 bytes for each family of each
// group, and nothing per series.
type view struct {
	groups []*group.Group      // by grouping key
	own    []*dto.MetricFamily // by name
	pushed []pushedFamily      // by name; what groups have unpushed is among them
	now    time.Time
}

// pushedFamily is a family that groups have. Group by group in refs.
type pushedFamily struct {
	name string
	refs []famRef
}

// famRef names one family of one group.
type famRef struct{ group, member uint32 }

// family is one family of the view, from either side or both.
type family struct {
	name     string
	own      *dto.MetricFamily // nil when the gateway has no such family
	unpushed *unpushed         // nil unless groups have it without pushing it
	refs     []famRef          // of the groups that pushed it
	header   *group.Family     // whose help, type and unit are shown; nil with own
}

// newView sorts out what the groups and the gateway itself have. It sorts groups.
func newView(groups []*group.Group, now time.Time, own []*dto.MetricFamily, reserved state.OwnNames) *view {
	v := &view{groups: groups, now: now, own: own}
	slices.SortFunc(v.groups, func(a, b *group.Group) int { return strings.Compare(a.ID, b.ID) })
	v.pushed = v.collect(ownNames(own, reserved))
	slices.SortFunc(v.pushed, func(a, b pushedFamily) int { return strings.Compare(a.name, b.name) })
	return v
}

// ownNames says which pushed families are not shown: those that metrics of the gateway
// itself collide with, or may collide with by another configuration. They were stored when
// it did not have those yet.
func ownNames(own []*dto.MetricFamily, reserved state.OwnNames) state.OwnNames {
	names := state.OwnNames{}
	maps.Copy(names, reserved)
	for _, mf := range own {
		typ, _ := group.TypeOf(mf.GetType())
		names.Add(mf.GetName(), typ)
	}
	names[group.OverdueName] = ^state.TypeSet(0) // whose groups say it themselves
	return names
}

// notShown stands where the number of a family would.
const notShown = math.MaxUint32

// collect finds the families of all groups. It counts first, so that all refs
// fit one allocation.
func (v *view) collect(own state.OwnNames) []pushedFamily {
	ids := make(map[string]uint32)
	var out []pushedFamily
	var count []int
	idOf := func(name string) uint32 {
		id, ok := ids[name]
		if !ok {
			id = uint32(len(out))
			ids[name] = id
			out, count = append(out, pushedFamily{name: name}), append(count, 0)
		}
		return id
	}
	for i := range unpushedFamilies {
		if u := &unpushedFamilies[i]; slices.ContainsFunc(v.groups, u.of) {
			idOf(u.name)
		}
	}
	total := 0
	for _, g := range v.groups {
		total += len(g.Members)
	}
	members := make([]uint32, 0, total) // the family of each member, group by group
	for _, g := range v.groups {
		for _, m := range g.Members {
			f := m.Of()
			if own[f.Name].Has(f.Type) {
				members = append(members, notShown)
				continue
			}
			id := idOf(f.Name)
			members = append(members, id)
			count[id]++
		}
	}
	allot(out, count, total)
	v.fill(out, members)
	return out
}

// allot gives each family room for count refs, total in all.
func allot(fs []pushedFamily, count []int, total int) {
	all := make([]famRef, total)
	for i, n := range count {
		fs[i].refs, all = all[:0:n], all[n:]
	}
}

// fill gives each family its refs, group by group.
func (v *view) fill(fs []pushedFamily, members []uint32) {
	for gi, g := range v.groups {
		for mi := range g.Members {
			if members[mi] == notShown {
				continue
			}
			f := &fs[members[mi]]
			f.refs = append(f.refs, famRef{group: uint32(gi), member: uint32(mi)})
		}
		members = members[len(g.Members):]
	}
}

// each calls fn for each family with series, by name.
func (v *view) each(fn func(*family) error) error {
	own, pushed := v.own, v.pushed
	for len(own) > 0 || len(pushed) > 0 {
		var f family
		order := firstOf(own, pushed)
		if order <= 0 {
			f.name, f.own = own[0].GetName(), own[0]
			own = own[1:]
		}
		if order >= 0 {
			f.name, f.refs, f.unpushed = pushed[0].name, pushed[0].refs, unpushedOf(pushed[0].name)
			pushed = pushed[1:]
			f.header = v.header(&f)
		}
		if err := v.emit(&f, fn); err != nil {
			return err
		}
	}
	return nil
}

// firstOf compares the names of what comes next.
func firstOf(own []*dto.MetricFamily, pushed []pushedFamily) int {
	switch {
	case len(own) == 0:
		return 1
	case len(pushed) == 0:
		return -1
	}
	return strings.Compare(own[0].GetName(), pushed[0].name)
}

// emit passes f on unless it is a family without series: formats without
// samples have no place for those.
func (v *view) emit(f *family, fn func(*family) error) error {
	if f.own == nil && f.header == nil && f.unpushed == nil {
		return nil
	}
	return fn(f)
}

// header picks whose help is shown: that of the oldest group which has one.
func (v *view) header(f *family) *group.Family {
	var best *group.Family
	var born int64
	for _, r := range f.refs {
		g := v.groups[r.group]
		of := g.Members[r.member].Of()
		if len(g.Members[r.member].Metrics()) == 0 {
			continue
		}
		if best == nil || of.HasHelp && !best.HasHelp || of.HasHelp == best.HasHelp && g.Born < born {
			best, born = of, g.Born
		}
	}
	return best
}

// help returns the HELP text of f, if it has one.
func (f *family) help() (string, bool) {
	switch {
	case f.own != nil:
		return f.own.GetHelp(), f.own.Help != nil
	case f.unpushed != nil:
		return f.unpushed.help, true
	}
	return f.header.Help, f.header.HasHelp
}

// unit returns the unit of f, empty for none.
func (f *family) unit() string {
	switch {
	case f.own != nil:
		return f.own.GetUnit()
	case f.header != nil:
		return f.header.Unit
	}
	return ""
}

// kind returns the type of f.
func (f *family) kind() dto.MetricType {
	switch {
	case f.own != nil:
		return f.own.GetType()
	case f.unpushed != nil:
		return dto.MetricType_GAUGE
	}
	return f.header.Type.DTO()
}

// eachSeries calls pushed for each group's part of f, and unpushed for what is said of a
// group that did not push it, in the order of the groups. A group may have pushed a
// push_failure_time_seconds of its own, which then counts; its push_time_seconds never
// does.
func (v *view) eachSeries(f *family, pushed func(*group.Group, group.Member), unpushed func(*group.Group, float64)) {
	if f.unpushed == nil {
		for _, r := range f.refs {
			pushed(v.groups[r.group], v.groups[r.group].Members[r.member])
		}
		return
	}
	refs := f.refs
	for i, g := range v.groups {
		has := len(refs) > 0 && refs[0].group == uint32(i)
		switch {
		case has && f.name == group.FailTimeName:
			pushed(g, g.Members[refs[0].member])
		case f.unpushed.of(g):
			unpushed(g, f.unpushed.value(g, v.now))
		}
		if has {
			refs = refs[1:]
		}
	}
}
