package jetstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// view is what the messages of the stream come to, but for the records themselves. It
// is the same at everybody who has seen the same messages.
type view struct {
	mu sync.RWMutex
	arrived
	half       assembly
	head       queue.Place // last record
	published  queue.Place // what tails may show
	void       uint64      // sequences up to here are in use, or somebody may have seen them
	floor      int64
	era        uint64
	leader     leader
	checkpoint uint64 // stream sequence of the newest one
	parts      []part // oldest first; the last one is being written
	places
	snapshots []snapshot // newest first
	damage    []error
	damaged   map[uint64]bool // messages in damage
}

// arrived is what was folded in.
type arrived struct {
	at     uint64 // last message
	heard  time.Time
	recent recent
}

// places are those of destinations.
type places struct {
	cursors map[string]queue.Slot
	notes   map[string]string // beside them
}

func newPlaces() places { return places{cursors: map[string]queue.Slot{}, notes: map[string]string{}} }

// noteLocked notes text beside the cursor id.
func (p *places) noteLocked(id, text string) {
	if text == "" {
		delete(p.notes, id)
		return
	}
	p.notes[id] = text
}

// leader is who wrote the newest claim.
type leader struct {
	epoch   uint64
	nonce   uint64
	id      string
	address string
	since   time.Time // in the leader's words
	gone    bool      // it has resigned
	left    string    // where the content of the stream is now, whoever leads; empty: here
}

// part is a range of the stream that begins with a checkpoint.
type part struct {
	start  uint64 // its first message
	first  uint64 // record
	before uint64
	last   uint64 // in front of first when there is no record
	total  uint64
	bytes  int64
	count  uint64 // of messages
}

func newView() *view {
	return &view{
		arrived: arrived{heard: time.Now()}, head: queue.Place{Exact: true}, published: queue.Place{Exact: true},
		places: newPlaces(), damaged: map[uint64]bool{},
	}
}

// batch is a whole one.
type batch struct {
	header
	start, end uint64 // its messages
	body       []byte
}

// assembly puts pieces together.
type assembly struct {
	batch
	open bool
}

// add takes the next message and returns a batch when it is whole. A batch that is not
// followed by its next piece does not count: its writer has failed, or was fenced.
func (a *assembly) add(m message) (*batch, error) {
	h, piece, err := parseMessage(m.data)
	if err != nil {
		a.open = false
		return nil, err
	}
	follows := a.open && h.piece == a.piece+1 && h.nonce == a.nonce && h.first == a.first && m.seq == a.end+1
	switch {
	case h.piece == 0:
		a.batch = batch{header: h, start: m.seq, body: slices.Clip(piece)} // others read the same message
	case follows:
		a.header = h
		a.body = append(a.body, piece...)
	default:
		a.open = false
		return nil, nil
	}
	a.end, a.open = m.seq, !h.last
	if a.open {
		return nil, nil
	}
	whole := a.batch
	a.batch = batch{}
	return &whole, nil
}

// fold takes in the next message. Only what a newer version has written is an error:
// what is damaged is missing.
func (v *view) fold(m message) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if m.seq <= v.at {
		return nil
	}
	v.at, v.heard = m.seq, time.Now()
	if n := len(v.parts); n > 0 {
		v.parts[n-1].bytes += int64(len(m.data))
		v.parts[n-1].count++
	}
	b, err := v.half.add(m)
	if err == nil { // another server may have it whole
		v.recent.add(m)
	}
	switch {
	case errors.Is(err, queue.ErrNewer):
		return fmt.Errorf("message %d: %w", m.seq, err)
	case err != nil:
		v.damagedLocked(m.seq, err)
	case b != nil:
		err = v.foldLocked(b, int64(len(m.data)))
	}
	if err != nil && !errors.Is(err, queue.ErrNewer) {
		v.damagedLocked(m.seq, err)
		return nil
	}
	return err
}

// foldLocked takes in a batch, whose last message has size bytes.
func (v *view) foldLocked(b *batch, size int64) error {
	if b.checkpoint == 0 {
		v.endPartLocked(size)
		v.checkpoint = b.start
		v.parts = append(v.parts, part{
			start: b.start, first: b.first, before: b.before, last: b.first - 1, total: b.before, bytes: size, count: 1,
		})
	}
	v.head = queue.Place{Seq: b.prev, Total: b.before, Exact: true}
	next := b.first
	for body := b.body; len(body) > 0; {
		kind, content, rest, err := nextItem(body)
		if err != nil {
			return err
		}
		body = rest
		if kind == itemRecord {
			if err := v.recordLocked(next, content); err != nil {
				return err
			}
			next++
		} else if err := v.itemLocked(b, kind, content); err != nil {
			return err
		}
	}
	v.void = max(v.void, v.head.Seq)
	if n := len(v.parts); n > 0 && v.head.Seq >= v.parts[n-1].first {
		v.parts[n-1].last, v.parts[n-1].total = v.head.Seq, v.head.Total
	}
	return nil
}

// endPartLocked takes the message that begins another part off the last one's account.
func (v *view) endPartLocked(size int64) {
	if n := len(v.parts); n > 0 {
		v.parts[n-1].bytes -= size
		v.parts[n-1].count--
	}
}

func (v *view) recordLocked(seq uint64, content []byte) error {
	e, _, err := parseRecord(content)
	if err != nil {
		return err
	}
	v.head.Seq, v.head.Total = seq, v.head.Total+e.Samples
	v.floor = max(v.floor, e.Time)
	return nil
}

func (v *view) itemLocked(b *batch, kind uint64, content []byte) error {
	d := decoder{b: content}
	switch kind {
	case itemCursor:
		id, s := d.cursor()
		if d.err == nil {
			v.cursors[id] = s
			v.useLocked(&s)
		}
	case itemNoCursor:
		id := d.string()
		delete(v.cursors, id)
		delete(v.notes, id)
	case itemSnapshot:
		if s := d.snapshot(); d.err == nil {
			v.snapshots = slices.Insert(v.snapshots, 0, s)
			v.snapshots = v.snapshots[:min(len(v.snapshots), queue.KeepSnapshots)]
			v.floor = max(v.floor, s.floor)
		}
	case itemResetClock:
		v.era++
		v.floor = 0
	case itemClaim:
		v.leader = leader{epoch: b.epoch, nonce: b.nonce, id: d.string(), address: d.string(), since: time.UnixMilli(d.signed()), left: v.leader.left}
	case itemResign:
		v.leader.gone = true
	case itemCheckpoint:
		v.loadLocked(&d)
	case itemLeft:
		v.leader.left = d.string()
	case itemNote:
		v.noteLocked(d.string(), d.string())
	}
	return d.err
}

// useLocked notes what a cursor says of sequences and timestamps.
func (v *view) useLocked(s *queue.Slot) {
	v.void = max(v.void, s.Ledger.MissedTo)
	for _, p := range s.Shards {
		v.void = max(v.void, p.Acked, p.Sent)
	}
	v.floor = max(v.floor, s.Floor)
}

// maxDamage bounds what is remembered of damage.
const maxDamage = 1000

func (v *view) damagedLocked(seq uint64, err error) {
	if v.damaged[seq] || len(v.damage) >= maxDamage {
		return
	}
	v.damaged[seq] = true
	v.damage = append(v.damage, fmt.Errorf("message %d of the stream: %w", seq, err))
}

// report notes damage of the message seq, once.
func (v *view) report(seq uint64, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.damagedLocked(seq, err)
}

// appendCheckpoint appends the content of a checkpoint.
func (v *view) appendCheckpoint(dst []byte) []byte {
	v.mu.RLock()
	defer v.mu.RUnlock()
	dst = binary.AppendUvarint(dst, v.void)
	dst = binary.AppendVarint(dst, v.floor)
	dst = binary.AppendUvarint(dst, v.era)
	l := &v.leader
	dst = binary.AppendUvarint(dst, l.epoch)
	dst = binary.AppendUvarint(dst, l.nonce)
	dst = appendString(dst, l.id)
	dst = appendString(dst, l.address)
	dst = binary.AppendVarint(dst, l.since.UnixMilli())
	dst = binary.AppendUvarint(dst, uint64(len(v.parts)))
	for _, p := range v.parts {
		for _, n := range []uint64{p.start, p.first, p.before, p.last + 1, p.total, uint64(p.bytes), p.count} {
			dst = binary.AppendUvarint(dst, n)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(v.snapshots)))
	for i := range v.snapshots {
		dst = appendSnapshot(dst, &v.snapshots[i])
	}
	dst = binary.AppendUvarint(dst, uint64(len(v.cursors)))
	for id, s := range v.cursors {
		dst = appendCursor(dst, id, &s)
	}
	dst = appendString(dst, v.leader.left)
	dst = binary.AppendUvarint(dst, uint64(len(v.notes)))
	for id, text := range v.notes {
		dst = appendNote(dst, id, text)
	}
	return dst
}

// loadLocked takes over what a checkpoint says, if nothing is known that was in front
// of it.
func (v *view) loadLocked(d *decoder) {
	if len(v.parts) > 1 {
		v.trimLocked(*d)
		return
	}
	v.void = max(v.void, d.number())
	v.floor, v.era = d.signed(), d.number()
	v.leader = leader{epoch: d.number(), nonce: d.number(), id: d.string(), address: d.string(), since: time.UnixMilli(d.signed())}
	v.parts = slices.Concat(d.parts(), v.parts)
	v.snapshots = nil
	for n := d.number(); n > 0 && d.err == nil; n-- {
		v.snapshots = append(v.snapshots, d.snapshot())
	}
	for n := d.number(); n > 0 && d.err == nil; n-- {
		id, s := d.cursor()
		v.cursors[id] = s
	}
	if len(d.b) == 0 { // of a version that had no more
		return
	}
	v.leader.left = d.string()
	if len(d.b) == 0 {
		return
	}
	for n := d.number(); n > 0 && d.err == nil; n-- {
		v.noteLocked(d.string(), d.string())
	}
}

// parts reads those of a checkpoint.
func (d *decoder) parts() (parts []part) {
	for n := d.number(); n > 0 && d.err == nil; n-- {
		parts = append(parts, part{
			start: d.number(), first: d.number(), before: d.number(), last: d.number() - 1, total: d.number(),
			bytes: int64(d.number()), count: d.number(),
		})
	}
	return parts
}

// trimLocked forgets parts that the writer of a checkpoint has removed.
func (v *view) trimLocked(d decoder) {
	_, _, _ = d.number(), d.signed(), d.number()
	_, _, _, _, _ = d.number(), d.number(), d.string(), d.string(), d.signed()
	if parts := d.parts(); d.err == nil && len(parts) > 0 {
		v.parts = slices.DeleteFunc(v.parts, func(p part) bool { return p.start < parts[0].start })
	}
}
