package remotewrite

import (
	"bytes"
	"sync/atomic"
)

// buffer holds the body of a request and is used again for the next one. A
// transport may go on reading a body after it has returned the answer: as long
// as it does, the memory is not touched.
type buffer struct {
	bytes   []byte
	readers *atomic.Int32 // open ones of bytes
	leave   func()        // called before the first byte of a request leaves; nil for nothing
}

// fill replaces the content. write gets a slice to use if it is large enough,
// as snappy.Encode wants it, and returns the content.
func (b *buffer) fill(write func(dst []byte) []byte) {
	if b.readers == nil || b.readers.Load() > 0 {
		b.bytes, b.readers = nil, new(atomic.Int32)
	}
	b.bytes = write(b.bytes[:cap(b.bytes)])
}

// reader returns a new reader of the content.
func (b *buffer) reader() *bodyReader {
	b.readers.Add(1)
	r := &bodyReader{readers: b.readers}
	r.Reset(b.bytes)
	return r
}

type bodyReader struct {
	bytes.Reader
	readers *atomic.Int32
	closed  atomic.Bool
}

// Close gives the memory back.
func (r *bodyReader) Close() error {
	if r.closed.CompareAndSwap(false, true) {
		r.readers.Add(-1)
	}
	return nil
}
