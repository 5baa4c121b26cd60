package group

import (
	"encoding/binary"
	"math"
)

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
	dst = appendValues(dst, p)
	return appendOtherColumns(dst, p, flags)
}

func appendValues(dst []byte, p *Part) []byte {
	for i := range p.Shape.metrics {
		m := &p.Shape.metrics[i]
		dst = room(dst)
		for j, v := range p.ValuesOf(m) {
			if m.Form.FloatSlot(j) {
				dst = appendFloat(dst, v)
			} else {
				dst = binary.AppendUvarint(dst, v)
			}
		}
	}
	return dst
}

// appendOtherColumns appends the columns other than values.
func appendOtherColumns(dst []byte, p *Part, flags byte) []byte {
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
		dst = appendTimes(dst, p)
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
	readOtherColumns(w, p, flags)
}

// readOtherColumns reads the columns other than values.
func readOtherColumns(w *wireReader, p *Part, flags byte) {
	readNatives(w, p)
	if flags&hasExemplars != 0 {
		p.Exemplars = readExemplars(w, p.Shape)
	}
	if flags&hasCreated != 0 {
		p.Created = readCreated(w, p.Shape)
	}
	if flags&hasTimes != 0 {
		readTimes(w, p)
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
			if m.Form.FloatSlot(j) {
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

func (n *Native) append(dst []byte) []byte {
	if n.Float {
		dst = append(dst, 1)
	} else {
		dst = append(dst, 0)
	}
	dst = binary.AppendVarint(dst, int64(n.Schema))
	dst = appendFloat(dst, math.Float64bits(n.ZeroThreshold))
	if n.Float {
		dst = appendFloat(dst, n.ZeroCount)
	} else {
		dst = binary.AppendUvarint(dst, n.ZeroCount)
	}
	dst = appendBuckets(dst, n.Float, n.Positive, n.PositiveDelta, n.PositiveCount)
	return appendBuckets(dst, n.Float, n.Negative, n.NegativeDelta, n.NegativeCount)
}

func appendBuckets(dst []byte, float bool, spans []Span, deltas []int64, counts []float64) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(spans)))
	for _, s := range spans {
		dst = binary.AppendVarint(dst, int64(s.Offset))
		dst = binary.AppendUvarint(dst, uint64(s.Length))
	}
	if float {
		dst = binary.AppendUvarint(dst, uint64(len(counts)))
		for _, c := range counts {
			dst = appendFloat(dst, math.Float64bits(c))
		}
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(deltas)))
	for _, d := range deltas {
		dst = binary.AppendVarint(dst, d)
	}
	return dst
}

func readNative(w *wireReader) Native {
	n := Native{Float: w.byte() != 0, Schema: w.int32(), ZeroThreshold: math.Float64frombits(w.float())}
	if n.Float {
		n.ZeroCount = w.float()
	} else {
		n.ZeroCount = w.uvarint()
	}
	n.Positive, n.PositiveDelta, n.PositiveCount = readBuckets(w, n.Float)
	n.Negative, n.NegativeDelta, n.NegativeCount = readBuckets(w, n.Float)
	return n
}

func readBuckets(w *wireReader, float bool) (spans []Span, deltas []int64, counts []float64) {
	buckets := uint64(0)
	if n := w.count(); n > 0 {
		spans = make([]Span, n)
		for i := range spans {
			spans[i] = Span{Offset: w.int32(), Length: w.uint32()}
			buckets += uint64(spans[i].Length)
		}
	}
	n := w.count()
	if uint64(n) != buckets {
		w.fail("spans and buckets do not fit")
	}
	switch {
	case n == 0 || w.err != nil:
	case float:
		counts = make([]float64, n)
		for i := range counts {
			counts[i] = math.Float64frombits(w.float())
		}
	default:
		deltas = make([]int64, n)
		for i := range deltas {
			deltas[i] = w.varint()
		}
	}
	return spans, deltas, counts
}

func appendExemplars(dst []byte, exemplars []Exemplar) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(exemplars)))
	var sym symbolWriter
	for i := range exemplars {
		e := &exemplars[i]
		dst = binary.AppendUvarint(dst, uint64(e.Metric))
		dst = binary.AppendVarint(dst, int64(e.Slot))
		dst = appendFloat(dst, math.Float64bits(e.Value))
		if e.HasTime {
			dst = binary.AppendVarint(append(dst, 1), e.Seconds)
			dst = binary.AppendVarint(dst, int64(e.Nanos))
		} else {
			dst = append(dst, 0)
		}
		dst = appendLabels(dst, &sym, e.Labels)
	}
	return dst
}

func appendLabels(dst []byte, sym *symbolWriter, labels []Label) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(labels)))
	for _, l := range labels {
		dst = sym.append(sym.append(dst, l.Name), l.Value)
	}
	return dst
}

func readSymbolLabels(w *wireReader, sym *symbolReader) []Label {
	n := w.count()
	if n == 0 {
		return nil
	}
	labels := make([]Label, n)
	for i := range labels {
		labels[i] = Label{sym.read(w), sym.read(w)}
	}
	return labels
}

func readExemplars(w *wireReader, s *Shape) []Exemplar {
	exemplars := make([]Exemplar, w.count())
	var sym symbolReader
	for i := range exemplars {
		e := &exemplars[i]
		e.Metric, e.Slot, e.Value = w.index(len(s.metrics)), w.int32(), math.Float64frombits(w.float())
		if e.HasTime = w.byte() != 0; e.HasTime {
			e.Seconds, e.Nanos = w.varint(), w.int32()
		}
		e.Labels = readSymbolLabels(w, &sym)
		if w.err != nil {
			return nil
		}
		if i > 0 && exemplars[i-1].Metric > e.Metric || !e.fits(s) {
			w.fail("exemplar out of place")
		}
	}
	return exemplars
}

// fits reports whether e's slot exists.
func (e *Exemplar) fits(s *Shape) bool {
	return e.Slot >= SlotNative && (e.Slot < 0 || uint32(e.Slot) < s.metrics[e.Metric].boundN)
}

func appendCreated(dst []byte, created []Created) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(created)))
	for _, c := range created {
		dst = binary.AppendUvarint(dst, uint64(c.Metric))
		dst = binary.AppendVarint(dst, c.Seconds)
		dst = binary.AppendVarint(dst, int64(c.Nanos))
	}
	return dst
}

func readCreated(w *wireReader, s *Shape) []Created {
	created := make([]Created, w.count())
	for i := range created {
		created[i] = Created{Metric: w.index(len(s.metrics)), Seconds: w.varint(), Nanos: w.int32()}
		if i > 0 && created[i-1].Metric >= created[i].Metric {
			w.fail("created timestamps out of order")
		}
	}
	return created
}

// What stands in front of a metric's timestamp.
const (
	timeAbsent = iota // there is none
	timeOwn
	timeLate // and behind it the newest of the series
)

// appendTimes writes one byte for an absent timestamp, else another and the time.
func appendTimes(dst []byte, p *Part) []byte {
	late := p.Late
	for n, t := range p.Times {
		switch {
		case t == NoTime:
			dst = append(dst, timeAbsent)
		case len(late) > 0 && int(late[0].Metric) == n:
			dst = binary.AppendVarint(append(dst, timeLate), t)
			dst = binary.AppendVarint(dst, late[0].Newest)
			late = late[1:]
		default:
			dst = binary.AppendVarint(append(dst, timeOwn), t)
		}
	}
	return dst
}

func readTimes(w *wireReader, p *Part) {
	if len(p.Shape.metrics) > len(w.b) {
		w.fail("timestamps past the end")
		return
	}
	p.Times = make([]int64, len(p.Shape.metrics))
	for i := range p.Times {
		p.Times[i] = NoTime
		switch w.byte() {
		case timeAbsent:
		case timeOwn:
			p.Times[i] = w.varint()
		case timeLate:
			p.Times[i] = w.varint()
			p.Late = append(p.Late, Late{Metric: uint32(i), Newest: w.varint()})
		default:
			w.fail("unknown kind of timestamp")
		}
	}
}

func appendUnsent(dst []byte, unsent []uint32) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(unsent)))
	for _, n := range unsent {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	return dst
}

func readUnsent(w *wireReader, s *Shape) []uint32 {
	unsent := make([]uint32, w.count())
	for i := range unsent {
		unsent[i] = w.index(len(s.metrics))
		if i > 0 && unsent[i-1] >= unsent[i] {
			w.fail("unsent metrics out of order")
		}
	}
	return unsent
}
