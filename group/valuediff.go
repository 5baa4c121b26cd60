package group

import (
	"math"
	"math/bits"
)

// Values as differences to those of a base. Each has a code of four bits, all codes come
// first, and behind them the bytes that the codes announce, lowest first:
//
//	0      the same bits
//	1-7    so many bytes: what is added to the base's number, zigzag
//	8-15   less 7, so many bytes: what differs in the bits, which is at the low end
//
// A slot that holds no float is its own number. A float has one when the base is written
// with up to nine digits behind the point: the value without the point, where that is
// put behind 0, 3, 6 or 9 digits. Values of one series are given with the same digits,
// as a rule, and so their difference is short where their bits share nothing.
const (
	codeSame   = 0
	codeNumber = 1
	codeBits   = 8
)

func appendValueDiff(dst []byte, s *Shape, base, values []uint64) []byte {
	codes := len(dst)
	dst = append(dst, make([]byte, (len(values)+1)/2)...)
	at := 0
	for i := range s.metrics {
		m := &s.metrics[i]
		for j := range m.slots() {
			code, diff, n := diffOf(base[at], values[at], m.Form.FloatSlot(j))
			dst[codes+at/2] |= code << (4 * (at % 2))
			for range n {
				dst = append(dst, byte(diff))
				diff >>= 8
			}
			at++
		}
	}
	return dst
}

// diffOf returns the code of a value, and the n bytes that it announces.
func diffOf(base, value uint64, float bool) (code byte, diff uint64, n int) {
	if base == value {
		return codeSame, 0, 0
	}
	diff = base ^ value
	n = (bits.Len64(diff) + 7) / 8
	code = byte(codeBits + n - 1)
	if d, ok := numberDiff(base, value, float); ok {
		if m := max(1, (bits.Len64(d)+7)/8); m < n || m == n && m < 8 {
			return byte(codeNumber + m - 1), d, m
		}
	}
	return code, diff, n
}

// numberDiff returns the difference of the numbers of two slots, zigzag.
func numberDiff(base, value uint64, float bool) (diff uint64, ok bool) {
	if !float {
		return zigzag(int64(value - base)), true
	}
	number, unit := numberOf(base)
	if unit == 0 {
		return 0, false
	}
	other := math.RoundToEven(math.Float64frombits(value) * unit)
	if !(math.Abs(other) < maxNumber) || floatOf(int64(other), unit) != value {
		return 0, false
	}
	return zigzag(int64(other) - number), true
}

// maxNumber is the first number that floats do not have all neighbours of.
const maxNumber = 1 << 53

// numberOf returns the number of a float, and what one stands for: 1, or a thousandth, a
// millionth or a billionth, as its inverse. The unit of a float without a number is 0.
func numberOf(b uint64) (number int64, unit float64) {
	v := math.Float64frombits(b)
	for unit = 1; unit <= 1e9; unit *= 1e3 {
		n := math.RoundToEven(v * unit)
		if !(math.Abs(n) < maxNumber) { // not a number, too
			return 0, 0
		}
		if floatOf(int64(n), unit) == b {
			return int64(n), unit
		}
	}
	return 0, 0
}

// floatOf returns the bits of the float that is nearest to a number of units.
func floatOf(number int64, unit float64) uint64 { return math.Float64bits(float64(number) / unit) }

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

func readValueDiff(w *wireReader, s *Shape, base []uint64) []uint64 {
	n := (len(base) + 1) / 2
	if n > len(w.b) || len(base) != s.values {
		w.fail("values past the end")
		return nil
	}
	codes := w.b[:n]
	w.b = w.b[n:]
	values, at := make([]uint64, len(base)), 0
	for i := range s.metrics {
		m := &s.metrics[i]
		for j := range m.slots() {
			code := codes[at/2] >> (4 * (at % 2)) & 0xf
			values[at] = w.valueDiff(base[at], code, m.Form.FloatSlot(j))
			at++
		}
	}
	return values
}

// valueDiff reads one value.
func (r *wireReader) valueDiff(base uint64, code byte, float bool) uint64 {
	switch {
	case code == codeSame:
		return base
	case code >= codeBits && float:
		return cleanFloat(base ^ r.low(int(code)-codeBits+1))
	case code >= codeBits:
		return base ^ r.low(int(code)-codeBits+1)
	}
	diff := unzigzag(r.low(int(code) - codeNumber + 1))
	if !float {
		return base + uint64(diff)
	}
	number, unit := numberOf(base)
	if unit == 0 {
		r.fail("a difference to what is no number")
	}
	return floatOf(number+diff, unit)
}

// low reads a number of n bytes, lowest first.
func (r *wireReader) low(n int) (v uint64) {
	if n > len(r.b) {
		r.fail("short")
		return 0
	}
	for i := n - 1; i >= 0; i-- {
		v = v<<8 | uint64(r.b[i])
	}
	r.b = r.b[n:]
	return v
}
