package group

import (
	"encoding/binary"
	"math"
)

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

// appendTimes writes one byte for an absent timestamp, else 1 and the time.
func appendTimes(dst []byte, times []int64) []byte {
	for _, t := range times {
		if t == NoTime {
			dst = append(dst, 0)
		} else {
			dst = binary.AppendVarint(append(dst, 1), t)
		}
	}
	return dst
}

func readTimes(w *wireReader, s *Shape) []int64 {
	if len(s.metrics) > len(w.b) {
		w.fail("timestamps past the end")
		return nil
	}
	times := make([]int64, len(s.metrics))
	for i := range times {
		times[i] = NoTime
		if w.byte() != 0 {
			times[i] = w.varint()
		}
	}
	return times
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

// Flags in the byte that holds an Ended's type.
const (
	endedFloat  = 0x80
	endedBeside = 0x40
)

func appendEnded(dst []byte, ended []Ended) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ended)))
	var sym symbolWriter
	for i := range ended {
		e := &ended[i]
		dst = sym.append(dst, e.Family)
		typ := byte(e.Type)
		if e.Float {
			typ |= endedFloat
		}
		if e.Beside {
			typ |= endedBeside
		}
		dst = append(dst, typ, byte(e.What))
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
		e.Type, e.What = Type(typ&^(endedFloat|endedBeside)), Component(w.byte())
		e.Float, e.Beside = typ&endedFloat != 0, typ&endedBeside != 0
		if e.Type > GaugeHistogram || e.What == 0 || e.What >= ComponentNative<<1 {
			w.fail("unknown component")
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
