package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/pushbridge/pushbridge/bigslice"
)

// errCorrupt is the cause of every error of decoding that is not about the
// version.
var errCorrupt = errors.New("corrupt")

// roomFrom is from how many bytes on room is made in dst, and elementRoom how many a
// metric takes as a rule.
const (
	roomFrom    = 64 << 10
	elementRoom = 1024
)

// room makes room for one more metric in dst, if that has become large.
func room(dst []byte) []byte {
	if len(dst) < roomFrom || cap(dst)-len(dst) >= elementRoom {
		return dst
	}
	return bigslice.Grow(dst, elementRoom)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// appendFloat writes float bits with the bytes in reverse: most values pushed
// are small integers, whose low mantissa bytes are zero.
func appendFloat(dst []byte, v uint64) []byte {
	return binary.AppendUvarint(dst, bits.ReverseBytes64(v))
}

// wireReader reads what the append functions wrote. The first error sticks, and
// reads after it return zeroes, so callers check once.
type wireReader struct {
	b   []byte
	err error
	odd bool // something was written otherwise than the append functions do
}

func (r *wireReader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", errCorrupt, what)
	}
	r.b = nil
}

func (r *wireReader) byte() byte {
	if len(r.b) == 0 {
		r.fail("short")
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *wireReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("bad varint")
		return 0
	}
	r.pass(n)
	return v
}

// pass goes behind a varint of n bytes. One that ends with nothing is longer than need be.
func (r *wireReader) pass(n int) {
	r.odd = r.odd || n > 1 && r.b[n-1] == 0
	r.b = r.b[n:]
}

func (r *wireReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("bad varint")
		return 0
	}
	r.pass(n)
	return v
}

func (r *wireReader) float() uint64 { return bits.ReverseBytes64(r.uvarint()) }

// count reads a number of things that take at least one byte each, so that
// memory asked for is never more than a constant times the input.
func (r *wireReader) count() int {
	v := r.uvarint()
	if v > uint64(len(r.b)) {
		r.fail("count past the end")
		return 0
	}
	return int(v)
}

// index reads a number below n.
func (r *wireReader) index(n int) uint32 {
	v := r.uvarint()
	if v >= uint64(n) {
		r.fail("index out of range")
		return 0
	}
	return uint32(v)
}

func (r *wireReader) uint32() uint32 {
	v := r.uvarint()
	if v > math.MaxUint32 {
		r.fail("number out of range")
		return 0
	}
	return uint32(v)
}

func (r *wireReader) int32() int32 {
	v := r.varint()
	if v > math.MaxInt32 || v < math.MinInt32 {
		r.fail("number out of range")
		return 0
	}
	return int32(v)
}

func (r *wireReader) bytes() []byte {
	n := r.count()
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *wireReader) string() string { return string(r.bytes()) }

// strings reads n strings, and behind them more as one text with the places
// where each ends, all in one piece of memory.
func (r *wireReader) strings(n, more int) (out []string, text string, ends []uint32) {
	if n+more > len(r.b) {
		r.fail("strings past the end")
		return nil, "", nil
	}
	lengths, first := make([]int, n), 0
	for i := range lengths {
		lengths[i] = r.count()
		first += lengths[i]
	}
	ends, total := make([]uint32, more), first
	for i := range ends {
		total += r.count()
		ends[i] = uint32(total - first)
	}
	if total > len(r.b) || r.err != nil {
		r.fail("strings past the end")
		return nil, "", nil
	}
	all := string(r.b[:total])
	r.b, text = r.b[total:], all[first:]
	out = make([]string, n)
	for i, l := range lengths {
		out[i], all = all[:l], all[l:]
	}
	return out, text, ends
}

// symbolWriter writes strings that recur: each in full the first time, then by
// number.
type symbolWriter struct{ numbers map[string]uint64 }

func (w *symbolWriter) append(dst []byte, s string) []byte {
	if n, ok := w.numbers[s]; ok {
		return binary.AppendUvarint(dst, n)
	}
	if w.numbers == nil {
		w.numbers = map[string]uint64{}
	}
	w.numbers[s] = uint64(len(w.numbers)) + 1
	return appendString(append(dst, 0), s)
}

// symbolReader reads what a symbolWriter wrote.
type symbolReader struct{ seen []string }

func (t *symbolReader) read(r *wireReader) string {
	n := r.uvarint()
	switch {
	case n == 0:
		t.seen = append(t.seen, r.string())
		return t.seen[len(t.seen)-1]
	case n > uint64(len(t.seen)):
		r.fail("symbol out of range")
		return ""
	}
	return t.seen[n-1]
}
