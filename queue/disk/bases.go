package disk

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/pushbridge/pushbridge/queue"
)

// Records that are alike are written whole once, and then as the difference to that one,
// which is their base and in the same segment. So a segment can be read by itself, and
// go by itself. A base is used maxUses times at most: so many records are lost with it
// when it is damaged.
const (
	maxUses      = 64
	maxBaseBytes = 16 * mib // encoded, of all bases that the writer has
)

// bases are what the writer has of the segment that it writes.
type bases struct {
	alike map[any]*written
	size  atomic.Int64
}

// written is a base.
type written struct {
	base *queue.Base
	seq  uint64
	size int64
	uses int
}

// use returns the base for a record that is alike; nil: it is written whole, and should
// be noted.
func (b *bases) use(alike any) *written {
	w := b.alike[alike]
	if w == nil || w.uses == maxUses {
		return nil
	}
	w.uses++
	return w
}

// note makes a record that was written whole, in so many bytes, the base of those to come.
// It reports whether it is one. To make room others go, whichever come first.
func (b *bases) note(alike any, base *queue.Base, seq uint64, size int64) bool {
	b.drop(alike)
	if size > maxBaseBytes/4 {
		return false
	}
	for other := range b.alike {
		if b.size.Load()+size <= maxBaseBytes {
			break
		}
		b.drop(other)
	}
	if b.alike == nil {
		b.alike = map[any]*written{}
	}
	b.alike[alike] = &written{base: base, seq: seq, size: size}
	b.size.Add(size)
	return true
}

func (b *bases) drop(alike any) {
	if w := b.alike[alike]; w != nil {
		b.size.Add(-w.size)
		delete(b.alike, alike)
	}
}

// clear forgets all: the segment has ended.
func (b *bases) clear() {
	b.alike = nil
	b.size.Store(0)
}

// errNoBase says why a record is lost whose own bytes are good.
var errNoBase = errors.New("the record that it differs from is damaged")

// splitDiff returns the sequence of the base of f, and the difference.
func splitDiff(f *frame) (base uint64, diff []byte, err error) {
	back, n := binary.Uvarint(f.payload)
	if n <= 0 || back == 0 || back >= f.seq {
		return 0, nil, errNoBase
	}
	return f.seq - back, f.payload[n:], nil
}

// placed is where the base with that sequence stands in its segment.
type placed struct {
	seq    uint64
	offset int64
}

// maxKeptBases bounds what a tail keeps of bases that it has read, in bytes as they are
// written: one at least.
const maxKeptBases = 4 * mib

// readBases are the bases of the segment that a tail is in.
type readBases struct {
	placed []placed // in order
	kept   map[uint64]*queue.Base
	size   int64 // of kept
}

// see notes a frame that was passed.
func (r *readBases) see(f *frame) {
	if f.flags&flagBase != 0 && (len(r.placed) == 0 || f.seq > r.placed[len(r.placed)-1].seq) {
		r.placed = append(r.placed, placed{f.seq, f.offset})
	}
}

// find returns where a base stands. One that is damaged was not passed.
func (r *readBases) find(seq uint64) (offset int64, ok bool) {
	i, ok := slices.BinarySearchFunc(r.placed, seq, func(p placed, seq uint64) int { return cmp.Compare(p.seq, seq) })
	if !ok {
		return 0, false
	}
	return r.placed[i].offset, true
}

// check returns an error when f is a difference to what was not passed.
func (r *readBases) check(f *frame) error {
	if f.kind != kindDiff {
		return nil
	}
	seq, _, err := splitDiff(f)
	if _, ok := r.find(seq); err == nil && !ok {
		err = errNoBase
	}
	return err
}

func (r *readBases) keep(seq uint64, b *queue.Base, size int64) {
	if r.kept == nil || r.size+size > maxKeptBases {
		r.kept, r.size = map[uint64]*queue.Base{}, 0
	}
	r.kept[seq] = b
	r.size += size
}
