package queue

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"slices"
	"time"
)

// Movable is a store whose content can go to another one, or come from there. To be
// moved from it is recovered as usual; to be moved to it is reserved instead.
type Movable interface {
	Store

	// Retake lets Recover open what Fill or Leave has marked.
	Retake()

	// Hold sees to it, once Recover has returned, that nobody else writes the store, and
	// returns the last sequence that is in use then.
	Hold() (head uint64, err error)

	// Leave marks the store as one whose content is elsewhere, durably: Recover returns a
	// *LeftError from then on. Nothing else of it is changed.
	Leave(where string) error

	// Reserve takes possession of a store that the content of another one is to come to.
	// It returns ErrNotEmpty for one that has any, unless an attempt before has left that
	// unfinished: then begun is true. It changes nothing.
	Reserve(Host) (begun bool, err error)

	// Fill marks the store that was reserved, durably: Recover returns ErrUnfinished from
	// then on. What an attempt before has left is removed. The identity is id.
	Fill(id [16]byte) error

	// Skip gives the next record the sequence next. Those up to at.Seq, which held at.Total
	// samples, are missing, and those between were never used.
	Skip(at Place, next uint64) error

	// Filled takes the mark of Fill off, durably.
	Filled() error
}

var (
	// ErrNotEmpty is why nothing can be moved to a store.
	ErrNotEmpty = errors.New("there is something in it already: only an empty one can be moved to")

	// ErrUnfinished is why a store cannot be opened to which content is being moved.
	ErrUnfinished = errors.New("it was being moved to, and that has not come to its end: run the migration again")
)

// LeftError says that the content of a store is elsewhere.
type LeftError struct {
	Where  string // it is now
	Remedy string // to use the store all the same
}

// Error says where, and why that is no small thing.
func (e *LeftError) Error() string {
	return fmt.Sprintf("its content was moved to %s: go on there. If both are used, destinations get what waits twice. %s", e.Where, e.Remedy)
}

// NewHost returns a host for a store that no log has opened.
func NewHost(log *slog.Logger, now func() time.Time) Host {
	return Host{Logger: log, Now: now, Metrics: newMetrics(nil).store, Gauge: func(string, string, func() float64) {}}
}

// Moved is what was moved.
type Moved struct {
	Records      uint64
	Samples      uint64 // in them
	Destinations int
}

// moveBytes bounds what is moved in one batch, in rough heap bytes.
const moveBytes = 4 * mib

// Content is what is in a log that was opened and does not run: what a move is about.
type Content[R any] struct{ l *Log[R] }

// ContentOf returns the content of l.
func ContentOf[R any](l *Log[R]) Content[R] { return Content[R]{l} }

// Move writes to a store that was filled what destinations still need of the log: the
// records behind the first of their positions, and the positions with their books. The
// state is for the caller to add, as a snapshot at the head. The log's store is held.
func (c Content[R]) Move(to Movable) (Moved, error) {
	l, cursors := c.l, c.Cursors()
	m := mover[R]{to: to, next: l.Head() + 1}
	m.c.encodeBy(l.codec)
	if len(cursors) > 0 {
		m.next = c.passed(cursors) + 1
	}
	total, exact := l.store.TotalAt(m.next - 1)
	m.at = Place{Seq: m.next - 1, Total: total, Exact: exact}
	err := to.Skip(m.at, m.next)
	if err == nil {
		err = c.each(m.at, m.gap, m.add)
	}
	if err == nil {
		err = m.end(l.Head())
	}
	if err == nil && m.newest > l.Floor() { // of before the clock was reset
		err = to.ResetClock()
	}
	for i := range cursors {
		if err == nil {
			err = saveCursor(to, &cursors[i])
		}
	}
	m.moved.Destinations = len(cursors)
	return m.moved, err
}

// passed returns the position that all of the cursors have passed.
func (c Content[R]) passed(cursors []Saved) uint64 {
	seq := c.l.Head()
	for i := range cursors {
		for _, p := range cursors[i].Slot.Shards {
			seq = min(seq, p.Acked)
		}
	}
	return seq
}

// Cursors returns what is saved of the cursors, by id, none of which is open: what may
// have been sent since it was saved counts as sent.
func (c Content[R]) Cursors() []Saved {
	l := c.l
	all := l.store.Cursors()
	for i := range all {
		s := &all[i].Slot
		s.Shards = slices.Clone(s.Shards)
		for n := range s.Shards {
			if !all[i].Exact {
				s.Shards[n].Sent = max(s.Shards[n].Sent, l.Head())
			}
		}
		s.Floor, s.Clean, all[i].Exact = min(s.Floor, l.Floor()), true, true
	}
	return all
}

func saveCursor(to Movable, c *Saved) error {
	saver, _, err := to.OpenCursor(c.ID)
	if err != nil {
		return fmt.Errorf("open cursor %q: %w", c.ID, err)
	}
	err = saver.Save(c.Slot)
	if err == nil {
		err = saver.Sync()
	}
	if err = errors.Join(err, saver.Close()); err != nil {
		return fmt.Errorf("save cursor %q: %w", c.ID, err)
	}
	return nil
}

// each calls add with the records behind at, and gap where some are missing.
func (c Content[R]) each(at Place, gap func(Place) error, add func(Entry, R, int64) error) error {
	l := c.l
	t := l.store.Tail(at)
	for {
		var r R
		var e Entry
		err := t.Next(func(found Entry, b []byte) (err error) {
			e = found
			r, err = l.codec.decode(found, b)
			return err
		})
		switch {
		case errors.Is(err, io.EOF):
			return t.Close()
		case errors.As(err, new(*GapError)):
			err = gap(t.At())
		case err == nil:
			err = add(e, r, int64(l.codec.Size(r)))
		}
		if err != nil {
			return errors.Join(err, t.Close())
		}
	}
}

// Digest returns a checksum of the records behind the first position of any destination:
// their sequences, books and content, and what is missing.
func (c Content[R]) Digest() ([sha256.Size]byte, error) {
	l := c.l
	d := digest[R]{Hash: sha256.New(), encode: l.codec.Encode}
	seq := c.passed(c.Cursors())
	total, exact := l.store.TotalAt(seq)
	d.numbers(seq, total)
	err := c.each(Place{Seq: seq, Total: total, Exact: exact},
		func(at Place) error { d.numbers(at.Seq, at.Total); return nil },
		func(e Entry, r R, _ int64) error { d.add(e, r); return nil })
	return [sha256.Size]byte(d.Sum(nil)), err
}

type digest[R any] struct {
	hash.Hash
	encode func([]byte, R) []byte
	buf    []byte
}

func (d *digest[R]) numbers(all ...uint64) {
	for _, n := range all {
		d.buf = binary.BigEndian.AppendUint64(d.buf, n)
	}
	_, _ = d.Write(d.buf) // never fails
	d.buf = d.buf[:0]
}

func (d *digest[R]) add(e Entry, r R) {
	d.buf = d.encode(d.buf, r)
	d.numbers(e.Seq, e.Total, e.Samples, uint64(e.Time))
}

// mover writes records to another store, in batches.
type mover[R any] struct {
	to     Movable
	c      committer[R] // for its batch
	at     Place        // behind the last record of the batch
	next   uint64       // sequence that the store gives to what follows
	size   int64        // of the batch
	newest int64        // timestamp
	moved  Moved
}

// gap goes on behind missing records.
func (m *mover[R]) gap(at Place) error {
	if err := m.flush(); err != nil {
		return err
	}
	m.at, m.next = at, at.Seq+1
	return m.to.Skip(m.at, m.next)
}

func (m *mover[R]) add(e Entry, r R, size int64) error {
	before := e.Total - e.Samples
	if e.Seq != m.next || m.size >= moveBytes || before != m.at.Total {
		if err := m.end(e.Seq - 1); err != nil {
			return err
		}
	}
	if before != m.at.Total { // books that were not known in front
		m.at.Total = before
		if err := m.to.Skip(m.at, m.next); err != nil {
			return err
		}
	}
	m.c.stored = append(m.c.stored, r)
	m.c.batch.Records = append(m.c.batch.Records, Entry{Time: e.Time, Samples: e.Samples})
	m.at, m.next = Place{Seq: e.Seq, Total: e.Total, Exact: true}, e.Seq+1
	m.size += size
	m.newest = max(m.newest, e.Time)
	m.moved.Records++
	m.moved.Samples += e.Samples
	return nil
}

// end writes the batch, and sees to it that the next record comes behind seq: what lies
// between was never used.
func (m *mover[R]) end(seq uint64) error {
	if err := m.flush(); err != nil || seq < m.next {
		return err
	}
	m.next = seq + 1
	return m.to.Skip(m.at, m.next)
}

func (m *mover[R]) flush() error {
	b := &m.c.batch
	if len(b.Records) == 0 {
		return nil
	}
	if err := m.to.Commit(b); err != nil {
		return fmt.Errorf("write records up to %d: %w", m.at.Seq, err)
	}
	if e := &b.Records[len(b.Records)-1]; e.Seq != m.at.Seq || e.Total != m.at.Total {
		return fmt.Errorf("record %d became %d, with %d samples up to it instead of %d", m.at.Seq, e.Seq, e.Total, m.at.Total)
	}
	m.to.Publish()
	clear(m.c.stored)
	b.Records, m.c.stored, m.size = b.Records[:0], m.c.stored[:0], 0
	return nil
}
