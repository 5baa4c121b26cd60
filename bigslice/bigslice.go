// Package bigslice grows and copies slices that may become large.
//
// The Go runtime cannot stop a goroutine within the copy of one piece of memory. A garbage
// collection that wants to look at that goroutine's stack stops all others until the copy
// is done, and what is copied to fresh memory waits for a page fault every 4 KiB: 60 MB
// take up to half a second, in which no push is answered. So what grows with one push is
// copied here, a piece at a time.
package bigslice

import "slices"

// piece is how many elements are copied at a time, and bytesPiece how many of a text.
const (
	piece      = 1024
	bytesPiece = 64 << 10
)

// Append is append of one element.
func Append[T any](s []T, v T) []T {
	if len(s) == cap(s) && len(s) > piece {
		s = Grow(s, 1)
	}
	return append(s, v)
}

// AppendAll is append of the elements of more.
func AppendAll[T any](s, more []T) []T {
	s = Grow(s, len(more))
	for p := range slices.Chunk(more, piece) {
		s = append(s, p...)
	}
	return s
}

// Grow is slices.Grow.
func Grow[T any](s []T, n int) []T {
	if need := len(s) + n; need > cap(s) && len(s) > piece {
		s = AppendAll(make([]T, 0, max(need, len(s)+len(s)/2)), s)
	}
	return slices.Grow(s, n)
}

// AppendString is append of text to bytes.
func AppendString(b []byte, text string) []byte {
	b = Grow(b, len(text))
	for len(text) > 0 {
		n := min(len(text), bytesPiece)
		b, text = append(b, text[:n]...), text[n:]
	}
	return b
}

// Clone is slices.Clone.
func Clone[T any](s []T) []T {
	if s == nil {
		return nil
	}
	return AppendAll([]T{}, s)
}
