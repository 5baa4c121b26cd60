package state

import (
	"slices"

	"github.com/pushbridge/pushbridge/group"
)

// pending is the newest version of every group, whether it is kept already or not, with
// the index of them all: what the next change is checked against. While no change is
// being made, and but for Bulk, the index holds exactly what the groups have, and what a
// large change has reserved. Whoever sets a version changes the index with it.
//
// The store's lock guards it.
type pending struct {
	table
	index   index
	hash    hasher
	gateway []OwnFamily // its own metrics; set once, before the first change
	strict  bool        // Options.CheckConsistency: without, a view that is not consistent is what was asked for
}

func (p *pending) reset() {
	p.table.reset()
	p.index = newIndex()
}

// reindex makes the index anew.
func (p *pending) reindex() {
	p.index = newIndex()
	p.addGateway()
	for e := range p.all() {
		p.index.changeGroup(&p.hash, e.slot, e.pending, comes)
	}
	p.settle()
}

// addGateway puts the gateway's own metrics into the index.
func (p *pending) addGateway() {
	if p.strict {
		p.index.names.setOwn(p.gateway)
	}
	for _, f := range p.gateway {
		p.index.addGateway(&p.hash, f)
	}
}

// takeBack makes what is committed the newest version of these groups again.
func (p *pending) takeBack(entries []*entry) {
	for _, e := range entries {
		p.index.changeGroup(&p.hash, e.slot, e.pending, goes)
	}
	for _, e := range entries {
		p.index.changeGroup(&p.hash, e.slot, e.committed, comes)
		p.set(e, e.committed)
		p.drop(e)
	}
	p.settle()
}

// settle looks at the hashes that have several owners after groups were added without
// a check. There are none as a rule.
func (p *pending) settle() {
	for h := range p.index.series.more {
		if p.allDiffer(h) {
			p.index.series.tolerate(h)
		}
	}
}

// allDiffer reports whether the series with hash h are really different ones.
func (p *pending) allDiffer(h uint64) bool {
	seen := map[string]bool{}
	for _, slot := range p.index.series.ownersOf(h) {
		for _, name := range p.seriesWithHash(slot, h) {
			if seen[name] {
				return false
			}
			seen[name] = true
		}
	}
	return true
}

// seriesWithHash returns the identities of a slot's series whose hash is h.
func (p *pending) seriesWithHash(slot uint32, h uint64) []string {
	if slot == gatewaySlot {
		return p.gatewayWithHash(h)
	}
	g := p.slots[slot].pending
	of := p.hash.of(g.Labels)
	var out []string
	for _, m := range g.Members {
		of.each(m, func(n int, k seriesHash) {
			if k.view == h {
				shape := m.Part.Shape
				out = append(out, group.BriefMetric(m.Of().Name, g.Labels.AppendView(nil, shape, &shape.All()[n])))
			}
		})
	}
	for _, o := range ownSeries {
		if of.own(o.name).view == h && g.Shows()&o.own != 0 {
			out = append(out, group.BriefMetric(o.name, withInstance(g.Labels)))
		}
	}
	return out
}

func (p *pending) gatewayWithHash(h uint64) []string {
	var out []string
	for _, f := range p.gateway {
		for _, l := range f.Series {
			if of := p.hash.of(l); of.own(f.Name).view == h {
				out = append(out, group.BriefMetric(f.Name, withInstance(l)))
			}
		}
	}
	return out
}

// gatewayHas reports whether the gateway itself exposes a series. It is scraped,
// not delivered, so it owns no delivery identity.
func (p *pending) gatewayHas(name string, labels []group.Label, delivered bool) bool {
	if delivered {
		return false
	}
	return slices.ContainsFunc(p.gateway, func(f OwnFamily) bool {
		return f.Name == name && slices.ContainsFunc(f.Series, func(l group.Labels) bool { return slices.Equal(withInstance(l), labels) })
	})
}

// withInstance returns l as a view identifies it: with an instance label.
func withInstance(l group.Labels) []group.Label { return l.AppendView(nil, nil, &group.Metric{}) }

// groupWithFamily returns the key of a group that has a family, nil for none.
func (p *pending) groupWithFamily(f typedName) group.Labels {
	for e := range p.all() {
		if e.pending == nil {
			continue
		}
		if m, ok := e.pending.Member(f.name); ok && m.Of().Type == f.typ {
			return e.pending.Labels
		}
	}
	return nil
}

// groupWithName finds a group with a family of that name, but for the one in slot, for
// a message. It looks at few groups, and returns nil when none of those has it.
func (p *pending) groupWithName(name string, slot uint32) group.Labels {
	has := func(e *entry) bool {
		if e == nil || e.pending == nil || e.slot == slot {
			return false
		}
		_, ok := e.pending.Member(name)
		return ok
	}
	if e := p.slots[p.index.names.byName[name].slot]; has(e) {
		return e.pending.Labels
	}
	tries := 1000
	for _, e := range p.entries {
		if has(e) {
			return e.pending.Labels
		}
		if tries--; tries == 0 {
			break
		}
	}
	return nil
}

// comes says how what was checked enters the index.
func (p *pending) comes() move {
	if p.strict {
		return comesUnlike
	}
	return comes
}
