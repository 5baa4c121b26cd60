package ingest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/golang/snappy"

	"github.com/pushbridge/pushbridge/group"
)

// DecodeBody undoes the Content-Encoding of a request before next sees it, and
// puts the bounds on its body. It belongs around every route outside /api: a
// bad gzip header is answered 400 there whatever the path and method, as
// Pushgateway does. Wrapping twice is harmless.
func (h *Handler) DecodeBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, done := r.Body.(*body); done {
			next.ServeHTTP(w, r)
			return
		}
		b, err := openBody(w, r, &h.limits)
		if err != nil {
			h.refuse(w, r, nil, err)
			return
		}
		defer b.release()
		r.Body = b
		next.ServeHTTP(w, r)
	})
}

// body is a request body, decompressed and bounded. Its errors are ready to be
// answered.
type body struct {
	io.Reader           // decompressed
	raw       io.Closer // as sent
	encoding  string    // "gzip", "snappy" or ""
	ignored   string    // a Content-Encoding that we do not know
	left      int64     // decompressed bytes that may still come
	limits    *Limits
	gzip      *gzip.Reader
	snappy    *snappy.Reader
}

var (
	gzipReaders   = sync.Pool{New: func() any { return new(gzip.Reader) }}
	snappyReaders = sync.Pool{New: func() any { return snappy.NewReader(nil) }}
)

func openBody(w http.ResponseWriter, r *http.Request, l *Limits) (*body, error) {
	raw := r.Body
	if r.ContentLength < 0 || r.ContentLength > l.MaxBodyBytes { // otherwise no more comes than was announced
		raw = http.MaxBytesReader(w, r.Body, l.MaxBodyBytes)
	}
	b := &body{raw: raw, left: l.MaxDecodedBytes, limits: l}
	switch enc := strings.ToLower(r.Header.Get("Content-Encoding")); enc {
	case "gzip":
		b.encoding = enc
		if r.ContentLength > l.MaxBodyBytes { // before anything is read
			return nil, b.readError(&http.MaxBytesError{Limit: l.MaxBodyBytes})
		}
		b.gzip = gzipReaders.Get().(*gzip.Reader)
		b.Reader = b.gzip
		if err := b.gzip.Reset(raw); err != nil {
			b.release()
			return nil, b.readError(err)
		}
	case "snappy":
		b.encoding = enc
		b.snappy = snappyReaders.Get().(*snappy.Reader)
		b.snappy.Reset(raw)
		b.Reader = b.snappy
	default:
		b.ignored = enc
		b.Reader = raw
	}
	return b, nil
}

// Read implements io.Reader and keeps the bound on what decompression yields.
func (b *body) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, b.tooLarge()
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.Reader.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n, b.tooLarge()
	}
	if err != nil && err != io.EOF { //nolint:errorlint // io.EOF is never wrapped by a Reader
		err = b.readError(err)
	}
	return n, err
}

// Close closes the body as sent.
func (b *body) Close() error { return b.raw.Close() }

// release hands the decompressor to the next request.
func (b *body) release() {
	if b.gzip != nil {
		gzipReaders.Put(b.gzip)
	}
	if b.snappy != nil {
		b.snappy.Reset(nil)
		snappyReaders.Put(b.snappy)
	}
	b.gzip, b.snappy, b.Reader = nil, nil, eofReader{}
}

type eofReader struct{}

func (eofReader) Read([]byte) (int, error) { return 0, io.EOF }

func (b *body) tooLarge() error {
	return &TooLargeError{What: "decompressed body", Limit: b.limits.MaxDecodedBytes, Flag: FlagMaxDecodedBytes}
}

// readError says what a failed read means for the one who sent the body.
func (b *body) readError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &TooLargeError{What: "body", Limit: b.limits.MaxBodyBytes, Flag: FlagMaxBodyBytes}
	}
	if _, ok := errors.AsType[*SlowError](err); ok {
		return err
	}
	if b.encoding != "" {
		if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF { //nolint:errorlint // gzip returns it bare for an empty body
			return bodyErrorf("decode %s body: it ends too early: %w", b.encoding, err)
		}
		return bodyErrorf("decode %s body: %w", b.encoding, err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return bodyErrorf("read body: it is shorter than its Content-Length: %w", err)
	}
	return bodyErrorf("read body: %w", err)
}

// hintEncoding adds to a parse error that the body may have been compressed in a
// way that is ignored, as Pushgateway does, or without saying so.
func hintEncoding(r *http.Request, start []byte, err error) error {
	b, ok := r.Body.(*body)
	if err == nil || !ok {
		return err
	}
	if b.ignored != "" && b.ignored != "identity" {
		return bodyErrorf("%w (Content-Encoding %q is not known and was ignored: use gzip or snappy)", err, group.Brief(b.ignored))
	}
	for _, c := range compressions {
		if bytes.HasPrefix(start, []byte(c.magic)) {
			return bodyErrorf("%w (the body is compressed: %s)", err, c.hint)
		}
	}
	return err
}

// compressions tells by their first bytes what pushes are compressed with.
var compressions = []struct{ magic, hint string }{
	{"\x1f\x8b", "send it with the header Content-Encoding: gzip"},
	{"\xff\x06\x00\x00sNaPpY", "send it with the header Content-Encoding: snappy"},
	{"\x28\xb5\x2f\xfd", "zstd is not understood, use gzip and the header Content-Encoding: gzip"},
}

// lengthKnown reports whether the client said how long the body is. One of unknown
// length ends where its producer ended, which may have been cut off.
func lengthKnown(r *http.Request) bool { return r.ContentLength >= 0 }

func bodyErrorf(format string, args ...any) error {
	return &MalformedError{Part: "body", Err: fmt.Errorf(format, args...)}
}

// Sizes of the buffer that a body is read into.
const (
	firstBuffer  = 4 << 10
	pooledBuffer = 1 << 20
	spare        = 1 // normalizeText appends a newline
)

var bodyBuffers = sync.Pool{New: func() any { return new(make([]byte, 0, firstBuffer)) }}

// readBody reads the whole body, charging l for the room it takes as it goes.
// The result is good until recycle.
func readBody(r *http.Request, limits Limits, l *lease) (*[]byte, error) {
	if r.ContentLength > limits.MaxBodyBytes {
		return nil, &TooLargeError{What: "body", Limit: limits.MaxBodyBytes, Flag: FlagMaxBodyBytes}
	}
	buf := bodyBuffers.Get().(*[]byte)
	room := firstBuffer // a client that announces much and sends little holds little
	most := int(limits.MaxDecodedBytes) + bytes.MinRead
	if b, ok := r.Body.(*body); ok && b.encoding == "" && r.ContentLength >= 0 {
		most = max(room, int(r.ContentLength)+bytes.MinRead) // some of it to see the end
	}
	if err := grow(buf, 0, room, l); err != nil {
		return buf, err
	}
	for {
		n, err := r.Body.Read((*buf)[len(*buf) : room-spare])
		*buf = (*buf)[:len(*buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
		if len(*buf) < room-spare {
			continue
		}
		// Doubling leaves less behind for the collector than smaller steps do, and
		// a last small step would leave the most.
		more := 2 * room
		if more > most/2 {
			more = max(most, room+bytes.MinRead)
		}
		if err := grow(buf, room, more, l); err != nil {
			return buf, err
		}
		room = more
	}
}

// grow makes room for size bytes in a buffer that l has paid for up to paid.
func grow(buf *[]byte, paid, size int, l *lease) error {
	if size <= cap(*buf) {
		return l.take(int64(size - paid))
	}
	if err := l.take(int64(size)); err != nil {
		return err
	}
	grown := make([]byte, len(*buf), size)
	copy(grown, *buf)
	*buf = grown
	l.give(int64(paid)) // for a moment there were both
	return nil
}

// recycle keeps a buffer of ordinary size for the next push.
func recycle(buf *[]byte) {
	if buf == nil || cap(*buf) > 2*pooledBuffer {
		return
	}
	*buf = (*buf)[:0]
	bodyBuffers.Put(buf)
}

// normalizeText makes line ends those of the text format: CRLF becomes LF. A last
// line without an end gets one if whole says that nothing is missing behind it;
// but a comment does not, since a client that strips line ends turns a whole push
// into one. The parser refuses what has none. It works in place.
func normalizeText(b []byte, whole bool) []byte {
	if whole && !endsInComment(b) && len(b) > 0 && b[len(b)-1] != '\n' {
		b = append(b, '\n')
	}
	crlf := []byte("\r\n")
	to := bytes.Index(b, crlf)
	if to < 0 {
		return b
	}
	for from := to + 1; from < len(b); {
		n := bytes.Index(b[from:], crlf)
		if n < 0 {
			n = len(b) - from
		}
		to += copy(b[to:], b[from:from+n])
		from += n + 1
	}
	return b[:to]
}

// endsInComment reports whether the last line of b has no end and is a comment.
func endsInComment(b []byte) bool {
	last := bytes.TrimLeft(b[bytes.LastIndexByte(b, '\n')+1:], " \t")
	return len(last) > 0 && last[0] == '#'
}
