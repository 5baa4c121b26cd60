package ingest

import (
	"bytes"
	"hash/maphash"
	"math"
	"strconv"
	"unsafe"
)

// takenApart is a body taken apart into its values and the rest, without looking at
// what the rest means.
type takenApart struct {
	skeleton []byte   // the body without its values, behind a byte that tells the format
	values   []uint64 // float bits, or whole numbers
	whole    []bool   // which are whole numbers
}

// What the skeleton of a format begins with.
const (
	byText  = 't'
	byProto = 'p'
)

func (s *takenApart) reset(format byte) {
	s.skeleton, s.values, s.whole = append(s.skeleton[:0], format), s.values[:0], s.whole[:0]
}

func (s *takenApart) add(v uint64, whole bool) {
	s.values, s.whole = append(s.values, v), append(s.whole, whole)
}

// scanner takes bodies of one format apart. Two bodies with the same skeleton differ in
// their values only.
type scanner interface {
	// scan takes a body apart, and reports whether it could.
	scan(s *takenApart, body []byte) bool

	// probe returns the body that was taken apart with other values: the first is
	// probeBase, and each the successor of the one before.
	probe(s *takenApart, body []byte) []byte
}

// textScanner takes the text format apart. A line that is no comment must be written
// as nearly every client writes it: what it is about, a blank, and one number. In a
// skeleton a sample's line ends with a blank, a comment begins with #, and no other
// line has anything in it.
type textScanner struct{}

func (textScanner) scan(s *takenApart, text []byte) bool {
	s.reset(byText)
	for len(text) > 0 {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			return false
		}
		line := text[:end]
		text = text[end+1:]
		if end > 0 && line[0] != '#' {
			at := bytes.LastIndexByte(line, ' ') + 1
			v, ok := parseValue(line[at:])
			if !ok || at < 2 || line[0] == ' ' || line[0] == '\t' {
				return false
			}
			s.add(math.Float64bits(v), false)
			line = line[:at]
		}
		s.skeleton = append(append(s.skeleton, line...), '\n')
	}
	return true
}

func (textScanner) probe(s *takenApart, _ []byte) []byte {
	out := make([]byte, 0, len(s.skeleton)+16*len(s.values))
	next := uint64(probeBase)
	for line := range bytes.Lines(s.skeleton[1:]) {
		line = line[:len(line)-1]
		out = append(out, line...)
		if len(line) > 0 && line[0] != '#' {
			out = strconv.AppendUint(out, next, 10)
			next++
		}
		out = append(out, '\n')
	}
	return out
}

// maxPower is the largest power of ten that a float64 has exactly.
const maxPower = 22

var powers = [maxPower + 1]float64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// parseValue reads a number as the text format has it. What it does not take, the
// full parser looks at.
func parseValue(b []byte) (float64, bool) {
	if v, ok := parseDecimal(b); ok {
		return v, true
	}
	if len(b) == 0 || bytes.ContainsAny(b, "pPxX_") {
		return 0, false
	}
	v, err := strconv.ParseFloat(unsafe.String(&b[0], len(b)), 64)
	return v, err == nil
}

// parseDecimal reads digits, perhaps with a sign and a point, that are few enough
// for one division of exact numbers to round as it should.
func parseDecimal(b []byte) (float64, bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	mantissa, behind, point := uint64(0), 0, false
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			mantissa = mantissa*10 + uint64(c-'0')
			if point {
				behind++
			}
		case c == '.' && !point:
			point = true
		default:
			return 0, false
		}
	}
	digits := len(b)
	if point {
		digits--
	}
	if digits == 0 || digits > 15 {
		return 0, false
	}
	v := float64(mantissa) / powers[behind]
	if negative {
		v = math.Copysign(v, -1)
	}
	return v, true
}

// skeletonKeys hash skeletons. Both are secret and of this process alone, so that
// nobody can make two texts that meet.
type skeletonKeys [2]maphash.Seed

func newSkeletonKeys() skeletonKeys { return skeletonKeys{maphash.MakeSeed(), maphash.MakeSeed()} }

type skeletonHash [2]uint64

func (k skeletonKeys) hash(skeleton []byte) skeletonHash {
	return skeletonHash{maphash.Bytes(k[0], skeleton), maphash.Bytes(k[1], skeleton)}
}
