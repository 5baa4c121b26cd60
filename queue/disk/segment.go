package disk

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"sync/atomic"
)

// storeID is the random identity of a storage directory.
type storeID [16]byte

// String returns the identity in hex.
func (id storeID) String() string { return hex.EncodeToString(id[:]) }

// Every file starts with the same 16 bytes: 8 of magic, the format version, and
// a checksum of both, so that an unknown version is told apart from damage
// whatever the rest looks like.
const (
	preambleSize  = 16
	segmentMagic  = "pbq-segm"
	snapshotMagic = "pbq-snap"
	cursorMagic   = "pbq-curs"
	storeMagic    = "pbq-stor"
)

// appendPreamble appends the first 16 bytes of a file.
func appendPreamble(dst []byte, magic string) []byte {
	at := len(dst)
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint32(dst, newestVersion(magic))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli()))
}

var (
	errShort    = errors.New("the file is too short")
	errPreamble = errors.New("the first bytes do not match their checksum")
	errMagic    = errors.New("the file is none of ours")
	errHeader   = errors.New("the header does not match its checksum")
)

// parsePreamble checks the first 16 bytes of a file. A *VersionError is certain;
// other errors are damage.
func parsePreamble(b []byte, magic, name string) error {
	if len(b) < preambleSize {
		return errShort
	}
	if binary.LittleEndian.Uint32(b[12:]) != crc32.Checksum(b[:12], castagnoli()) {
		return errPreamble
	}
	if string(b[:8]) != magic {
		return errMagic
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v == 0 || v > newestVersion(magic) {
		return &VersionError{File: name, Version: v, Newest: newestVersion(magic)}
	}
	return nil
}

// segmentHeader is the start of a segment.
type segmentHeader struct {
	store  storeID
	number uint64
	first  uint64 // sequence of the first record
	floor  int64  // largest timestamp known when the segment was made
	before uint64 // samples of all records before
	void   uint64 // sequences from void to first-1 failed; 0: none
	era    uint32 // timestamps of an earlier era do not count, see ResetClock
}

const segmentHeaderSize = 80

// append appends the header's bytes to dst.
func (h segmentHeader) append(dst []byte) []byte {
	at := len(dst)
	dst = appendPreamble(dst, segmentMagic)
	dst = append(dst, h.store[:]...)
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, h.number)
	dst = le.AppendUint64(dst, h.first)
	dst = le.AppendUint64(dst, uint64(h.floor))
	dst = le.AppendUint64(dst, h.before)
	dst = le.AppendUint64(dst, h.void)
	dst = le.AppendUint32(dst, h.era)
	return le.AppendUint32(dst, crc32.Checksum(dst[at+preambleSize:], castagnoli()))
}

// parseSegmentHeader reads a header. The fields are good unless the error is
// errHeader, errShort or a *VersionError: a damaged preamble alone hides nothing.
func parseSegmentHeader(b []byte, name string) (segmentHeader, error) {
	err := parsePreamble(b, segmentMagic, name)
	if errors.As(err, new(*VersionError)) {
		return segmentHeader{}, err
	}
	if len(b) < segmentHeaderSize {
		return segmentHeader{}, errShort
	}
	le := binary.LittleEndian
	if le.Uint32(b[76:]) != crc32.Checksum(b[preambleSize:76], castagnoli()) {
		return segmentHeader{}, errHeader
	}
	h := segmentHeader{
		number: le.Uint64(b[32:]), first: le.Uint64(b[40:]), floor: int64(le.Uint64(b[48:])),
		before: le.Uint64(b[56:]), void: le.Uint64(b[64:]),
		era: le.Uint32(b[72:]),
	}
	copy(h.store[:], b[16:])
	if h.first == 0 || h.void >= h.first {
		return segmentHeader{}, errHeader
	}
	return h, err
}

// A sealed segment ends with a footer: a frame that repeats the last sequence,
// carries the largest timestamp and the books, and in its payload the counts.
const (
	footerPayload = 16
	footerSize    = frameHeaderSize + footerPayload
)

// appendFooter appends the footer of s, whose frames end at size.
func appendFooter(dst []byte, seed uint32, v segmentView) []byte {
	var payload [footerPayload]byte
	binary.LittleEndian.PutUint64(payload[:], v.records)
	binary.LittleEndian.PutUint64(payload[8:], uint64(v.size))
	f := frame{kind: kindFooter, seq: v.last, time: v.newest, total: v.total}
	return appendStored(dst, seed, f, payload[:])
}

// parseFooter reads the footer at the end of a file of the given size.
func parseFooter(b []byte, seed uint32, size int64) (f frame, records uint64, err error) {
	f, length, err := parseHeader(b, seed)
	switch {
	case err != nil:
		return f, 0, err
	case f.kind != kindFooter || length != footerPayload || len(b) < footerSize:
		return f, 0, errNoFrame
	}
	payload := b[frameHeaderSize:footerSize]
	if err := checkBody(b, payload, seed); err != nil {
		return f, 0, err
	}
	if int64(binary.LittleEndian.Uint64(payload[8:])) != size-footerSize {
		return f, 0, errNoFrame
	}
	return f, binary.LittleEndian.Uint64(payload), nil
}

// segment is one file of the log. Its view is guarded by segments.mu.
type segment struct {
	number uint64
	name   string // base name
	gone   atomic.Bool

	view segmentView
}

// segmentView is what is known of a segment at one moment: what readers may see
// of it.
type segmentView struct {
	segmentHeader
	start   int64  // where the frames begin
	last    uint64 // sequence of the last record; first-1 when there is none
	total   uint64 // samples of all records up to last
	newest  int64  // largest timestamp of header and records
	size    int64  // where the frames end
	bytes   int64  // of the file
	records uint64
	sealed  bool // nothing is added any more
}

// newView returns the view of a segment without any record. Without a good header
// the frames are looked for from the front of the file on, since bytes may be
// missing, and only the very first segment is known to begin with record 1.
func newView(h segmentHeader, good bool) segmentView {
	v := segmentView{segmentHeader: h, start: segmentHeaderSize, total: h.before, newest: h.floor}
	if !good {
		v.start = 0
		if h.number == 1 {
			v.first = 1
		}
	}
	if v.first > 0 {
		v.last = v.first - 1
	}
	v.size = segmentHeaderSize
	return v
}

// add counts a good record. Without a good header, the first one says where the
// segment starts.
func (v *segmentView) add(f *frame) {
	if v.first == 0 {
		v.first, v.before = f.seq, f.before()
	}
	v.last, v.total, v.newest = f.seq, f.total, max(v.newest, f.time)
	v.size = f.offset + f.size
	v.records++
}

const (
	segmentSuffix  = ".segment"
	snapshotSuffix = ".snapshot"
	cursorSuffix   = ".cursor"
	forgetSuffix   = ".forget" // an empty file beside a cursor: the process that has the directory open is asked to forget it
	tempSuffix     = ".tmp"
	asideSuffix    = ".aside"
	storeName      = "store"
	lockName       = "lock"
)

// numbered is the name of a file with a number: names sort as numbers do.
func numbered(n uint64, suffix string) string { return fmt.Sprintf("%020d%s", n, suffix) }

// segmentNumber reads a segment's number from its name, also when the file was
// moved aside.
func segmentNumber(name string) (n uint64, ok bool) {
	digits, _, ok := strings.Cut(name, segmentSuffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}
