package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/pushbridge/pushbridge/osfile"
)

const (
	scanChunk = 256 << 10 // read at once
	pageSize  = 4096
)

// scanner reads the frames of a segment in order, and finds its way past damage.
type scanner struct {
	src     io.ReaderAt
	file    string // for reports
	segment uint64
	seed    uint32
	off     int64 // where the next frame should start
	end     int64 // nothing is read from here on

	last   uint64 // sequence and books of the last good frame
	total  uint64
	known  bool  // last and total are: false in front of the first good frame of a segment without a header
	synced int64 // offset of the last frame with flagSynced

	ahead      bool // see newFileScanner
	unreadable bool // the disk could not read a page

	buf     []byte // the bytes from bufAt on
	bufAt   int64
	scratch []byte // decompressed payload
	found   *frame // good frame behind damage that was just reported
}

// newScanner returns a scanner of the frames of a segment, up to the offset end.
func newScanner(src io.ReaderAt, name string, v segmentView, end int64) *scanner {
	s := &scanner{
		src: src, file: name, segment: v.number, seed: seedOf(v.store, v.number),
		off: v.start, end: end, total: v.before,
	}
	if v.first > 0 {
		s.last, s.known = v.first-1, true
	}
	return s
}

// newFileScanner returns one up to the end of the file, where zeros may be ahead of records.
func newFileScanner(src io.ReaderAt, name string, v segmentView, size int64) *scanner {
	s := newScanner(src, name, v, size)
	s.ahead = true
	return s
}

// next returns the next good frame; its payload is valid until the call after. It
// returns io.EOF at the end, and a *CorruptionError once for each damaged range,
// before the frame that follows it. Other errors are of reading.
func (s *scanner) next() (frame, error) {
	if f := s.found; f != nil {
		s.found = nil
		return *f, s.accept(f)
	}
	if s.off >= s.end {
		return frame{}, io.EOF
	}
	for again := s.ahead; ; again = false {
		f, err := s.parse(s.off)
		if err == nil {
			return f, s.accept(&f)
		}
		if !isDamage(err) {
			return frame{}, err
		}
		ended, eerr := s.ended(err)
		if eerr != nil {
			return frame{}, eerr
		}
		if ended {
			s.off = s.end
			return frame{}, io.EOF
		}
		if !again {
			return frame{}, s.skip(err)
		}
		s.buf = s.buf[:0] // who writes the segment may have written over the zeros since
	}
}

// ended reports whether nothing but zeros follows, which were written ahead of records: there
// is no frame at s.off, for the reason cause. What the disk cannot read is no zero.
func (s *scanner) ended(cause error) (bool, error) {
	if !s.ahead || !s.known || !errors.Is(cause, errNoFrame) {
		return false, nil
	}
	end, err := s.written(s.off)
	return end == s.off && !s.unreadable, err
}

// written returns where the zeros at the end begin, or off if all from there on are.
func (s *scanner) written(off int64) (int64, error) {
	end := off
	for at := off; at < s.end; {
		b, err := s.window(at, min(scanChunk, s.end-at))
		if err != nil || len(b) == 0 {
			return end, err
		}
		if n := len(bytes.TrimRight(b, "\x00")); n > 0 {
			end = at + int64(n)
		}
		at += int64(len(b))
	}
	return end, nil
}

// accept moves the scanner behind f.
func (s *scanner) accept(f *frame) error {
	s.off = f.offset + f.size
	s.last, s.total, s.known = f.seq, f.total, true
	if f.flags&flagSynced != 0 {
		s.synced = f.offset
	}
	if !f.isRecord() && f.kind != kindFooter && f.flags&flagSkip == 0 {
		return fmt.Errorf("%s: a frame of kind %d at %d needs a newer version of the program", s.file, f.kind, f.offset)
	}
	return nil
}

// parse reads the frame at off completely.
func (s *scanner) parse(off int64) (frame, error) {
	head, err := s.window(off, frameHeaderSize)
	if err != nil {
		return frame{}, err
	}
	f, _, err := parseHeader(head, s.seed)
	if err != nil {
		return f, err
	}
	f.offset = off
	if off+f.size > s.end {
		return f, errFrameCut
	}
	b, err := s.window(off, f.size)
	if err != nil {
		return f, err
	}
	if int64(len(b)) < f.size {
		return f, errFrameCut
	}
	if err := checkBody(b, b[frameHeaderSize:], s.seed); err != nil {
		return f, err
	}
	if f.seq < s.last || f.isRecord() && f.seq == s.last {
		return f, errOrder
	}
	f.payload, s.scratch, err = f.decompress(b[frameHeaderSize:], s.scratch)
	return f, err
}

// readFrame reads the frame at off by itself: neither where the scanner is nor what it
// returned last changes.
func (s *scanner) readFrame(off int64) (frame, error) {
	aside := scanner{src: s.src, file: s.file, segment: s.segment, seed: s.seed}
	aside.end = min(off+frameHeaderSize, s.end) // no more than that is read
	head, err := aside.window(off, frameHeaderSize)
	if err != nil {
		return frame{}, err
	}
	f, _, err := parseHeader(head, s.seed)
	if err != nil {
		return f, err
	}
	aside.end = min(off+f.size, s.end)
	return aside.parse(off)
}

var errOrder = errors.New("the frame's sequence is not behind the one before")

// isDamage tells what the bytes say from errors of reading them.
func isDamage(err error) bool {
	for _, e := range []error{errNoFrame, errFrameHead, errFrameBody, errFrameCut, errOrder, errPayload, errNoBase} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// skip looks for the next good frame behind the damage at s.off and describes
// what lies between. Neither a payload nor old disk content can look like a
// frame: checksums start from the store's identity and the segment's number.
func (s *scanner) skip(cause error) error {
	bad := &CorruptionError{File: s.file, Segment: s.segment, Offset: s.off, Err: cause}
	seen := [2]uint64{} // sequences of frames whose header at least is good
	for off := s.off; ; off++ {
		var err error
		if off, err = s.findMagic(off); err != nil {
			return err
		}
		if off < 0 {
			return s.torn(bad, seen)
		}
		f, err := s.parse(off)
		switch {
		case err == nil:
			return s.resume(bad, &f)
		case !isDamage(err):
			return err
		case f.isRecord() && f.seq > s.last && !errors.Is(err, errOrder):
			seen[1] = f.seq
			if seen[0] == 0 {
				seen[0] = f.seq
			}
		}
	}
}

// resume describes damage that f follows: what it cost is between f and the last
// good frame.
func (s *scanner) resume(bad *CorruptionError, f *frame) error {
	s.found = f
	bad.Length = f.offset - bad.Offset
	next := f.seq
	if !f.isRecord() {
		next++ // a footer repeats the last sequence
	}
	if s.known && next > s.last+1 {
		bad.First, bad.Last = s.last+1, next-1
		bad.Samples = minus(f.before(), s.total)
	}
	s.off = f.offset
	return bad
}

// torn describes damage that nothing good follows, without pages of zeros ahead.
func (s *scanner) torn(bad *CorruptionError, seen [2]uint64) error {
	bad.Length = s.end - bad.Offset
	if s.ahead {
		end, err := s.written(bad.Offset)
		if err != nil {
			return err
		}
		bad.Length = min(s.end, (end+pageSize-1)/pageSize*pageSize) - bad.Offset
	}
	bad.First, bad.Last = seen[0], seen[1]
	bad.Torn = true
	s.off = s.end
	return bad
}

// findMagic returns the first offset from off on where a frame may start, or -1.
func (s *scanner) findMagic(off int64) (int64, error) {
	for off < s.end {
		b, err := s.window(off, min(scanChunk, s.end-off))
		if err != nil {
			return 0, err
		}
		if i := bytes.Index(b, []byte{frameMagic & 0xff, frameMagic >> 8}); i >= 0 {
			return off + int64(i), nil
		}
		if len(b) < 2 {
			break
		}
		off += int64(len(b)) - 1 // the last byte may be half of a magic
	}
	return -1, nil
}

// window returns n bytes at off, fewer where the file ends.
func (s *scanner) window(off, n int64) ([]byte, error) {
	n = min(n, s.end-off)
	at := off - s.bufAt
	if at >= 0 && at+n <= int64(len(s.buf)) {
		return s.buf[at : at+n], nil
	}
	want := min(max(n, scanChunk), s.end-off)
	if int64(cap(s.buf)) < want {
		s.buf = make([]byte, want)
	}
	b := s.buf[:want]
	got, bad, err := readPages(s.src, b, off)
	s.unreadable = s.unreadable || bad
	s.buf, s.bufAt = b[:got], off
	if err != nil {
		s.buf = s.buf[:0]
		return nil, fmt.Errorf("read %s at %d: %w", s.file, off, err)
	}
	return s.buf[:min(n, int64(got))], nil
}

// readPages reads like ReadAt, without io.EOF. Pages that the disk cannot read
// come back as zeros: they are damage, and must not hide what is around them.
func readPages(src io.ReaderAt, b []byte, off int64) (n int, bad bool, err error) {
	n, err = src.ReadAt(b, off)
	if err == nil || errors.Is(err, io.EOF) {
		return n, false, nil
	}
	if !osfile.Unreadable(err) {
		return 0, false, err
	}
	for n = 0; n < len(b); {
		page := b[n:min(len(b), n+pageSize-int((off+int64(n))%pageSize))]
		m, err := src.ReadAt(page, off+int64(n))
		switch {
		case errors.Is(err, io.EOF):
			return n + m, bad, nil
		case osfile.Unreadable(err):
			clear(page)
			bad = true
		case err != nil:
			return 0, bad, err
		}
		n += len(page)
	}
	return n, bad, nil
}

// minus is a-b, and 0 when damaged books would make it negative.
func minus(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}
