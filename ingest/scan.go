package ingest

import (
	"bytes"
	"hash/maphash"
	"math"
	"strconv"
	"unsafe"
)

// textScan is a text body taken apart into its values and the rest, without
// looking at what the rest means.
type textScan struct {
	skeleton []byte    // every line, a sample's without its value
	values   []float64 // the values, one for each line of a sample
}

// scan takes text apart, and reports whether it could. A line that is no comment
// must be written as nearly every client writes it: what it is about, a blank,
// and one number. Two texts with one skeleton differ in the numbers only: a
// sample's line ends with a blank there, a comment begins with #, and no other
// line has anything in it.
func (s *textScan) scan(text []byte) bool {
	s.skeleton, s.values = s.skeleton[:0], s.values[:0]
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
			s.values = append(s.values, v)
			line = line[:at]
		}
		s.skeleton = append(append(s.skeleton, line...), '\n')
	}
	return true
}

// probe returns the text with values that tell which line each came from: see
// probeBase.
func (s *textScan) probe() []byte {
	out := make([]byte, 0, len(s.skeleton)+8*len(s.values))
	rest, n := s.skeleton, uint64(probeBase)
	for len(rest) > 0 {
		end := bytes.IndexByte(rest, '\n')
		line := rest[:end]
		rest = rest[end+1:]
		out = append(out, line...)
		if end > 0 && line[0] != '#' {
			out = strconv.AppendUint(out, n, 10)
			n++
		}
		out = append(out, '\n')
	}
	return out
}

// maxPower is the largest power of ten that a float64 has exactly.
const maxPower = 22

var powers = func() (p [maxPower + 1]float64) {
	p[0] = 1
	for i := 1; i <= maxPower; i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

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
