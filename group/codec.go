package group

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
)

// codecVersion is the first byte of an encoded record.
const codecVersion = 1

// Flags of an encoded record: which of the optional fields follow.
const (
	hasPush = 1 << iota
	hasFail
	hasTTL
	hasHide
	hasPart
	hasEnded
)

// EncodeRecord appends r to dst in the form that DecodeRecord reads. Members are
// not written: for a push they follow from the part, and a record of another
// kind that is stored has none.
func EncodeRecord(dst []byte, r *Record) []byte {
	dst = append(dst, codecVersion, byte(r.Kind))
	dst = binary.AppendVarint(dst, r.Time)
	flags := r.flags()
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(len(r.Labels)))
	for _, l := range r.Labels {
		dst = appendString(appendString(dst, l.Name), l.Value)
	}
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
	if flags&hasPart != 0 {
		dst = binary.AppendVarint(dst, r.Part.Pushed)
		dst = appendShape(dst, r.Part.Shape)
		dst = appendColumns(dst, r.Part)
	}
	if flags&hasEnded != 0 {
		dst = appendEnded(dst, r.Ended)
	}
	return dst
}

func (r *Record) flags() byte {
	f := byte(0)
	for _, o := range []struct {
		has  bool
		flag byte
	}{
		{r.Push != 0, hasPush}, {r.Fail != 0, hasFail}, {r.TTL != 0, hasTTL},
		{r.Hide != 0, hasHide}, {r.Part != nil, hasPart}, {len(r.Ended) > 0, hasEnded},
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
func DecodeRecord(b []byte) (*Record, error) {
	r := wireReader{b: b}
	if v := r.byte(); r.err == nil && v != codecVersion {
		return nil, fmt.Errorf("decode record: version %d is not known", v)
	}
	rec := &Record{Kind: Kind(r.byte()), Time: r.varint()}
	rec.decode(&r)
	if r.err == nil && len(r.b) > 0 {
		r.fail("bytes left over")
	}
	if r.err != nil {
		return nil, fmt.Errorf("decode record: %w", r.err)
	}
	return rec, nil
}

func (r *Record) decode(w *wireReader) {
	if r.Kind < KindPut || r.Kind > KindRefresh {
		w.fail("unknown kind")
	}
	flags := w.byte()
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
	if flags&hasPart != 0 {
		r.Part = &Part{Time: r.Time, Pushed: w.varint()}
		r.Part.Shape = readShape(w)
		readColumns(w, r.Part)
		if w.err == nil {
			r.Members = r.Part.Members()
		}
	}
	if flags&hasEnded != 0 {
		r.Ended = readEnded(w)
	}
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

// Bits of a family's and a metric's first byte.
const (
	familyTypeMask = 0x07
	familyHasHelp  = 0x08

	metricFormMask   = 0x03
	metricNative     = 0x04
	metricHasBounds  = 0x08 // the range of the bounds table follows
	metricSameBounds = 0x10 // as the metric before
)

func appendShape(dst []byte, s *Shape) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.families)))
	dst = binary.AppendUvarint(dst, uint64(len(s.symbols)))
	dst = binary.AppendUvarint(dst, uint64(len(s.metrics)))
	dst = binary.AppendUvarint(dst, uint64(len(s.refs)/2))
	dst = s.appendStrings(dst)
	dst = binary.AppendUvarint(dst, uint64(len(s.bounds)))
	for _, b := range s.bounds {
		dst = appendFloat(dst, math.Float64bits(b))
	}
	var prev Metric
	for i := range s.families {
		f := &s.families[i]
		dst = append(dst, f.flags())
		dst = binary.AppendUvarint(dst, uint64(f.count))
		for j := range s.Metrics(f) {
			m := &s.metrics[int(f.first)+j]
			dst = s.appendMetric(dst, m, &prev)
			prev = *m
		}
	}
	return dst
}

// appendStrings writes name, help and unit of each family and all symbols:
// first the lengths, then the bytes, so that they are read in one piece.
func (s *Shape) appendStrings(dst []byte) []byte {
	all := make([]string, 0, 3*len(s.families)+len(s.symbols))
	for i := range s.families {
		all = append(all, s.families[i].Name, s.families[i].Help, s.families[i].Unit)
	}
	all = append(all, s.symbols...)
	for _, v := range all {
		dst = binary.AppendUvarint(dst, uint64(len(v)))
	}
	for _, v := range all {
		dst = append(dst, v...)
	}
	return dst
}

func (f *Family) flags() byte {
	b := byte(f.Type)
	if f.HasHelp {
		b |= familyHasHelp
	}
	return b
}

func (s *Shape) appendMetric(dst []byte, m, prev *Metric) []byte {
	flags := byte(m.Form)
	if m.Native {
		flags |= metricNative
	}
	switch {
	case m.boundN == 0:
	case m.boundN == prev.boundN && m.boundAt == prev.boundAt:
		flags |= metricSameBounds
	default:
		flags |= metricHasBounds
	}
	dst = append(dst, flags)
	if flags&metricHasBounds != 0 {
		dst = binary.AppendUvarint(dst, uint64(m.boundAt))
		dst = binary.AppendUvarint(dst, uint64(m.boundN))
	}
	dst = binary.AppendUvarint(dst, uint64(m.labelN))
	for _, ref := range s.refs[2*m.labelAt : 2*(m.labelAt+m.labelN)] {
		dst = binary.AppendUvarint(dst, uint64(ref))
	}
	return dst
}

func readShape(w *wireReader) *Shape {
	start := w.b
	families, symbols := w.count(), w.count()
	metrics, labels := w.count(), w.count()
	names := w.strings(3*families + symbols)
	if w.err != nil {
		return &Shape{}
	}
	s := &Shape{
		families: make([]Family, families), symbols: slices.Clone(names[3*families:]),
		metrics: make([]Metric, 0, metrics), refs: make([]uint32, 0, 2*labels),
	}
	s.bounds = make([]float64, w.count())
	for i := range s.bounds {
		s.bounds[i] = math.Float64frombits(w.float())
	}
	for i := range s.families {
		f := &s.families[i]
		f.Name, f.Help, f.Unit = names[3*i], names[3*i+1], names[3*i+2]
		s.readFamily(w, f)
		if w.err != nil {
			return s
		}
	}
	if len(s.metrics) != metrics || len(s.refs) != 2*labels {
		w.fail("the number of metrics or labels is not right")
	}
	s.finish()
	s.hash = maphash.Bytes(shapeSeed, start[:len(start)-len(w.b)])
	if s.hasRepeatedFamily() {
		w.fail("two families of one name")
	}
	return s
}

func (s *Shape) hasRepeatedFamily() bool {
	for i := 1; i < len(s.byName); i++ {
		if s.families[s.byName[i]].Name == s.families[s.byName[i-1]].Name {
			return true
		}
	}
	return false
}

func (s *Shape) readFamily(w *wireReader, f *Family) {
	flags := w.byte()
	f.Type, f.HasHelp = Type(flags&familyTypeMask), flags&familyHasHelp != 0
	if f.Type > GaugeHistogram {
		w.fail("unknown type")
	}
	f.first, f.count = uint32(len(s.metrics)), uint32(w.count())
	for range f.count {
		s.readMetric(w, f.Type)
		if w.err != nil {
			return
		}
	}
}

func (s *Shape) readMetric(w *wireReader, t Type) {
	var prev Metric
	if len(s.metrics) > 0 {
		prev = s.metrics[len(s.metrics)-1]
	}
	flags := w.byte()
	m := Metric{Form: Form(flags & metricFormMask), Native: flags&metricNative != 0}
	if !t.allows(m) {
		w.fail("form and type do not fit")
	}
	switch {
	case flags&metricSameBounds != 0:
		m.boundAt, m.boundN = prev.boundAt, prev.boundN
	case flags&metricHasBounds != 0:
		m.boundAt, m.boundN = w.uint32(), w.uint32()
		if uint64(m.boundAt)+uint64(m.boundN) > uint64(len(s.bounds)) {
			w.fail("bounds out of range")
		}
	}
	if m.Form == FormSingle && m.boundN > 0 {
		w.fail("bounds of a single value")
	}
	if s.values += m.slots(); s.values > len(w.b) {
		w.fail("more values than bytes")
	}
	m.valueAt, m.nativeAt = prev.valueAt+uint32(prev.slots()), prev.nativeAt
	if len(s.metrics) == 0 {
		m.valueAt = 0
	}
	if prev.Native {
		m.nativeAt++
	}
	m.labelAt, m.labelN = uint32(len(s.refs)/2), uint32(w.count())
	for range 2 * m.labelN {
		s.refs = append(s.refs, w.index(len(s.symbols)))
		if w.err != nil {
			return
		}
	}
	s.metrics = append(s.metrics, m)
}

// allows reports whether a family of type t can hold m.
func (t Type) allows(m Metric) bool {
	switch t {
	case Summary:
		return m.Form == FormSummary && !m.Native
	case Histogram, GaugeHistogram:
		return m.Form == FormHistogram || m.Form == FormFloatHistogram
	case Untyped, Counter, Gauge:
	}
	return m.Form == FormSingle && !m.Native
}

// Columns of a part that may follow the values.
const (
	hasNatives = 1 << iota
	hasExemplars
	hasCreated
	hasTimes
	hasUnsent
)

func appendColumns(dst []byte, p *Part) []byte {
	flags := p.columnFlags()
	dst = append(dst, flags)
	for i := range p.Shape.metrics {
		m := &p.Shape.metrics[i]
		for j, v := range p.ValuesOf(m) {
			if m.Form.floatSlot(j) {
				dst = appendFloat(dst, v)
			} else {
				dst = binary.AppendUvarint(dst, v)
			}
		}
	}
	for i := range p.Natives {
		dst = p.Natives[i].append(dst)
	}
	if flags&hasExemplars != 0 {
		dst = appendExemplars(dst, p.Exemplars)
	}
	if flags&hasCreated != 0 {
		dst = appendCreated(dst, p.Created)
	}
	if flags&hasTimes != 0 {
		dst = appendTimes(dst, p.Times)
	}
	if flags&hasUnsent != 0 {
		dst = appendUnsent(dst, p.Unsent)
	}
	return dst
}

func (p *Part) columnFlags() byte {
	f := byte(0)
	if len(p.Natives) > 0 {
		f |= hasNatives
	}
	if len(p.Exemplars) > 0 {
		f |= hasExemplars
	}
	if len(p.Created) > 0 {
		f |= hasCreated
	}
	if p.Times != nil {
		f |= hasTimes
	}
	if len(p.Unsent) > 0 {
		f |= hasUnsent
	}
	return f
}

// readColumns reads the values of p, whose shape and time are known.
func readColumns(w *wireReader, p *Part) {
	if w.err != nil {
		return
	}
	flags := w.byte()
	readValues(w, p)
	readNatives(w, p)
	if flags&hasExemplars != 0 {
		p.Exemplars = readExemplars(w, p.Shape)
	}
	if flags&hasCreated != 0 {
		p.Created = readCreated(w, p.Shape)
	}
	if flags&hasTimes != 0 {
		p.Times = readTimes(w, p.Shape)
	}
	if flags&hasUnsent != 0 {
		p.Unsent = readUnsent(w, p.Shape)
	}
}

func readValues(w *wireReader, p *Part) {
	if p.Shape.values > len(w.b) {
		w.fail("values past the end")
		return
	}
	p.Values = make([]uint64, 0, p.Shape.values)
	for i := range p.Shape.metrics {
		m := &p.Shape.metrics[i]
		for j := range m.slots() {
			if m.Form.floatSlot(j) {
				p.Values = append(p.Values, cleanFloat(w.float()))
			} else {
				p.Values = append(p.Values, w.uvarint())
			}
		}
	}
}

func readNatives(w *wireReader, p *Part) {
	for i := range p.Shape.metrics {
		if !p.Shape.metrics[i].Native || w.err != nil {
			continue
		}
		n := readNative(w)
		if n.Float != (p.Shape.metrics[i].Form == FormFloatHistogram) {
			w.fail("native histogram of the wrong kind")
		}
		p.Natives = append(p.Natives, n)
	}
}
