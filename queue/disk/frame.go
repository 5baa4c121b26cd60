package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/golang/snappy"

	"github.com/pushbridge/pushbridge/queue"
)

// The versions of the files that this package writes. Cursors of version 1 had no ledger,
// segments of version 1 no differences.
const (
	formatVersion  = 1
	cursorVersion  = 2
	segmentVersion = 2
)

// newestVersion is the newest version that is known of the files with a magic.
func newestVersion(magic string) uint32 {
	switch magic {
	case cursorMagic:
		return cursorVersion
	case segmentMagic:
		return segmentVersion
	}
	return formatVersion
}

// The layout of a frame's header; docs/queue-format.md draws it. All numbers are
// little endian.
const (
	frameMagic      = 0xF6A5 // bytes A5 F6
	frameHeaderSize = 44

	offKind    = 2
	offFlags   = 3
	offHeadCRC = 4
	offLength  = 8
	offBodyCRC = 12
	offSeq     = 16
	offTime    = 24
	offTotal   = 32
	offSamples = 40
)

// Kinds of frames. A reader that meets another kind passes over it if flagSkip is
// set, and otherwise needs a newer version of the program.
const (
	kindRecord = 1 // payload: the record
	kindFooter = 2 // payload: the counts of a sealed segment; last in the file
	kindDiff   = 3 // payload: how far back the base is, in sequences, and the difference of the record to it
)

// Flags of frames.
const (
	flagSnappy = 1 << 0 // the payload is compressed
	flagSynced = 1 << 1 // everything before this frame was synced before it was written
	flagSkip   = 1 << 2 // may be passed over when the kind is not known
	flagBase   = 1 << 3 // others may be written as the difference to this one
)

// maxPayload bounds a payload, stored or decompressed: a length beyond it is
// damage, not a reason to allocate.
const maxPayload = 1 << 30

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// frame is one record, or footer, as it stands in a segment.
type frame struct {
	kind    byte
	flags   byte
	seq     uint64
	time    int64
	total   uint64 // samples of all records up to and with this one
	samples uint32
	payload []byte // decompressed by open
	offset  int64  // in the file
	size    int64  // with its header
}

// isRecord reports whether f is a record, whole or as a difference.
func (f *frame) isRecord() bool { return f.kind == kindRecord || f.kind == kindDiff }

// before returns the samples of all records before f.
func (f *frame) before() uint64 { return f.total - uint64(f.samples) }

// seedOf is where the checksums of a segment's frames start: frames of another
// store, or of another segment in a recycled block, never match.
func seedOf(store storeID, segment uint64) uint32 {
	var b [len(store) + 8]byte
	copy(b[:], store[:])
	binary.LittleEndian.PutUint64(b[len(store):], segment)
	return crc32.Checksum(b[:], castagnoli())
}

// appendFrame appends f with payload to dst. The payload of a record is compressed
// when that saves an eighth of it. scratch is used for that, and returned to be
// used again.
func appendFrame(dst []byte, seed uint32, f frame, payload, scratch []byte) (frames, grown []byte) {
	if len(payload) >= 128 && f.isRecord() {
		scratch = snappy.Encode(scratch[:cap(scratch)], payload)
		if len(scratch) <= len(payload)-len(payload)/8 {
			payload = scratch
			f.flags |= flagSnappy
		}
	}
	return appendStored(dst, seed, f, payload), scratch
}

// appendStored appends f with a payload that is stored as it is.
func appendStored(dst []byte, seed uint32, f frame, payload []byte) []byte {
	return append(appendHeader(dst, seed, f, payload, nil), payload...)
}

// appendPacked appends f but for the end of its payload, which is rest. The payload is
// one block: begin as a literal, and then what was compressed before.
func appendPacked(dst []byte, seed uint32, f frame, begin []byte, rest queue.Packed, scratch []byte) (frames, grown []byte) {
	b := binary.AppendUvarint(scratch[:0], uint64(len(begin)+rest.Len))
	b = append(b, snappyLiteral)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(begin)-1))
	b = append(b, begin...)
	f.flags |= flagSnappy
	return append(appendHeader(dst, seed, f, b, rest.Elements), b...), b
}

// snappyLiteral is the tag of an element that stands for the bytes behind it: their
// number, less one, comes first, in four bytes.
const snappyLiteral = 63 << 2

// appendHeader appends the header of f, whose payload stands in two pieces.
func appendHeader(dst []byte, seed uint32, f frame, begin, rest []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, frameHeaderSize)...)
	h := dst[at:]
	le := binary.LittleEndian
	le.PutUint16(h, frameMagic)
	h[offKind], h[offFlags] = f.kind, f.flags
	le.PutUint32(h[offLength:], uint32(len(begin)+len(rest)))
	le.PutUint32(h[offBodyCRC:], crc32.Update(crc32.Update(seed, castagnoli(), begin), castagnoli(), rest))
	le.PutUint64(h[offSeq:], f.seq)
	le.PutUint64(h[offTime:], uint64(f.time))
	le.PutUint64(h[offTotal:], f.total)
	le.PutUint32(h[offSamples:], f.samples)
	le.PutUint32(h[offHeadCRC:], headCRC(seed, h))
	return dst
}

// headCRC is the checksum of a header without the field that holds it.
func headCRC(seed uint32, h []byte) uint32 {
	c := crc32.Update(seed, castagnoli(), h[:offHeadCRC])
	return crc32.Update(c, castagnoli(), h[offLength:frameHeaderSize])
}

// What can be wrong with a frame.
var (
	errNoFrame   = errors.New("no frame starts here")
	errFrameHead = errors.New("the frame's header does not match its checksum")
	errFrameBody = errors.New("the frame's payload does not match its checksum")
	errFrameCut  = errors.New("the frame is cut short")
	errPayload   = errors.New("the frame's payload does not decompress")
)

// parseHeader reads the header at the start of b. The payload is not looked at:
// only length tells where it ends.
func parseHeader(b []byte, seed uint32) (f frame, length int64, err error) {
	le := binary.LittleEndian
	if len(b) < 2 || le.Uint16(b) != frameMagic {
		return f, 0, errNoFrame
	}
	if len(b) < frameHeaderSize {
		return f, 0, errFrameCut
	}
	if le.Uint32(b[offHeadCRC:]) != headCRC(seed, b) {
		return f, 0, errFrameHead
	}
	f = frame{
		kind: b[offKind], flags: b[offFlags],
		seq: le.Uint64(b[offSeq:]), time: int64(le.Uint64(b[offTime:])),
		total: le.Uint64(b[offTotal:]), samples: le.Uint32(b[offSamples:]),
	}
	length = int64(le.Uint32(b[offLength:]))
	if length > maxPayload || f.total < uint64(f.samples) || f.seq == 0 && f.isRecord() {
		return f, 0, errFrameHead
	}
	f.size = frameHeaderSize + length
	return f, length, nil
}

// checkBody compares the stored payload with its checksum.
func checkBody(header, stored []byte, seed uint32) error {
	if binary.LittleEndian.Uint32(header[offBodyCRC:]) != crc32.Update(seed, castagnoli(), stored) {
		return errFrameBody
	}
	return nil
}

// decompress returns the payload behind stored, in scratch when it had to be
// decompressed.
func (f *frame) decompress(stored, scratch []byte) (payload, grown []byte, err error) {
	if f.flags&flagSnappy == 0 {
		return stored, scratch, nil
	}
	n, err := snappy.DecodedLen(stored)
	// Snappy cannot shrink anything below 3 bytes in 64: more is a lie.
	if err != nil || n > maxPayload || n > 22*len(stored)+64 {
		return nil, scratch, errPayload
	}
	payload, err = snappy.Decode(scratch[:cap(scratch)], stored)
	if err != nil {
		return nil, scratch, fmt.Errorf("%w: %w", errPayload, err)
	}
	return payload, payload, nil
}
