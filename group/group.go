package group

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/bigslice"
)

// Group is one version of a group. It never changes: a change makes another.
type Group struct {
	ID      string
	Labels  Labels
	Members []Member // sorted by family name
	Push    int64    // last successful push in ns since the epoch, 0 for never
	Fail    int64    // last refused push in ns since the epoch, 0 for never
	TTL     int64    // in ns, 0 for ever
	Expect  int64    // how often it is expected to be pushed, in ns; 0: nobody knows
	Born    int64    // assigned timestamp in ms of the record that made the group
	Last    int64    // assigned timestamp in ms of the last record
	Seq     uint64   // of the last record in the log; set when it is committed
	Pushes  uint64   // how many were added up, see Merge; 0: each takes the place of the one before
	Hide    Own      // own series that are not delivered, see Record

	samples int // of Members
}

// Member returns the member for the family of that name.
func (g *Group) Member(name string) (Member, bool) {
	i, ok := g.find(name)
	if !ok {
		return Member{}, false
	}
	return g.Members[i], true
}

func (g *Group) find(name string) (int, bool) { return findMember(g.Members, name) }

func findMember(members []Member, name string) (int, bool) {
	return slices.BinarySearchFunc(members, name, func(m Member, n string) int { return strings.Compare(m.Of().Name, n) })
}

// Shows returns which of its own series the group shows: a family that was
// pushed as push_failure_time_seconds stands in for the group's own. Nobody pushes to
// the groups of expected jobs.
func (g *Group) Shows() Own {
	if g.Labels.IsJob() {
		return 0
	}
	if _, ok := g.find(FailTimeName); ok {
		return OwnPushTime
	}
	return OwnPushTime | OwnFailTime
}

// LastPushSuccessful reports whether no push was refused since the last
// successful one.
func (g *Group) LastPushSuccessful() bool { return g.Push > g.Fail }

// Samples returns how many samples the group's members expand to.
func (g *Group) Samples() int { return g.samples }

// Expires returns when the group ends of itself; ok is false when it does not, or not
// in the time that nanoseconds since 1970 can tell.
func (g *Group) Expires() (t time.Time, ok bool) {
	if g.TTL <= 0 || g.Push == 0 || g.TTL > math.MaxInt64-g.Push {
		return time.Time{}, false
	}
	return time.Unix(0, g.Push).Add(time.Duration(g.TTL)), true
}

// ShipsOverdue reports whether the group has the series pushbridge_group_overdue.
func (g *Group) ShipsOverdue() bool { return ShipsOverdue(g.Expect, g.Hide) }

// Overdue reports whether the group was expected to be pushed by now and was not.
func (g *Group) Overdue(now time.Time) bool { return Overdue(now.UnixNano(), g.Push, g.Expect) }

// Next returns the version of g (nil when there is none) after r, nil when r
// ends it. It is all that a restart needs to get the state back from the log.
func (g *Group) Next(r *Record, t *Shapes) *Group {
	if r.Kind == KindDelete {
		return nil
	}
	n := &Group{Push: r.Push, Fail: r.Fail, TTL: r.TTL, Expect: r.Expect, Last: r.Time, Hide: r.Hide, Pushes: r.Merge.Pushes}
	var old []Member
	if g != nil {
		n.ID, n.Labels, n.Born, old = g.ID, g.Labels, g.Born, g.Members
	} else {
		n.ID, n.Labels = r.Labels.own()
		n.Born = r.Time
	}
	if r.Merge.Some {
		n.Members = r.foldSome(old, t)
		if g != nil && sameShapes(old, n.Members) {
			n.samples = g.samples
			return n
		}
	} else {
		n.Members = r.fold(old, t)
	}
	if len(old) > 0 && len(n.Members) == len(old) && &n.Members[0] == &old[0] {
		n.samples = g.samples // all stays, however much it is
		return n
	}
	for _, m := range n.Members {
		n.samples += m.Samples()
	}
	return n
}

// fold returns the members of a group after r.
func (r *Record) fold(old []Member, t *Shapes) []Member {
	switch r.Kind {
	case KindPut:
		i, had := findMember(old, FailTimeName)
		if _, has := findMember(r.Members, FailTimeName); has || !had {
			return r.Members
		}
		return compact(merge(old[i:i+1], r.Members), old, t)
	case KindPost:
		if len(r.Members) == 0 {
			return old
		}
		return compact(merge(old, r.Members), old, t)
	case KindFail:
		if _, had := findMember(old, FailTimeName); had {
			return compact(slices.DeleteFunc(slices.Clone(old), isFailTime), old, t)
		}
		return old
	case KindDelete, KindClock, KindRefresh:
	}
	return old
}

func isFailTime(m Member) bool { return m.Of().Name == FailTimeName }

// merge returns the members of both, sorted by name; of the same name those in
// pushed.
func merge(old, pushed []Member) []Member {
	out := make([]Member, 0, len(old)+len(pushed))
	for len(old) > 0 && len(pushed) > 0 {
		switch c := strings.Compare(old[0].Of().Name, pushed[0].Of().Name); {
		case c < 0:
			out, old = append(out, old[0]), old[1:]
		case c > 0:
			out, pushed = append(out, pushed[0]), pushed[1:]
		default:
			out, old, pushed = append(out, pushed[0]), old[1:], pushed[1:]
		}
	}
	return bigslice.AppendAll(bigslice.AppendAll(out, old), pushed)
}

// compact replaces the parts of which less than half of the values are still
// in use, so that a family that stays while its siblings are replaced does not
// keep them in memory. before are the members of the version before.
func compact(members, before []Member, t *Shapes) []Member {
	live := map[*Part]int{}
	for _, m := range before {
		live[m.Part] = 0
	}
	for _, m := range members {
		if n, ok := live[m.Part]; ok {
			live[m.Part] = n + m.values()
		}
	}
	for p, n := range live {
		if n > 0 && 2*n < p.Shape.values {
			replacePart(members, p, t)
		}
	}
	return members
}

// values returns the number of m's slots in the value column.
func (m Member) values() int {
	n := 0
	for i, metrics := 0, m.Metrics(); i < len(metrics); i++ {
		n += metrics[i].slots()
	}
	return n
}

// replacePart replaces p by a part that has only its families among members.
func replacePart(members []Member, p *Part, t *Shapes) {
	b := builders.Get().(*Builder)
	defer builders.Put(b)
	for _, m := range members {
		if m.Part == p {
			b.copyFamily(m)
		}
	}
	n := b.copied(p.Time, p.Pushed)
	n.Shape = t.Share(n.Shape)
	family := uint32(0)
	for i, m := range members {
		if m.Part == p {
			members[i] = Member{Part: n, Family: family}
			family++
		}
	}
}

// copied returns the part that was copied together.
func (b *Builder) copied(time, pushed int64) *Part {
	n := b.Part()
	n.Time, n.Pushed, n.Unsent, n.Late = time, pushed, slices.Clip(b.unsent), slices.Clip(b.late)
	b.unsent, b.late = nil, nil
	return n
}

// copyFamily adds m's family to the part being built.
func (b *Builder) copyFamily(m Member) {
	b.FamilyAs(m.Of())
	b.copyMetrics(m, func(uint32) bool { return true })
}

// FamilyAs begins a family as f is.
func (b *Builder) FamilyAs(f *Family) {
	b.Family(f.Name, f.Type)
	if f.HasHelp {
		b.Help(f.Help)
	}
	b.Unit(f.Unit)
}

// copyMetrics adds those metrics of m that are wanted, by their numbers.
func (b *Builder) copyMetrics(m Member, wanted func(number uint32) bool) {
	f, s := m.Of(), m.Part.Shape
	var labels []Label
	for n := f.first; n < f.first+f.count; n++ {
		if !wanted(n) {
			continue
		}
		metric := &s.metrics[n]
		labels = s.AppendLabels(labels[:0], metric)
		b.Metric(metric.Form, labels, s.Bounds(metric), m.Part.ValuesOf(metric)...)
		b.copyColumns(m.Part, n)
	}
}

func (b *Builder) copyColumns(p *Part, number uint32) {
	if n := p.NativeOf(&p.Shape.metrics[number]); n != nil {
		b.Native(*n)
	}
	for _, e := range p.ExemplarsOf(number) {
		b.Exemplar(e)
	}
	if c, ok := p.CreatedOf(number); ok {
		b.Created(c.Seconds, c.Nanos)
	}
	if p.Times != nil && p.Times[number] != NoTime {
		b.Time(p.Times[number])
	}
	if l, ok := p.LateOf(number); ok {
		b.late = append(b.late, Late{Metric: uint32(len(b.shape.metrics) - 1), Newest: l.Newest})
	}
	if p.IsUnsent(number) {
		b.unsent = append(b.unsent, uint32(len(b.shape.metrics)-1))
	}
}

// IsUnsent reports whether another series owns the delivery identity of the
// metric with that number in the shape.
func (p *Part) IsUnsent(number uint32) bool {
	if len(p.Unsent) == 0 {
		return false
	}
	_, ok := slices.BinarySearch(p.Unsent, number)
	return ok
}

// own returns l's ID, and l with all of its strings inside that ID: a group
// then holds one piece of memory, and nothing of the request that made it.
func (l Labels) own() (string, Labels) {
	id := l.ID()
	out, at := make(Labels, len(l)), 0
	for i, p := range l {
		name := at + len(p.Name)
		value := name + 1 + len(p.Value)
		out[i] = Label{id[at:name], id[name+1 : value]}
		at = value + 1
	}
	return id, out
}
