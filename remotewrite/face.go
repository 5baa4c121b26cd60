package remotewrite

import (
	"hash/maphash"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

// face is what a group's pushes of one shape look like at a destination: the final
// labels of each series, or why it is not sent. Jobs push the same series again and
// again, so this is worked out once.
type face struct {
	faceKey
	series []faceSeries // one for each that convert.Append makes, in order
	bytes  int64
	used   bool // since the last sweep
	unlike bool // no two of those that are sent have the same labels

	symbols int // see number
}

// faceKey is what decides the label sets that convert.Append makes, and their order.
type faceKey struct {
	labels  group.Labels
	members []group.Member // shape and family count, the values do not
	hide    group.Own
	overdue bool
	options convert.Options
}

type faceSeries struct {
	convert.Known
	labels  []group.Label
	dropped bool
	why     reason
}

// faceRoom is the memory that the faces of a destination may take, those of all its
// shards together.
type faceRoom struct {
	max  int64 // bytes
	held atomic.Int64
}

const facesBytes = 16 << 20

// take takes n bytes, if they are left.
func (r *faceRoom) take(n int64) bool {
	if r.held.Add(n) <= r.max {
		return true
	}
	r.held.Add(-n)
	return false
}

// has reports whether n bytes are left.
func (r *faceRoom) has(n int64) bool { return r.held.Load()+n <= r.max }

// faces are those that a shard knows. It belongs to the goroutine that runs the shard.
//
// What does not fit into the room any more goes the long way, until a sweep finds
// that others were not used for long: to replace one that is used by one that is
// used just as often would cost more than it saves. Where something waits for room, the next sweep
// is not far.
type faces struct {
	room  *faceRoom
	known map[uint64]*face
	met   map[uint64]int64 // seen once; the bytes of its face, if that did not fit
	next  int              // records until the next sweep
}

const (
	facesMet   = 1 << 12 // hashes in met
	facesSweep = 16      // records for each face between two sweeps
)

func newFaces(room *faceRoom) *faces {
	return &faces{room: room, known: map[uint64]*face{}, met: map[uint64]int64{}, next: facesMet}
}

// keyOf returns what a face of r goes by. ok is false where one cannot be used.
func keyOf(r *group.Record, o convert.Options) (k faceKey, ok bool) {
	if len(r.Members) == 0 {
		return k, false
	}
	for i := range r.Members {
		if len(r.Members[i].Part.Unsent) > 0 {
			return k, false
		}
	}
	return faceKey{labels: r.Labels, members: r.Members, hide: r.Hide, overdue: r.ShipsOverdue(), options: o}, true
}

func (k *faceKey) hash() uint64 {
	first := &k.members[0]
	return hashLabels(k.labels) ^ maphash.Comparable(hashSeed(), first.Part.Shape)*(uint64(first.Family)+1) + uint64(len(k.members))
}

func (k *faceKey) equal(o *faceKey) bool {
	return k.hide == o.hide && k.overdue == o.overdue && k.options == o.options && slices.Equal(k.labels, o.labels) &&
		slices.EqualFunc(k.members, o.members, func(a, b group.Member) bool {
			return a.Part.Shape == b.Part.Shape && a.Family == b.Family
		})
}

// find returns the face of k, which has hash h. Where there is none, learn says that
// one is to be made: the second time that a record comes.
func (f *faces) find(k *faceKey, h uint64) (found *face, learn bool) {
	if f.next--; f.next < 0 {
		f.sweep()
	}
	if x := f.known[h]; x != nil && x.equal(k) {
		x.used = true
		return x, false
	}
	bytes, again := f.met[h]
	switch {
	case !again:
		if len(f.met) == facesMet {
			clear(f.met)
		}
		f.met[h] = 0
		return nil, false
	case bytes > f.room.max:
		return nil, false // whatever makes room
	case !f.room.has(bytes):
		f.next = min(f.next, facesSweep*len(f.known))
		return nil, false
	}
	return nil, true
}

// learn makes the face of k from what was converted, before relabelling, and keeps it
// if there is room.
func (f *faces) learn(k *faceKey, h uint64, series []convert.Series, r *relabeler) *face {
	x := newFace(k, series, r)
	f.drop(h)
	if !f.room.take(x.bytes) {
		f.met[h] = x.bytes
		return x
	}
	x.used = true
	f.known[h] = x
	delete(f.met, h)
	return x
}

func (f *faces) drop(h uint64) {
	if x := f.known[h]; x != nil {
		f.room.held.Add(-x.bytes)
		delete(f.known, h)
	}
}

// sweep forgets the faces that were not used since the last one.
func (f *faces) sweep() {
	for h, x := range f.known {
		if !x.used {
			f.drop(h)
		}
		x.used = false
	}
	f.next = facesSweep*len(f.known) + facesMet
}

// newFace relabels series and keeps the outcome, in memory of its own.
func newFace(k *faceKey, series []convert.Series, r *relabeler) *face {
	x := &face{faceKey: *k, series: make([]faceSeries, len(series))}
	x.members = make([]group.Member, len(k.members))
	for i, m := range k.members {
		x.members[i] = group.Member{Part: &group.Part{Shape: m.Part.Shape}, Family: m.Family} // without the values
	}
	for i := range series {
		s := &x.series[i]
		l, why, ok := r.one(series[i].Labels)
		if !ok {
			s.dropped, s.why = true, why
			continue
		}
		s.labels = slices.Clone(l)
		s.Hash, s.Size = hashLabels(l), sizeLabels1(l)
	}
	if k.options.Typed {
		x.number()
	} else {
		x.write()
	}
	x.bytes = x.size(len(r.rules) > 0)
	x.unlike = x.allUnlike()
	return x
}

// write keeps the bytes of labels in 1.0.
func (x *face) write() {
	for i := range x.series {
		if s := &x.series[i]; !s.dropped {
			s.Wire = appendLabels1(make([]byte, 0, s.Size), s.labels)
		}
	}
}

// number keeps which texts labels consist of, if there are so few that a byte can tell which: of a
// record with more, requests come again as a whole, see template.
func (x *face) number() {
	var symbols []string
	places := map[string]int{}
	place := func(text string) byte {
		at, ok := places[text]
		if !ok {
			at = len(symbols)
			places[text], symbols = at, append(symbols, text)
		}
		return byte(at)
	}
	wires := make([][]byte, len(x.series))
	for i := range x.series {
		l := x.series[i].labels
		wires[i] = make([]byte, 0, 2*len(l))
		for j := range l {
			wires[i] = append(wires[i], place(l[j].Name), place(l[j].Value))
		}
		if len(symbols) > 1<<8 {
			return
		}
	}
	symbols = slices.Clip(symbols)
	for i := range x.series {
		x.series[i].Wire, x.series[i].Symbols = wires[i], &symbols
	}
	x.symbols = len(symbols)
}

// allUnlike may say no where a hash comes twice.
func (x *face) allUnlike() bool {
	hashes := make(map[uint64]struct{}, len(x.series))
	sent := 0
	for i := range x.series {
		if s := &x.series[i]; !s.dropped {
			hashes[s.Hash] = struct{}{}
			sent++
		}
	}
	return len(hashes) == sent
}

// size is what x takes, about. The shape is the state's too, and so is the text of
// labels, but that of which relabelling made new strings.
func (x *face) size(made bool) int64 {
	n := unsafe.Sizeof(*x) + uintptr(len(x.members))*(unsafe.Sizeof(group.Member{})+unsafe.Sizeof(group.Part{}))
	n += uintptr(x.symbols) * unsafe.Sizeof("")
	for i := range x.series {
		s := &x.series[i]
		n += unsafe.Sizeof(*s) + uintptr(len(s.labels))*unsafe.Sizeof(group.Label{}) + uintptr(len(s.Wire))
		if made {
			n += uintptr(s.Size)
		}
	}
	return int64(n)
}

// dress gives series[from:], which convert.AppendBare made, their final labels, and
// leaves out those that are not sent.
func (x *face) dress(series []convert.Series, from int, dropped *outcome) []convert.Series {
	if len(series)-from != len(x.series) {
		panic("remotewrite: a face of another record")
	}
	kept := series[:from]
	for i := range x.series {
		s := &x.series[i]
		if s.dropped {
			dropped[s.why]++
			continue
		}
		kept = keep(kept, series, from+i)
		last := &kept[len(kept)-1]
		last.Labels, last.Known = s.labels, &s.Known
	}
	return kept
}
