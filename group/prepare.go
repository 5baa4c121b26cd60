package group

import (
	"encoding/binary"

	"github.com/golang/snappy"
)

// prepared is what takes long to make of a large record.
type prepared struct {
	body          []byte // see EncodePrepared; nil once it is written
	length        int    // of what body decompresses to
	samples, size int
}

// Prepare makes beforehand what is asked of r while everybody waits for it: its bytes,
// compressed, Samples and Size. Nothing of r may change afterwards but its times and
// Generation; if something does, it is prepared again.
func (r *Record) Prepare() {
	r.prepared = nil
	raw := appendBody(nil, r)
	block := snappy.Encode(nil, raw)
	_, n := binary.Uvarint(block) // the length is not an element
	r.prepared = &prepared{body: block[n:], length: len(raw), samples: r.Samples(), size: r.Size()}
}

// Written lets go of the bytes that Prepare made. EncodeRecord must not go on meanwhile.
func (r *Record) Written() {
	if r.prepared != nil {
		r.prepared.body = nil
	}
}

// EncodePrepared is EncodeRecord for somebody who compresses records. What is appended
// to dst is the begin of r: the rest was made by Prepare, and decompresses to so many
// bytes. It is the end of a snappy block, its elements without the length, so that a
// block with whatever stands in front can be made of it. Of a record that is not
// prepared there is no rest.
func EncodePrepared(dst []byte, r *Record) (begin, rest []byte, length int) {
	begin = appendHead(dst, r)
	if p := r.prepared; p != nil && p.body != nil {
		return begin, p.body, p.length
	}
	return appendBody(begin, r), nil, 0
}

// unpack appends what body decompresses to.
func (p *prepared) unpack(dst []byte) []byte {
	block := append(binary.AppendUvarint(nil, uint64(p.length)), p.body...)
	raw, err := snappy.Decode(nil, block)
	if err != nil {
		panic("group: what was prepared does not decompress: " + err.Error())
	}
	return append(dst, raw...)
}
