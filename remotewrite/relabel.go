package remotewrite

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

const (
	nameLabel      = "__name__"
	reservedPrefix = "__"
)

// relabeler gives series their final labels. Not safe for concurrent use; what
// it returns is good until reset.
type relabeler struct {
	external []group.Label // sorted by name
	rules    []*relabel.Config
	escape   model.EscapingScheme // model.NoEscaping: as is

	scratch labels.ScratchBuilder
	builder *labels.Builder
	arena   arena
	buf     []group.Label
}

func newRelabeler(external group.Labels, rules []*relabel.Config, escape model.EscapingScheme) *relabeler {
	r := &relabeler{rules: rules, escape: escape, builder: labels.NewBuilder(labels.EmptyLabels())}
	for _, l := range external {
		if l.Value != "" {
			r.external = append(r.external, l)
		}
	}
	return r
}

// all relabels series in place and returns those that are left. It counts the
// others.
func (r *relabeler) all(series []convert.Series, dropped *outcome) []convert.Series {
	kept := series[:0]
	for i := range series {
		l, why, ok := r.one(series[i].Labels)
		if !ok {
			dropped[why]++
			continue
		}
		kept = keep(kept, series, i)
		kept[len(kept)-1].Labels = l
	}
	return kept
}

// keep moves series[i] to the end of kept, which is what is kept of those before it, in the
// same memory.
func keep(kept, series []convert.Series, i int) []convert.Series {
	if len(kept) < i {
		return append(kept, series[i])
	}
	return series[:i+1]
}

// reset takes back the memory of all labels handed out.
func (r *relabeler) reset() { r.arena.reset() }

// one returns the final labels of l: external labels first, then the rules, then
// what rules L-1 and L-2 want of them. l is sorted and not changed.
func (r *relabeler) one(l []group.Label) (out []group.Label, why reason, ok bool) {
	if len(r.rules) == 0 && r.escape == model.NoEscaping {
		return r.withExternal(l), 0, true
	}
	out = r.buf[:0]
	if len(r.rules) == 0 {
		out = append(out, r.withExternal(l)...)
	} else {
		r.start(l)
		if !relabel.ProcessBuilder(r.builder, r.rules...) {
			return nil, droppedSeries, false
		}
		r.builder.Range(func(p labels.Label) { out = append(out, group.Label{Name: p.Name, Value: p.Value}) })
	}
	r.buf = out
	out, why, ok = r.clean(out)
	if !ok {
		return nil, why, false
	}
	return r.arena.copy(out), 0, true
}

// start loads l and the external labels that it lacks into the builder.
func (r *relabeler) start(l []group.Label) {
	r.scratch.Reset()
	for _, p := range l {
		r.scratch.Add(p.Name, p.Value)
	}
	for _, p := range r.external {
		if !slices.ContainsFunc(l, func(o group.Label) bool { return o.Name == p.Name }) {
			r.scratch.Add(p.Name, p.Value)
		}
	}
	r.scratch.Sort()
	r.builder.Reset(r.scratch.Labels()) // not Overwrite: the strings outlive this call
}

// withExternal merges l with the external labels; those of l win (rule L-5).
// Reserved names are left out.
func (r *relabeler) withExternal(l []group.Label) []group.Label {
	if len(r.external) == 0 && !slices.ContainsFunc(l, reserved) {
		return l
	}
	out := r.arena.reserve(len(l) + len(r.external))
	for i, j := 0, 0; i < len(l) || j < len(r.external); {
		var p group.Label
		switch {
		case j == len(r.external) || i < len(l) && l[i].Name < r.external[j].Name:
			p = l[i]
			i++
		case i == len(l) || l[i].Name > r.external[j].Name:
			p = r.external[j]
			j++
		default:
			p = l[i]
			i++
			j++
		}
		if !reserved(p) {
			out = append(out, p)
		}
	}
	return r.arena.keep(len(out))
}

// reserved says whether a label never leaves the process (rule L-2).
func reserved(l group.Label) bool {
	return len(l.Name) > 1 && l.Name[0] == '_' && l.Name[1] == '_' && l.Name != nameLabel
}

// clean makes what the rules left a label set that may be sent: sorted, no name
// twice, none empty, none reserved, UTF-8, with a metric name.
func (r *relabeler) clean(l []group.Label) ([]group.Label, reason, bool) {
	l = slices.DeleteFunc(l, func(p group.Label) bool { return p.Name == "" || p.Value == "" || reserved(p) })
	named := false
	for i := range l {
		p := &l[i]
		if !utf8.ValidString(p.Name) || !utf8.ValidString(p.Value) {
			return nil, invalidLabel, false
		}
		if p.Name == nameLabel {
			named = true
			p.Value = model.EscapeName(p.Value, r.escape)
		} else {
			p.Name = model.EscapeName(p.Name, r.escape)
		}
	}
	if !named {
		return nil, noName, false
	}
	slices.SortStableFunc(l, func(a, b group.Label) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(l, func(a, b group.Label) bool { return a.Name == b.Name }), 0, true
}

// arena hands out label slices and takes them all back at once.
type arena struct {
	blocks [][]group.Label
	used   int
	free   []group.Label
}

const (
	arenaBlock = 4096
	arenaKept  = 16
)

// reserve returns an empty slice with room for n, to be followed by keep.
func (a *arena) reserve(n int) []group.Label {
	if len(a.free) < n {
		a.grow(n)
	}
	return a.free[:0:n]
}

func (a *arena) grow(n int) {
	if n > arenaBlock {
		a.free = make([]group.Label, n)
		return
	}
	if a.used == len(a.blocks) {
		a.blocks = append(a.blocks, make([]group.Label, arenaBlock))
	}
	a.free = a.blocks[a.used]
	a.used++
}

// keep returns the first n labels of what was reserved.
func (a *arena) keep(n int) []group.Label {
	out := a.free[:n:n]
	a.free = a.free[n:]
	return out
}

func (a *arena) copy(l []group.Label) []group.Label {
	copy(a.reserve(len(l))[:len(l)], l)
	return a.keep(len(l))
}

func (a *arena) reset() {
	for _, b := range a.blocks[:a.used] {
		clear(b)
	}
	if len(a.blocks) > arenaKept {
		clear(a.blocks[arenaKept:])
		a.blocks = a.blocks[:arenaKept]
	}
	a.used, a.free = 0, nil
}
