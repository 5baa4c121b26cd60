package group

import (
	"encoding/binary"
	"fmt"
	"math"
)

// codecVersion is the first byte of an encoded record.
const codecVersion = 1

// Flags of an encoded record: which of the optional fields follow. They are a varint:
// with the highest bit of a byte another byte of flags follows. A flag that is not known
// changes what the record says, so the record is refused.
const (
	hasPush = 1 << iota
	hasFail
	hasTTL
	hasHide
	hasPart
	hasEnded
	hasExpect
	hasPushes
	isSome
	hasKey

	knownFlags = hasKey<<1 - 1
	mergeFlags = hasPushes | isSome | hasKey
)

// EncodeRecord appends r to dst in the form that DecodeRecord reads. Members are
// not written: for a push they follow from the part, and a record of another
// kind that is stored has none.
func EncodeRecord(dst []byte, r *Record) []byte {
	dst = appendHead(dst, r)
	if p := r.prepared; p != nil && p.body != nil {
		return p.unpack(dst)
	}
	return appendBody(dst, r)
}

// appendHead appends what stands in front of the body.
func appendHead(dst []byte, r *Record) []byte {
	dst = append(dst, codecVersion, byte(r.Kind))
	dst = binary.AppendVarint(dst, r.Time)
	flags := r.flags()
	dst = binary.AppendUvarint(dst, flags)
	dst = appendGrouping(dst, r.Labels)
	if flags&hasPush != 0 {
		dst = binary.AppendVarint(dst, r.Push)
	}
	if flags&hasFail != 0 {
		dst = binary.AppendVarint(dst, r.Fail)
	}
	if flags&hasTTL != 0 {
		dst = binary.AppendVarint(dst, r.TTL)
	}
	if flags&hasHide != 0 {
		dst = append(dst, byte(r.Hide))
	}
	if flags&hasExpect != 0 {
		dst = binary.AppendVarint(dst, r.Expect)
	}
	dst = r.Merge.append(dst)
	if flags&hasPart != 0 {
		dst = binary.AppendVarint(dst, r.Part.Pushed)
	}
	return dst
}

// append appends what the flags announce.
func (m Merge) append(dst []byte) []byte {
	if m.Pushes != 0 {
		dst = binary.AppendUvarint(dst, m.Pushes)
	}
	if m.Key != (PushKey{}) {
		dst = append(dst, m.Key[:]...)
	}
	return dst
}

func readMerge(w *wireReader, flags uint64) Merge {
	m := Merge{Some: flags&isSome != 0}
	if flags&hasPushes != 0 {
		m.Pushes = w.uvarint()
	}
	if flags&hasKey != 0 {
		for i := range m.Key {
			m.Key[i] = w.byte()
		}
	}
	return m
}

// appendGrouping appends grouping labels.
func appendGrouping(dst []byte, labels Labels) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(labels)))
	for _, l := range labels {
		dst = appendString(appendString(dst, l.Name), l.Value)
	}
	return dst
}

// appendBody appends all of r that does not change any more when it is stamped.
func appendBody(dst []byte, r *Record) []byte {
	if r.Part != nil {
		dst = appendShape(dst, r.Part.Shape)
		dst = appendColumns(dst, r.Part)
	}
	if len(r.Ended) > 0 {
		dst = appendEnded(dst, r.Ended)
	}
	return dst
}

func (r *Record) flags() uint64 {
	f := r.Merge.flags()
	for _, o := range []struct {
		has  bool
		flag uint64
	}{
		{r.Push != 0, hasPush},
		{r.Fail != 0, hasFail},
		{r.TTL != 0, hasTTL},
		{r.Hide != 0, hasHide},
		{r.Part != nil, hasPart},
		{len(r.Ended) > 0, hasEnded},
		{r.Expect != 0, hasExpect},
	} {
		if o.has {
			f |= o.flag
		}
	}
	return f
}

// DecodeRecord reads one encoded record, which must be all of b. It copies what
// it keeps. Damaged input yields an error, and never takes more memory than a
// small multiple of its length.
func DecodeRecord(b []byte) (*Record, error) { return DecodeRecordOf(b, nil) }

// DecodeRecordOf is DecodeRecord for a caller that has groups: shapeOf returns the shape that
// the group with these labels has, or nil. A record that brings it once more is given it, and
// nothing of that is read. As with Shapes.ShareOf, the size of the record leaves it out.
func DecodeRecordOf(b []byte, shapeOf func(Labels) *Shape) (*Record, error) {
	r := wireReader{b: b}
	if v := r.byte(); r.err == nil && v != codecVersion {
		return nil, fmt.Errorf("decode record: %w: version %d is not known", ErrNewer, v)
	}
	rec := &Record{Kind: Kind(r.byte()), Time: r.varint()}
	rec.decode(&r, shapeOf)
	if r.err == nil && len(r.b) > 0 {
		r.fail("bytes left over")
	}
	if r.err != nil {
		return nil, fmt.Errorf("decode record: %w", r.err)
	}
	return rec, nil
}

func (r *Record) decode(w *wireReader, shapeOf func(Labels) *Shape) {
	if r.Kind < KindPut || r.Kind > KindRefresh {
		w.fail("unknown kind")
	}
	flags := w.flags(knownFlags)
	if w.err != nil {
		return
	}
	r.Labels = readLabels(w)
	if flags&hasPush != 0 {
		r.Push = w.varint()
	}
	if flags&hasFail != 0 {
		r.Fail = w.varint()
	}
	if flags&hasTTL != 0 {
		r.TTL = w.varint()
	}
	if flags&hasHide != 0 {
		r.Hide = Own(w.byte()) & (OwnPushTime | OwnFailTime)
	}
	if flags&hasExpect != 0 {
		r.Expect = w.varint()
	}
	r.Merge = readMerge(w, flags)
	if flags&hasPart != 0 {
		r.Part = &Part{Time: r.Time, Pushed: w.varint()}
		if shapeOf != nil {
			r.Part.takeShape(w, shapeOf(r.Labels))
		}
		if r.Part.Shape == nil {
			r.Part.Shape = readShape(w)
		}
		readColumns(w, r.Part)
		if w.err == nil {
			r.Members = r.Part.Members()
		}
	}
	if flags&hasEnded != 0 {
		r.Ended = readEnded(w)
	}
}

// flags reads flags, which must be known.
func (r *wireReader) flags(known uint64) uint64 {
	flags := r.uvarint()
	if unknown := flags &^ known; unknown != 0 && r.err == nil {
		r.err = fmt.Errorf("%w: flags %#x are not known", ErrNewer, unknown)
	}
	return flags
}

func readLabels(w *wireReader) Labels {
	n := w.count()
	if n == 0 {
		return nil
	}
	l := make(Labels, n)
	for i := range l {
		l[i] = Label{w.string(), w.string()}
		if i > 0 && l[i-1].Name >= l[i].Name {
			w.fail("grouping labels out of order")
		}
	}
	return l
}

// Flags in the byte that holds an Ended's type.
const (
	endedFloat  = 0x80
	endedBeside = 0x40
	endedUnit   = 0x20 // the unit follows behind What

	endedFlags = endedFloat | endedBeside | endedUnit
)

func appendEnded(dst []byte, ended []Ended) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ended)))
	var sym symbolWriter
	for i := range ended {
		e := &ended[i]
		dst = room(dst)
		dst = sym.append(dst, e.Family)
		typ := byte(e.Type)
		if e.Float {
			typ |= endedFloat
		}
		if e.Beside {
			typ |= endedBeside
		}
		if e.Unit != "" {
			typ |= endedUnit
		}
		dst = append(dst, typ, byte(e.What))
		if e.Unit != "" {
			dst = sym.append(dst, e.Unit)
		}
		dst = appendLabels(dst, &sym, e.Labels)
		if e.What&ComponentBounds == 0 {
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(len(e.Bounds)))
		for _, b := range e.Bounds {
			dst = appendFloat(dst, math.Float64bits(b))
		}
	}
	return dst
}

func readEnded(w *wireReader) []Ended {
	n := w.count()
	ended := make([]Ended, 0, min(n, 1024))
	var sym symbolReader
	for range n {
		var e Ended
		e.Family = sym.read(w)
		typ := w.byte()
		e.Type, e.What = Type(typ&^endedFlags), Component(w.byte())
		e.Float, e.Beside = typ&endedFloat != 0, typ&endedBeside != 0
		if e.Type > GaugeHistogram || e.What == 0 || e.What >= ComponentNative<<1 {
			w.fail("unknown component")
		}
		if typ&endedUnit != 0 {
			e.Unit = sym.read(w)
		}
		e.Labels = readSymbolLabels(w, &sym)
		if e.What&ComponentBounds != 0 {
			e.Bounds = make([]float64, w.count())
			for i := range e.Bounds {
				e.Bounds[i] = math.Float64frombits(w.float())
			}
		}
		if w.err != nil {
			return nil
		}
		ended = append(ended, e)
	}
	return ended
}
