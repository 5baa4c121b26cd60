package jetstream

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// A batch is a list of items: a kind, a length, and a content of unsigned varints and
// strings.
const (
	itemRecord     = 1  // time, samples, the record's bytes
	itemCursor     = 2  // id, slot
	itemNoCursor   = 3  // id
	itemSnapshot   = 4  // a snapshot was written
	itemResetClock = 5  // timestamps before this count no more
	itemClaim      = 6  // id and address of who leads from here on
	itemResign     = 7  // nobody leads from here on
	itemCheckpoint = 8  // all that the items in front of it have led to, but for records
	itemLeft       = 9  // where the content is from here on: the stream ends
	itemNote       = 10 // id, what is noted beside that cursor; empty for nothing
)

// appendItem appends an item with the given content.
func appendItem(dst []byte, kind uint64, content []byte) []byte {
	dst = binary.AppendUvarint(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(len(content)))
	return append(dst, content...)
}

// nextItem cuts the first item off a batch.
func nextItem(b []byte) (kind uint64, content, rest []byte, err error) {
	d := decoder{b: b}
	kind = d.number()
	content = d.bytes()
	if kind > itemNote && d.err == nil {
		return 0, nil, nil, fmt.Errorf("item of kind %d: %w", kind, queue.ErrNewer)
	}
	return kind, content, d.b, d.err
}

// appendRecord appends a record, whose bytes are encoded by encode.
func appendRecord(dst []byte, e *queue.Entry, encode func([]byte) []byte, scratch []byte) (batch, kept []byte) {
	scratch = binary.AppendVarint(scratch[:0], e.Time)
	scratch = binary.AppendUvarint(scratch, e.Samples)
	scratch = encode(scratch)
	return appendItem(dst, itemRecord, scratch), scratch
}

// parseRecord reads the content of a record's item.
func parseRecord(content []byte) (e queue.Entry, payload []byte, err error) {
	d := decoder{b: content}
	e.Time, e.Samples = d.signed(), d.number()
	return e, d.b, d.err
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// appendCursor appends a cursor. 1 is added to totals, so that an unknown one is 0.
func appendCursor(dst []byte, id string, s *queue.Slot) []byte {
	dst = appendString(dst, id)
	dst = appendBool(dst, s.Clean)
	dst = binary.AppendVarint(dst, s.Floor)
	l := &s.Ledger
	for _, n := range []uint64{uint64(s.Orphaned), l.Begun + 1, l.Again + 1, l.MissedTo} {
		dst = binary.AppendUvarint(dst, n)
	}
	dst = binary.AppendUvarint(dst, uint64(len(l.Settled)))
	for _, n := range l.Settled {
		dst = binary.AppendUvarint(dst, n)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Shards)))
	for _, p := range s.Shards {
		dst = binary.AppendUvarint(dst, p.Acked)
		dst = binary.AppendUvarint(dst, p.Sent)
		dst = binary.AppendUvarint(dst, p.Base+1)
		dst = appendBool(dst, p.Started)
	}
	return dst
}

// cursor reads what appendCursor wrote.
func (d *decoder) cursor() (id string, s queue.Slot) {
	id = d.string()
	s.Clean, s.Floor, s.Orphaned = d.bool(), d.signed(), uint32(d.number())
	s.Ledger = queue.Ledger{Begun: d.number() - 1, Again: d.number() - 1, MissedTo: d.number()}
	n := d.number()
	if n > uint64(len(s.Ledger.Settled)) {
		d.fail()
	}
	for i := uint64(0); i < n && d.err == nil; i++ {
		s.Ledger.Settled[i] = d.number()
	}
	n = d.number()
	if n == 0 || n > queue.MaxShards {
		d.fail()
	}
	for i := uint64(0); i < n && d.err == nil; i++ {
		s.Shards = append(s.Shards, queue.ShardSlot{Acked: d.number(), Sent: d.number(), Base: d.number() - 1, Started: d.bool()})
	}
	return id, s
}

func appendNote(dst []byte, id, text string) []byte { return appendString(appendString(dst, id), text) }

// snapshot is one that is in the object store.
type snapshot struct {
	name    string
	seq     uint64
	floor   int64
	total   uint64
	created int64 // in ns since the epoch
	bytes   int64
	era     uint64
}

func (s *snapshot) describe(era uint64) queue.Snapshot {
	d := queue.Snapshot{Seq: s.seq, Floor: s.floor, Total: s.total, Created: time.Unix(0, s.created)}
	if d.Stale = s.era != era; d.Stale {
		d.Floor = 0
	}
	return d
}

func appendSnapshot(dst []byte, s *snapshot) []byte {
	dst = appendString(dst, s.name)
	dst = binary.AppendUvarint(dst, s.seq)
	dst = binary.AppendVarint(dst, s.floor)
	dst = binary.AppendUvarint(dst, s.total)
	dst = binary.AppendVarint(dst, s.created)
	dst = binary.AppendUvarint(dst, uint64(s.bytes))
	return binary.AppendUvarint(dst, s.era)
}

func (d *decoder) snapshot() snapshot {
	return snapshot{
		name: d.string(), seq: d.number(), floor: d.signed(), total: d.number(), created: d.signed(),
		bytes: int64(d.number()), era: d.number(),
	}
}

// decoder reads a content. After an error it returns zeros.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail() { d.b, d.err = nil, errContent }

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) signed() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bool() bool { return d.number() != 0 }

func (d *decoder) bytes() []byte {
	n := d.number()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) string() string { return string(d.bytes()) }

func appendSigned(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }
