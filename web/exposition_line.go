package web

import (
	"math"
	"strconv"

	"github.com/prometheus/common/model"
)

// lineWriter renders the sample lines of one family after another.
type lineWriter struct {
	line []byte
	name []byte // what a line begins with, up to the name's suffix
	open string // what follows the suffix, before the labels
}

// setName begins a family. A name outside the legacy character set stands in
// quotes inside the braces.
func (l *lineWriter) setName(name string) {
	if model.LegacyValidation.IsValidMetricName(name) {
		l.name, l.open = append(l.name[:0], name...), "{"
		return
	}
	l.name, l.open = appendEscaped(append(l.name[:0], `{"`...), name, true), `",`
}

// sample renders a line. The result is good until the next one.
func (l *lineWriter) sample(suffix string, labels []byte, value float64) []byte {
	return l.end(l.begin(suffix, labels), value)
}

// bounded renders a line with a bucket bound or quantile.
func (l *lineWriter) bounded(suffix, label string, labels []byte, bound, value float64) []byte {
	b := append(append(l.begin(suffix, labels), ','), label...)
	b = appendFloat(append(b, `="`...), bound)
	return l.end(append(b, '"'), value)
}

func (l *lineWriter) begin(suffix string, labels []byte) []byte {
	b := append(append(l.line[:0], l.name...), suffix...)
	return append(append(b, l.open...), labels...)
}

func (l *lineWriter) end(b []byte, value float64) []byte {
	b = appendFloat(append(b, '}', ' '), value)
	l.line = append(b, '\n')
	return l.line
}

func float(slot uint64) float64 { return math.Float64frombits(slot) }

// appendFloat spells f as expfmt does. Small whole numbers are by far the most
// frequent, and need no search for the shortest spelling.
func appendFloat(b []byte, f float64) []byte {
	if i := int64(f); float64(i) == f && -1e6 < f && f < 1e6 {
		return strconv.AppendInt(b, i, 10) // also -0, as 0
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}

// appendName writes a metric or label name, in quotes where the legacy character
// set does not hold it.
func appendName(b []byte, name string) []byte {
	if model.LegacyValidation.IsValidMetricName(name) {
		return append(b, name...)
	}
	return append(appendEscaped(append(b, '"'), name, true), '"')
}

// appendEscaped writes s with backslash, newline and, if quoted, double quote
// escaped.
func appendEscaped(b []byte, s string, quoted bool) []byte {
	done := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\n':
			b = append(append(b, s[done:i]...), '\\', 'n')
		case c == '\\', c == '"' && quoted:
			b = append(append(b, s[done:i]...), '\\', c)
		default:
			continue
		}
		done = i + 1
	}
	return append(b, s[done:]...)
}
