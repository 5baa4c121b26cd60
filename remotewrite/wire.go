package remotewrite

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/pushbridge/pushbridge/convert"
)

// Both protocols are written by hand: the generated code wants a tree of
// structs that a batch would have to be copied into first. What stands here is
// the part of the protobuf wire format that the two have in common. Submessages
// have their length in front, so each writer has a function that counts what it
// will write.

// Wire types.
const (
	wireVarint = 0
	wireFixed  = 1 // 64 bits
	wireBytes  = 2
)

func appendTag(dst []byte, field, wire int) []byte {
	return binary.AppendUvarint(dst, uint64(field<<3|wire))
}

func sizeTag(field int) int { return sizeVarint(uint64(field << 3)) }

func sizeVarint(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// zigzag maps small negative numbers to small positive ones (sint32, sint64).
func zigzag(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }

// appendLen starts a submessage, packed list or string of n bytes.
func appendLen(dst []byte, field, n int) []byte {
	return binary.AppendUvarint(appendTag(dst, field, wireBytes), uint64(n))
}

// sizeLen is the size of a field of n bytes with its tag and length.
func sizeLen(field, n int) int { return sizeTag(field) + sizeVarint(uint64(n)) + n }

// appendString writes s unless it is empty.
func appendString(dst []byte, field int, s string) []byte {
	if s == "" {
		return dst
	}
	return append(appendLen(dst, field, len(s)), s...)
}

func sizeString(field int, s string) int {
	if s == "" {
		return 0
	}
	return sizeLen(field, len(s))
}

// appendInt writes v unless it is 0. Negative numbers take ten bytes.
func appendInt(dst []byte, field int, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return binary.AppendUvarint(appendTag(dst, field, wireVarint), v)
}

func sizeInt(field int, v uint64) int {
	if v == 0 {
		return 0
	}
	return sizeTag(field) + sizeVarint(v)
}

// appendFloat writes v unless its bits are 0. Negative zero is not 0: the
// generated code drops its sign, here values pass bit for bit (rule S-5).
func appendFloat(dst []byte, field int, v float64) []byte {
	b := math.Float64bits(v)
	if b == 0 {
		return dst
	}
	return binary.LittleEndian.AppendUint64(appendTag(dst, field, wireFixed), b)
}

func sizeFloat(field int, v float64) int {
	if math.Float64bits(v) == 0 {
		return 0
	}
	return sizeTag(field) + 8
}

// sampleHead is what stands in front of the fields of a Sample: a tag and a length of a byte each.
const sampleHead = 2

// appendSample writes a Sample: value=1, timestamp=2, start_timestamp=3. 1.0 has
// no start and gets 0.
func appendSample(dst []byte, field int, s *convert.Series, start int64) []byte {
	dst = appendLen(dst, field, sizeSample(s, start))
	dst = appendFloat(dst, 1, s.Value)
	dst = appendInt(dst, 2, uint64(s.Time))
	return appendInt(dst, 3, uint64(start))
}

func sizeSample(s *convert.Series, start int64) int {
	return sizeFloat(1, s.Value) + sizeInt(2, uint64(s.Time)) + sizeInt(3, uint64(start))
}

// hist is a native histogram of either kind at one time. The message is the
// same in both protocols, but for start_timestamp=17, which only 2.0 has.
type hist struct {
	h     *histogram.Histogram
	f     *histogram.FloatHistogram
	time  int64
	start int64
}

func histOf(s *convert.Series, start int64) hist {
	return hist{h: s.Hist, f: s.FloatHist, time: s.Time, start: start}
}

// head is what both kinds have.
type histHead struct {
	sum, zeroThreshold float64
	schema             int32
	hint               histogram.CounterResetHint
	pos, neg           []histogram.Span
	custom             []float64
}

func (x hist) head() histHead {
	if f := x.f; f != nil {
		return histHead{f.Sum, f.ZeroThreshold, f.Schema, f.CounterResetHint, f.PositiveSpans, f.NegativeSpans, f.CustomValues}
	}
	h := x.h
	return histHead{h.Sum, h.ZeroThreshold, h.Schema, h.CounterResetHint, h.PositiveSpans, h.NegativeSpans, h.CustomValues}
}

// append writes the fields in the order of their numbers.
func (x hist) append(dst []byte, field int) []byte {
	p := x.head()
	dst = appendLen(dst, field, x.size(&p))
	if x.f != nil {
		dst = appendSetFloat(dst, 2, x.f.Count)
	} else {
		dst = binary.AppendUvarint(appendTag(dst, 1, wireVarint), x.h.Count)
	}
	dst = appendFloat(dst, 3, p.sum)
	dst = appendInt(dst, 4, zigzag(int64(p.schema)))
	dst = appendFloat(dst, 5, p.zeroThreshold)
	if x.f != nil {
		dst = appendSetFloat(dst, 7, x.f.ZeroCount)
		dst = appendFloatBuckets(dst, 8, p.neg, x.f.NegativeBuckets)
		dst = appendFloatBuckets(dst, 11, p.pos, x.f.PositiveBuckets)
	} else {
		dst = binary.AppendUvarint(appendTag(dst, 6, wireVarint), x.h.ZeroCount)
		dst = appendIntBuckets(dst, 8, p.neg, x.h.NegativeBuckets)
		dst = appendIntBuckets(dst, 11, p.pos, x.h.PositiveBuckets)
	}
	dst = appendInt(dst, 14, uint64(p.hint))
	dst = appendInt(dst, 15, uint64(x.time))
	dst = appendFloats(dst, 16, p.custom)
	return appendInt(dst, 17, uint64(x.start))
}

func (x hist) size(p *histHead) int {
	n := sizeFloat(3, p.sum) + sizeInt(4, zigzag(int64(p.schema))) + sizeFloat(5, p.zeroThreshold) +
		sizeSpans(8, p.neg) + sizeSpans(11, p.pos) + sizeInt(14, uint64(p.hint)) + sizeInt(15, uint64(x.time)) +
		sizeFloats(16, p.custom) + sizeInt(17, uint64(x.start))
	if x.f != nil {
		return n + 9 + 9 + sizeFloats(10, x.f.NegativeBuckets) + sizeFloats(13, x.f.PositiveBuckets)
	}
	return n + 1 + sizeVarint(x.h.Count) + 1 + sizeVarint(x.h.ZeroCount) +
		sizeDeltas(9, x.h.NegativeBuckets) + sizeDeltas(12, x.h.PositiveBuckets)
}

// appendSetFloat writes a member of a oneof: its presence says which one is
// meant, so it is there also when it is 0.
func appendSetFloat(dst []byte, field int, v float64) []byte {
	return binary.LittleEndian.AppendUint64(appendTag(dst, field, wireFixed), math.Float64bits(v))
}

// appendIntBuckets writes spans, and behind them in the next field the deltas.
func appendIntBuckets(dst []byte, field int, spans []histogram.Span, deltas []int64) []byte {
	dst = appendSpans(dst, field, spans)
	if len(deltas) == 0 {
		return dst
	}
	dst = appendLen(dst, field+1, sizeZigzags(deltas))
	for _, d := range deltas {
		dst = binary.AppendUvarint(dst, zigzag(d))
	}
	return dst
}

func sizeDeltas(field int, deltas []int64) int {
	if len(deltas) == 0 {
		return 0
	}
	return sizeLen(field, sizeZigzags(deltas))
}

func sizeZigzags(v []int64) int {
	n := 0
	for _, d := range v {
		n += sizeVarint(zigzag(d))
	}
	return n
}

// appendFloatBuckets writes spans, and behind them, two fields on, the counts.
func appendFloatBuckets(dst []byte, field int, spans []histogram.Span, counts []float64) []byte {
	return appendFloats(appendSpans(dst, field, spans), field+2, counts)
}

func appendSpans(dst []byte, field int, spans []histogram.Span) []byte {
	for _, s := range spans {
		dst = appendLen(dst, field, sizeSpan(s))
		dst = appendInt(dst, 1, zigzag(int64(s.Offset)))
		dst = appendInt(dst, 2, uint64(s.Length))
	}
	return dst
}

func sizeSpans(field int, spans []histogram.Span) int {
	n := 0
	for _, s := range spans {
		n += sizeLen(field, sizeSpan(s))
	}
	return n
}

func sizeSpan(s histogram.Span) int {
	return sizeInt(1, zigzag(int64(s.Offset))) + sizeInt(2, uint64(s.Length))
}

// appendFloats writes a packed list unless it is empty.
func appendFloats(dst []byte, field int, v []float64) []byte {
	if len(v) == 0 {
		return dst
	}
	dst = appendLen(dst, field, 8*len(v))
	for _, f := range v {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
	}
	return dst
}

func sizeFloats(field int, v []float64) int {
	if len(v) == 0 {
		return 0
	}
	return sizeLen(field, 8*len(v))
}
