package group

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math"

	"github.com/pushbridge/pushbridge/bigslice"
)

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
	dst = binary.AppendUvarint(dst, uint64(len(s.ends)))
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
			dst = room(dst)
			dst = s.appendMetric(dst, m, &prev)
			prev = *m
		}
	}
	return dst
}

// appendStrings writes name, help and unit of each family and all symbols:
// first the lengths, then the bytes, so that they are read in one piece.
func (s *Shape) appendStrings(dst []byte) []byte {
	for i := range s.families {
		f := &s.families[i]
		dst = room(dst)
		for _, v := range [...]string{f.Name, f.Help, f.Unit} {
			dst = binary.AppendUvarint(dst, uint64(len(v)))
		}
	}
	start := uint32(0)
	for _, end := range s.ends {
		dst = room(dst)
		dst = binary.AppendUvarint(dst, uint64(end-start))
		start = end
	}
	for i := range s.families {
		f := &s.families[i]
		dst = append(append(append(room(dst), f.Name...), f.Help...), f.Unit...)
	}
	return bigslice.AppendString(dst, s.text)
}

func (f *Family) flags() byte {
	b := byte(f.Type)
	if f.HasHelp {
		b |= familyHasHelp
	}
	return b
}

// flags returns the first byte of m, behind prev.
func (m *Metric) flags(prev *Metric) byte {
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
	return flags
}

func (s *Shape) appendMetric(dst []byte, m, prev *Metric) []byte {
	flags := m.flags(prev)
	dst = append(dst, flags)
	if flags&metricHasBounds != 0 {
		dst = binary.AppendUvarint(dst, uint64(m.boundAt))
		dst = binary.AppendUvarint(dst, uint64(m.boundN))
	}
	dst = binary.AppendUvarint(dst, uint64(m.labelN))
	for _, ref := range s.LabelRefs(m) {
		dst = binary.AppendUvarint(dst, uint64(ref))
	}
	return dst
}

// takeShape gives p the shape s, if that is what w comes to: to write it and to compare takes a
// fraction of what reading it does.
func (p *Part) takeShape(w *wireReader, s *Shape) {
	if s == nil || w.err != nil || !s.begins(*w) {
		return
	}
	b := encodeBuffers.Get().(*[]byte)
	defer encodeBuffers.Put(b)
	*b = appendShape((*b)[:0], s)
	if bytes.HasPrefix(w.b, *b) {
		w.b = w.b[len(*b):]
		p.Shape, p.shared = s, true
	}
}

// begins reports whether the first numbers of what w comes to are those of s.
func (s *Shape) begins(w wireReader) bool {
	for _, n := range [...]int{len(s.families), len(s.ends), len(s.metrics), len(s.refs) / 2} {
		if w.uvarint() != uint64(n) {
			return false
		}
	}
	return true
}

func readShape(w *wireReader) *Shape {
	start := w.b
	families, symbols := w.count(), w.count()
	metrics, labels := w.count(), w.count()
	names, text, ends := w.strings(3*families, symbols)
	if w.err != nil {
		return &Shape{}
	}
	s := &Shape{
		families: make([]Family, families), text: text, ends: ends,
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
	if s.hash = maphash.Bytes(shapeSeed.get(), start[:len(start)-len(w.b)]); w.odd {
		s.hash = s.computeHash()
	}
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
	w.odd = w.odd || flags&^(familyTypeMask|familyHasHelp) != 0
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
	w.odd = w.odd || flags != m.flags(&prev)
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
	labels := w.count()
	if labels > maxLabels {
		w.fail("too many labels")
	}
	m.labelAt, m.labelN = uint32(len(s.refs)/2), uint16(labels)
	for range 2 * labels {
		s.refs = append(s.refs, w.index(len(s.ends)))
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
