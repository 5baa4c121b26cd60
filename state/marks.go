package state

import (
	"slices"
	"strings"

	"github.com/pushbridge/pushbridge/bigslice"
	"github.com/pushbridge/pushbridge/group"
)

// marks are things of one group that enter the index or leave it: families by name,
// hashes of series, and hashes of claims. They are numbered in this order.
type marks struct {
	names  []group.Member
	series []uint64
	claims []uint64
}

func (m *marks) len() int { return len(m.names) + len(m.series) + len(m.claims) }

// add adds all that members have in the index.
func (m *marks) add(h *groupHash, members []group.Member) {
	m.names = bigslice.AppendAll(m.names, members)
	for _, mem := range members {
		h.each(mem, func(n int, s seriesHash) {
			m.series = bigslice.Append(m.series, s.view)
			if s.empty && !mem.Part.IsUnsent(uint32(n)) {
				m.claims = bigslice.Append(m.claims, s.claim)
			}
		})
	}
}

// addOwn adds series of the group's own.
func (m *marks) addOwn(h *groupHash, which, hide group.Own) {
	for _, o := range ownSeries {
		if which&o.own == 0 {
			continue
		}
		s := h.own(o.name)
		m.series = append(m.series, s.view)
		if s.empty && hide&o.own == 0 {
			m.claims = append(m.claims, s.claim)
		}
	}
}

// cancel takes out of both what both have.
func (m *marks) cancel(o *marks) {
	m.names, o.names = cancelNames(m.names, o.names)
	m.series, o.series = cancelHashes(m.series, o.series)
	m.claims, o.claims = cancelHashes(m.claims, o.claims)
}

// cancelNames returns the families that only a, and only b, has by name and type. Both
// are sorted by name.
func cancelNames(a, b []group.Member) (onlyA, onlyB []group.Member) {
	if len(a) == 0 || len(b) == 0 {
		return a, b
	}
	onlyA, onlyB = make([]group.Member, 0, len(a)), make([]group.Member, 0, len(b))
	for len(a) > 0 && len(b) > 0 {
		x, y := a[0].Of(), b[0].Of()
		order := strings.Compare(x.Name, y.Name)
		if order <= 0 {
			if order < 0 || x.Type != y.Type {
				onlyA = append(onlyA, a[0])
			}
			a = a[1:]
		}
		if order >= 0 {
			if order > 0 || x.Type != y.Type {
				onlyB = append(onlyB, b[0])
			}
			b = b[1:]
		}
	}
	return bigslice.AppendAll(onlyA, a), bigslice.AppendAll(onlyB, b)
}

// cancelHashes returns what only a, and only b, has, in their memory; of what occurs more
// often in one of them, the difference.
func cancelHashes(a, b []uint64) (onlyA, onlyB []uint64) {
	slices.Sort(a)
	slices.Sort(b)
	onlyA, onlyB = a[:0], b[:0] // what is appended there was read
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			onlyA, a = append(onlyA, a[0]), a[1:]
		case a[0] > b[0]:
			onlyB, b = append(onlyB, b[0]), b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
	return append(onlyA, a...), append(onlyB, b...)
}

// exchange is what the index comes to have more of a group, and what less, and how far
// that is. What comes is reserved first, and may be retracted; what is gone is swept out
// once there is no way back.
type exchange struct {
	slot            uint32
	come, gone      marks
	reserved, swept int // how much of come is in the index, and of gone is not
}

// reserveTo puts what comes into the index, as far as the mark with number to.
func (e *exchange) reserveTo(x *index, to int) {
	x.reserve(e.slot, &e.come, e.reserved, to)
	e.reserved = to
}

// retractSome takes n marks out again, and reports whether there are more.
func (e *exchange) retractSome(x *index, n int) (more bool) {
	from := max(0, e.reserved-n)
	x.release(e.slot, &e.come, from, e.reserved)
	e.reserved = from
	return from > 0
}

// sweepSome takes n marks that are gone out, and reports whether there are more.
func (e *exchange) sweepSome(x *index, n int) (more bool) {
	to := min(e.swept+n, e.gone.len())
	x.release(e.slot, &e.gone, e.swept, to)
	e.swept = to
	return to < e.gone.len()
}

// reserve adds the marks with numbers from on, below to.
func (x *index) reserve(slot uint32, m *marks, from, to int) {
	m.each(from, to,
		func(f *group.Family) { x.names.reserve(f.Name, f.Type, slot) },
		func(h uint64) { x.series.add(h, slot) },
		func(h uint64) { x.claims.add(h, slot) })
}

// release removes the marks with numbers from on, below to.
func (x *index) release(slot uint32, m *marks, from, to int) {
	m.each(from, to,
		func(f *group.Family) { x.names.change(f.Name, f.Type, slot, false) },
		func(h uint64) { x.series.remove(h, slot) },
		func(h uint64) { x.claims.remove(h, slot) })
}

func (m *marks) each(from, to int, name func(*group.Family), series, claim func(uint64)) {
	for n := from; n < to; n++ {
		i, j := n-len(m.names), n-len(m.names)-len(m.series)
		switch {
		case i < 0:
			name(m.names[n].Of())
		case j < 0:
			series(m.series[i])
		default:
			claim(m.claims[j])
		}
	}
}
