package jetstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/golang/snappy"

	"github.com/pushbridge/pushbridge/queue"
)

// A message is a header and a piece of a batch, packed with snappy. A batch that is
// larger than a message may be is cut into pieces, and counts when the last one is there:
// a large record is nothing else.
//
//	0   magic "PBJ", version 1
//	4   flags: 1 the batch ends here, 2 the piece is not packed
//	8   epoch of the leader that wrote it
//	16  nonce of that leader's claim
//	24  number of the piece within its batch, from 0
//	28  length of the piece before packing
//	32  sequence of the record in front of the batch, as the log has it
//	40  sequence of the batch's first record; what lies between was never used
//	48  samples of all records in front of the batch
//	56  stream sequence of the checkpoint that this batch builds on, 0: it is in the batch
//	64  CRC-32C of all this but the checksum, and of the packed piece
//	68  the packed piece
const (
	headerSize = 68
	crcAt      = 64

	flagLast = 1 << 0 // the batch ends with this piece
	flagRaw  = 1 << 1 // packing it would have made it larger

	// maxPiece bounds a piece before packing: JetStream's default of 1 MiB for a message
	// has room for that and the headers, also when it cannot be packed.
	maxPiece = 900_000
)

var magic = [4]byte{'P', 'B', 'J', 1}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

var (
	errNotOurs  = errors.New("the message is none of pushbridge's")
	errChecksum = errors.New("the message does not match its checksum")
	errContent  = errors.New("the message has a content that cannot be")
)

// header is what a message says of itself and of its batch.
type header struct {
	epoch      uint64
	nonce      uint64
	piece      uint32
	last       bool
	prev       uint64 // record in front
	first      uint64 // first record of the batch
	before     uint64 // samples in front
	checkpoint uint64 // 0: in the batch
}

// appendMessage appends a message to dst.
func appendMessage(dst []byte, h header, piece []byte) []byte {
	at, le := len(dst), binary.LittleEndian
	flags := uint32(0)
	if h.last {
		flags |= flagLast
	}
	dst = append(dst, magic[:]...)
	dst = le.AppendUint32(dst, flags)
	dst = le.AppendUint64(dst, h.epoch)
	dst = le.AppendUint64(dst, h.nonce)
	dst = le.AppendUint32(dst, h.piece)
	dst = le.AppendUint32(dst, uint32(len(piece)))
	for _, v := range []uint64{h.prev, h.first, h.before, h.checkpoint} {
		dst = le.AppendUint64(dst, v)
	}
	dst = le.AppendUint32(dst, 0)
	packed := snappy.Encode(nil, piece)
	if len(packed) >= len(piece) {
		dst[at+4] |= flagRaw
		packed = piece
	}
	dst = append(dst, packed...)
	le.PutUint32(dst[at+crcAt:], checksum(dst[at:]))
	return dst
}

func checksum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:crcAt], castagnoli()), castagnoli(), b[headerSize:])
}

// parseMessage reads a message. The error is queue.ErrNewer for what a later version
// wrote.
func parseMessage(b []byte) (h header, piece []byte, err error) {
	le := binary.LittleEndian
	if len(b) < headerSize || [3]byte(b) != [3]byte(magic[:]) {
		return h, nil, errNotOurs
	}
	if b[3] > magic[3] {
		return h, nil, fmt.Errorf("message format %d: %w", b[3], queue.ErrNewer)
	}
	if le.Uint32(b[crcAt:]) != checksum(b) {
		return h, nil, errChecksum
	}
	h = header{
		epoch: le.Uint64(b[8:]), nonce: le.Uint64(b[16:]), piece: le.Uint32(b[24:]), last: le.Uint32(b[4:])&flagLast != 0,
		prev: le.Uint64(b[32:]), first: le.Uint64(b[40:]), before: le.Uint64(b[48:]), checkpoint: le.Uint64(b[56:]),
	}
	if piece, err = unpack(b[headerSize:], le.Uint32(b[4:])&flagRaw != 0, int(le.Uint32(b[28:]))); err != nil {
		return h, nil, errContent
	}
	return h, piece, nil
}

// unpack returns a piece of n bytes.
func unpack(b []byte, raw bool, n int) ([]byte, error) {
	switch {
	case n > maxPiece || raw && len(b) != n:
		return nil, errContent
	case raw:
		return b, nil
	}
	if packed, err := snappy.DecodedLen(b); err != nil || packed != n {
		return nil, errContent
	}
	return snappy.Decode(nil, b)
}

// messages cuts a batch into messages. h has what all of them share.
func messages(h header, batch []byte) [][]byte {
	var all [][]byte
	for {
		n := min(len(batch), maxPiece)
		h.last = n == len(batch)
		all = append(all, appendMessage(nil, h, batch[:n]))
		if batch = batch[n:]; h.last {
			return all
		}
		h.piece++
	}
}
