package deadletter

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// A frame: magic, length of the payload, CRC-32C of kind and payload, kind, payload. All
// numbers are little endian.
const (
	frameMagic  = "\xF6PBD"
	frameHeader = 4 + 4 + 4 + 1

	maxPayload = 8 << 20
)

// Kinds of frames. A reader passes over a kind that it does not know.
const (
	kindLedger   = 1
	kindLetter   = 2
	kindSettled  = 3
	kindTakeBack = 4 // ids that were never settled
	kindRedeemed = 5
	kindTried    = 6
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func appendFrame(dst []byte, kind byte, payload []byte) []byte {
	dst = append(dst, frameMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.LittleEndian.AppendUint32(dst, checksum(kind, payload))
	return append(append(dst, kind), payload...)
}

func checksum(kind byte, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte{kind}, castagnoli()), castagnoli(), payload)
}

// frame is one that was read.
type frame struct {
	kind    byte
	payload []byte
	at, end int
}

// Range is a part of a file that cannot be read.
type Range struct {
	File   string `json:"file"`
	Offset int    `json:"offset"`
	Length int    `json:"length"`
	Torn   bool   `json:"torn"` // at the end of the file, as a crash leaves it
}

// scan calls each for the frames in data. What is no frame is passed over, up to the next
// one: damaged hears of it.
func scan(data []byte, each func(frame), damaged func(from, to int)) {
	bad := -1 // where what cannot be read begins
	for at := 0; at < len(data); {
		f, ok := frameAt(data, at)
		if !ok {
			if bad < 0 {
				bad = at
			}
			next := bytes.Index(data[at+1:], []byte(frameMagic))
			if next < 0 {
				break
			}
			at += 1 + next
			continue
		}
		if bad >= 0 {
			damaged(bad, at)
			bad = -1
		}
		each(f)
		at = f.end
	}
	if bad >= 0 {
		damaged(bad, len(data))
	}
}

func frameAt(data []byte, at int) (frame, bool) {
	head := data[at:]
	if len(head) < frameHeader || string(head[:4]) != frameMagic {
		return frame{}, false
	}
	n := binary.LittleEndian.Uint32(head[4:])
	if n > maxPayload || int(n) > len(head)-frameHeader {
		return frame{}, false
	}
	f := frame{kind: head[12], payload: head[frameHeader : frameHeader+int(n)], at: at, end: at + frameHeader + int(n)}
	return f, checksum(f.kind, f.payload) == binary.LittleEndian.Uint32(head[8:])
}
