package group

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// diffVersion is the first byte of a difference.
const diffVersion = 1

// Flags of a difference: which fields follow that are otherwise as in the base, or as
// a rule.
const (
	diffLabels  = 1 << iota // grouping labels other than the base's
	diffFail                // a failure time
	diffPolicy              // TTL, Hide or Expect other than the base's
	diffPushed              // the part was pushed at another time than the group
	diffColumns             // columns other than values
	diffMerge               // flags of a record, and what they announce, about a push that was added to others

	knownDiffFlags = diffMerge<<1 - 1
)

// Alike returns what r has in common with the records that can be written as their
// difference to r, and r as its difference to them: pushes of one shape that end nothing.
// It is nil for any other record, and for one whose bytes were prepared.
func Alike(r *Record) *Shape {
	if r.Kind != KindPut && r.Kind != KindPost || r.Part == nil || len(r.Ended) > 0 || r.prepared != nil {
		return nil
	}
	return r.Part.Shape
}

// AppendDiff appends to dst what Patch makes r of again, given the base. Both are alike.
func AppendDiff(dst []byte, base, r *Record) []byte {
	flags := r.diffFlags(base)
	dst = append(dst, diffVersion, byte(r.Kind))
	dst = binary.AppendUvarint(dst, flags)
	dst = binary.AppendVarint(dst, r.Time-base.Time)
	dst = binary.AppendVarint(dst, r.Push-1e6*r.Time)
	if flags&diffLabels != 0 {
		dst = appendGrouping(dst, r.Labels)
	}
	if flags&diffFail != 0 {
		dst = binary.AppendVarint(dst, r.Fail)
	}
	if flags&diffPolicy != 0 {
		dst = binary.AppendVarint(dst, r.TTL)
		dst = append(dst, byte(r.Hide))
		dst = binary.AppendVarint(dst, r.Expect)
	}
	if flags&diffPushed != 0 {
		dst = binary.AppendVarint(dst, r.Part.Pushed)
	}
	if flags&diffMerge != 0 {
		dst = r.Merge.append(binary.AppendUvarint(dst, r.Merge.flags()))
	}
	dst = appendValueDiff(dst, r.Part.Shape, base.Part.Values, r.Part.Values)
	if flags&diffColumns != 0 {
		columns := r.Part.columnFlags()
		dst = appendOtherColumns(append(dst, columns), r.Part, columns)
	}
	return dst
}

func (r *Record) diffFlags(base *Record) uint64 {
	f := uint64(0)
	for _, o := range []struct {
		has  bool
		flag uint64
	}{
		{!slices.Equal(r.Labels, base.Labels), diffLabels},
		{r.Fail != 0, diffFail},
		{r.TTL != base.TTL || r.Hide != base.Hide || r.Expect != base.Expect, diffPolicy},
		{r.Part.Pushed != r.Push, diffPushed},
		{r.Part.columnFlags() != 0, diffColumns},
		{r.Merge != Merge{}, diffMerge},
	} {
		if o.has {
			f |= o.flag
		}
	}
	return f
}

// Patch returns the record that AppendDiff has made b of. The base is what that was
// given, and stays as it is; the shape is shared. Damaged input yields an error.
func Patch(b []byte, base *Record) (*Record, error) {
	if base.Part == nil {
		return nil, fmt.Errorf("decode record: %w: nothing can differ from a record without metrics", errCorrupt)
	}
	w := wireReader{b: b}
	if v := w.byte(); w.err == nil && v != diffVersion {
		return nil, fmt.Errorf("decode record: %w: version %d of differences is not known", ErrNewer, v)
	}
	r := &Record{Kind: Kind(w.byte()), Labels: base.Labels, TTL: base.TTL, Hide: base.Hide, Expect: base.Expect}
	r.patch(&w, base)
	if w.err == nil && len(w.b) > 0 {
		w.fail("bytes left over")
	}
	if w.err != nil {
		return nil, fmt.Errorf("decode record: %w", w.err)
	}
	r.Members = r.Part.Members()
	return r, nil
}

func (r *Record) patch(w *wireReader, base *Record) {
	if r.Kind != KindPut && r.Kind != KindPost {
		w.fail("unknown kind")
	}
	flags := w.uvarint()
	if unknown := flags &^ knownDiffFlags; unknown != 0 && w.err == nil {
		w.err = fmt.Errorf("%w: flags %#x of differences are not known", ErrNewer, unknown)
		return
	}
	r.Time = base.Time + w.varint()
	r.Push = 1e6*r.Time + w.varint()
	if flags&diffLabels != 0 {
		r.Labels = readLabels(w)
	}
	if flags&diffFail != 0 {
		r.Fail = w.varint()
	}
	if flags&diffPolicy != 0 {
		r.TTL = w.varint()
		r.Hide = Own(w.byte()) & (OwnPushTime | OwnFailTime)
		r.Expect = w.varint()
	}
	r.Part = &Part{Shape: base.Part.Shape, Time: r.Time, Pushed: r.Push, shared: true}
	if flags&diffPushed != 0 {
		r.Part.Pushed = w.varint()
	}
	if flags&diffMerge != 0 {
		r.Merge = readMerge(w, w.flags(mergeFlags))
	}
	r.Part.Values = readValueDiff(w, r.Part.Shape, base.Part.Values)
	columns := byte(0)
	if flags&diffColumns != 0 {
		columns = w.byte()
	}
	if w.err == nil {
		readOtherColumns(w, r.Part, columns)
	}
}
