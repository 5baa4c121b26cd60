package group

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
)

// snapshotVersion is the first byte of a snapshot. What a state without aggregates is
// written as can be read by versions that know of none.
const (
	snapshotVersion      = 1
	snapshotVersionMerge = 2 // how many pushes groups are the sum of, and keys of pushes at the end
)

// View is one consistent state, as a snapshot has it.
type View struct {
	Groups []*Group
	Seq    uint64    // of the last record in it
	Floor  int64     // no timestamp in it, or given out before, is larger
	Keys   []KeptKey // of pushes that are in it, the oldest first
}

// KeptKey is the key of a push that is kept, and the timestamp of its record in ms.
type KeptKey struct {
	Key  PushKey
	Time int64
}

func (v *View) version() byte {
	if len(v.Keys) > 0 || slices.ContainsFunc(v.Groups, func(g *Group) bool { return g.Pushes > 0 }) {
		return snapshotVersionMerge
	}
	return snapshotVersion
}

// EncodeSnapshot writes v in the form that DecodeSnapshot reads, group by group: a
// version, floor and sequence, then one block for each group behind its length,
// then a length of 0, the number of groups and, in version 2, the keys of pushes. A shape is written where it
// occurs first, and referred to by number after that. The caller adds a
// checksum.
func EncodeSnapshot(w io.Writer, v View) error {
	e := snapshotWriter{w: bufio.NewWriterSize(w, 1<<16), shapes: map[*Shape]uint64{}}
	version := v.version()
	e.buf = append(e.buf, version)
	e.buf = binary.AppendVarint(e.buf, v.Floor)
	e.buf = binary.AppendUvarint(e.buf, v.Seq)
	if _, err := e.w.Write(e.buf); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	for _, g := range v.Groups {
		if err := e.group(g); err != nil {
			return fmt.Errorf("write snapshot: %w", err)
		}
	}
	end := binary.AppendUvarint([]byte{0}, uint64(len(v.Groups)))
	if version == snapshotVersionMerge {
		end = appendKeys(end, v.Keys)
	}
	if _, err := e.w.Write(end); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if err := e.w.Flush(); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

func appendKeys(dst []byte, keys []KeptKey) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(keys)))
	for _, k := range keys {
		dst = binary.AppendVarint(append(dst, k.Key[:]...), k.Time)
	}
	return dst
}

// Sum returns a checksum of groups and keys, whatever order the groups are in: two states
// with the same one are the same.
func (v *View) Sum() [sha256.Size]byte {
	groups := slices.Clone(v.Groups)
	slices.SortFunc(groups, func(a, b *Group) int { return strings.Compare(a.Labels.ID(), b.Labels.ID()) })
	sum := sha256.New()
	e := snapshotWriter{w: bufio.NewWriter(sum), shapes: map[*Shape]uint64{}}
	for _, g := range groups {
		_ = e.group(g)  // a checksum takes everything
		clear(e.shapes) // which groups share one is no part of the state
	}
	_, _ = e.w.Write(appendKeys(nil, v.Keys))
	_ = e.w.Flush()
	return [sha256.Size]byte(sum.Sum(nil))
}

type snapshotWriter struct {
	w      *bufio.Writer
	shapes map[*Shape]uint64 // number of each shape written, from 1
	buf    []byte
}

func (e *snapshotWriter) group(g *Group) error {
	b := appendGroup(e.buf[:0], g)
	parts := g.parts()
	b = binary.AppendUvarint(b, uint64(len(parts)))
	for _, p := range parts {
		b = e.part(b, p)
	}
	b = appendMembers(b, g.Members, parts)
	e.buf = b
	var length [binary.MaxVarintLen64]byte
	if _, err := e.w.Write(binary.AppendUvarint(length[:0], uint64(len(b)))); err != nil {
		return err
	}
	_, err := e.w.Write(b)
	return err
}

func appendGroup(b []byte, g *Group) []byte {
	b = binary.AppendUvarint(b, uint64(len(g.Labels)))
	for _, l := range g.Labels {
		b = appendString(appendString(b, l.Name), l.Value)
	}
	for _, n := range []int64{g.Push, g.Fail, g.TTL, g.Born, g.Last} {
		b = binary.AppendVarint(b, n)
	}
	b = binary.AppendUvarint(b, g.Seq)
	flags := byte(g.Hide)
	if g.Expect != 0 {
		flags |= groupHasExpect
	}
	if g.Pushes != 0 {
		flags |= groupHasPushes
	}
	b = append(b, flags)
	if g.Expect != 0 {
		b = binary.AppendVarint(b, g.Expect)
	}
	if g.Pushes != 0 {
		b = binary.AppendUvarint(b, g.Pushes)
	}
	return b
}

// These stand in the byte that holds a group's Hide when Expect and Pushes follow.
const (
	groupHasExpect = 0x80
	groupHasPushes = 0x40
)

// parts returns the parts of g's members, each once.
func (g *Group) parts() []*Part {
	var parts []*Part
	seen := map[*Part]struct{}{}
	for i, m := range g.Members {
		if i > 0 && m.Part == g.Members[i-1].Part {
			continue
		}
		if _, ok := seen[m.Part]; !ok {
			seen[m.Part] = struct{}{}
			parts = append(parts, m.Part)
		}
	}
	return parts
}

func (e *snapshotWriter) part(b []byte, p *Part) []byte {
	n, ok := e.shapes[p.Shape]
	b = binary.AppendUvarint(b, n)
	if !ok {
		e.shapes[p.Shape] = uint64(len(e.shapes)) + 1
		b = appendShape(b, p.Shape)
	}
	b = binary.AppendVarint(b, p.Time)
	b = binary.AppendVarint(b, p.Pushed)
	return appendColumns(b, p)
}

// appendMembers writes nothing but a 0 for the usual group, which is all of its
// only part.
func appendMembers(b []byte, members []Member, parts []*Part) []byte {
	if len(parts) == 0 || len(parts) == 1 && len(members) == len(parts[0].Shape.families) {
		return binary.AppendUvarint(b, 0)
	}
	number := map[*Part]uint64{}
	for i, p := range parts {
		number[p] = uint64(i)
	}
	b = binary.AppendUvarint(b, uint64(len(members)))
	for _, m := range members {
		b = binary.AppendUvarint(b, number[m.Part])
		b = binary.AppendUvarint(b, uint64(m.Family))
	}
	return b
}

// DecodeSnapshot reads what EncodeSnapshot wrote, and calls add for each group. What it
// returns has sequence and floor, and no groups. Equal shapes are shared. Input that is
// damaged or torn yields an error, perhaps after some groups.
func DecodeSnapshot(r io.Reader, shapes *Shapes, add func(*Group) error) (View, error) {
	d := snapshotReader{r: bufio.NewReaderSize(r, 1<<16), shared: shapes}
	v, err := d.header()
	if err != nil {
		return View{}, err
	}
	groups := uint64(0)
	for {
		g, err := d.group()
		if err == nil && g != nil {
			err = add(g)
		}
		if err != nil {
			return View{}, fmt.Errorf("group %d: %w", groups, err)
		}
		if g == nil {
			break
		}
		groups++
	}
	if want, err := binary.ReadUvarint(d.r); err != nil || want != groups {
		return View{}, fmt.Errorf("%w: the number of groups is not right", errCorrupt)
	}
	if d.version == snapshotVersionMerge {
		v.Keys, err = d.keys()
	}
	return v, err
}

// keys reads the keys of pushes. It trusts their number only as far as there is input.
func (d *snapshotReader) keys() ([]KeptKey, error) {
	n, err := binary.ReadUvarint(d.r)
	if err != nil {
		return nil, err
	}
	keys := make([]KeptKey, 0, min(n, 1<<16))
	for range n {
		var k KeptKey
		if _, err := io.ReadFull(d.r, k.Key[:]); err != nil {
			return nil, err
		}
		if k.Time, err = binary.ReadVarint(d.r); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

type snapshotReader struct {
	r       *bufio.Reader
	version byte
	shared  *Shapes
	shapes  []*Shape // by number, from 1
	buf     []byte
}

func (d *snapshotReader) header() (v View, err error) {
	if d.version, err = d.r.ReadByte(); err != nil {
		return v, err
	}
	if d.version != snapshotVersion && d.version != snapshotVersionMerge {
		return v, fmt.Errorf("version %d is not known", d.version)
	}
	if v.Floor, err = binary.ReadVarint(d.r); err != nil {
		return v, err
	}
	v.Seq, err = binary.ReadUvarint(d.r)
	return v, err
}

// block reads one block. It trusts its length only as far as there is input.
func (d *snapshotReader) block() ([]byte, error) {
	n, err := binary.ReadUvarint(d.r)
	if err != nil {
		return nil, err
	}
	const step = 1 << 20
	d.buf = d.buf[:0]
	for n > 0 {
		at, more := len(d.buf), int(min(n, step))
		d.buf = append(d.buf, make([]byte, more)...)
		if _, err := io.ReadFull(d.r, d.buf[at:]); err != nil {
			return nil, err
		}
		n -= uint64(more)
	}
	return d.buf, nil
}

// group reads one group, nil at the end.
func (d *snapshotReader) group() (*Group, error) {
	block, err := d.block()
	if err != nil || len(block) == 0 {
		return nil, err
	}
	w := wireReader{b: block}
	g := readGroup(&w)
	parts := make([]*Part, w.count())
	for i := range parts {
		parts[i] = d.part(&w)
		if w.err != nil {
			return nil, w.err
		}
	}
	g.Members = readMembers(&w, parts)
	if w.err == nil && len(w.b) > 0 {
		w.fail("bytes left over")
	}
	if w.err != nil {
		return nil, w.err
	}
	for _, m := range g.Members {
		g.samples += m.Samples()
	}
	return g, nil
}

func readGroup(w *wireReader) *Group {
	g := &Group{}
	g.ID, g.Labels = readLabels(w).own()
	for _, p := range []*int64{&g.Push, &g.Fail, &g.TTL, &g.Born, &g.Last} {
		*p = w.varint()
	}
	g.Seq = w.uvarint()
	flags := w.byte()
	g.Hide = Own(flags) & (OwnPushTime | OwnFailTime)
	if flags&groupHasExpect != 0 {
		g.Expect = w.varint()
	}
	if flags&groupHasPushes != 0 {
		g.Pushes = w.uvarint()
	}
	return g
}

func (d *snapshotReader) part(w *wireReader) *Part {
	p := &Part{}
	if n := w.uvarint(); n == 0 {
		p.Shape = readShape(w)
		if w.err == nil {
			p.Shape = d.shared.Share(p.Shape)
			d.shapes = append(d.shapes, p.Shape)
		}
	} else if n <= uint64(len(d.shapes)) {
		p.Shape = d.shapes[n-1]
	} else {
		w.fail("shape out of range")
	}
	p.Time, p.Pushed = w.varint(), w.varint()
	readColumns(w, p)
	return p
}

func readMembers(w *wireReader, parts []*Part) []Member {
	n := w.count()
	if n == 0 {
		if len(parts) > 0 && w.err == nil {
			return parts[0].Members()
		}
		return nil
	}
	members := make([]Member, n)
	for i := range members {
		p := w.index(len(parts))
		if w.err != nil {
			return nil
		}
		members[i] = Member{Part: parts[p], Family: w.index(len(parts[p].Shape.families))}
		if w.err != nil {
			return nil
		}
		if i > 0 && members[i-1].Of().Name >= members[i].Of().Name {
			w.fail("families out of order")
		}
	}
	return members
}
