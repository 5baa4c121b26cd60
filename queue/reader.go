package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Item is what a reader returns: a record and its sequence. Ephemeral records
// were never stored and carry the sequence of the record before them.
type Item[R any] struct {
	Record    R
	Seq       uint64
	Ephemeral bool
}

// Reader reads the log in order, from the ring while it keeps up, from the store
// otherwise. Use one from one goroutine at a time.
type Reader[R any] struct {
	l       *Log[R]
	at      Place  // position: the last record that was read or accounted for
	tail    Tail   // reads the store from at on; nil while that is not needed
	pos     uint64 // in the ring, while attached
	ringed  bool   // attached to the ring
	seen    skips  // ephemeral records published up to pos
	skipped skips

	decode  func(Entry, []byte) error // what tail calls: keep, made a func once
	decoded Item[R]
}

// NewReader returns a reader of the records behind after. Close it when done.
func (l *Log[R]) NewReader(after uint64) *Reader[R] {
	r := &Reader[R]{l: l, at: Place{Seq: after, Exact: after == 0}}
	total, ok := l.ring.totalAt(after)
	if !ok {
		total, ok = l.cursors.base(after) // the part that knew was removed
	}
	if ok {
		r.at.Total, r.at.Exact = total, true
	}
	if !r.attach(true) {
		r.seen = l.ring.emitted()
	}
	return r
}

// Next returns the next record. It waits until there is one or ctx ends. A
// *GapError stands for records that are missing: call Next again. Any other error
// but ctx's is one of reading the store, and may be tried again.
func (r *Reader[R]) Next(ctx context.Context) (Item[R], error) {
	for {
		it, wake, err := r.try()
		if err != nil || wake == nil {
			return it, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return it, ctx.Err()
		}
	}
}

// TryNext is Next without the wait: ok is false when there is nothing at present.
func (r *Reader[R]) TryNext() (it Item[R], ok bool, err error) {
	it, wake, err := r.try()
	return it, err == nil && wake == nil, err
}

// Lagging reports whether the reader reads the store because the ring has moved on.
func (r *Reader[R]) Lagging() bool { return !r.ringed }

// Skipped returns how many ephemeral records, with how many samples, the reader
// has missed because it lagged.
func (r *Reader[R]) Skipped() (records, samples uint64) {
	return r.skipped.records, r.skipped.samples
}

// Total returns how many samples all records up to the reader's position held,
// for Cursor.Settle. It knows that behind every record and every gap that it
// has returned.
func (r *Reader[R]) Total() (total uint64, known bool) { return r.at.Total, r.at.Exact }

// Close lets go of what the reader has open, and of its place in the ring.
func (r *Reader[R]) Close() error {
	r.l.ring.leave(r)
	r.ringed = false
	return r.closeTail()
}

func (r *Reader[R]) closeTail() error {
	if r.tail == nil {
		return nil
	}
	err := r.tail.Close()
	r.tail = nil
	return err
}

// try returns the next item, or a channel to wait on, or an error.
func (r *Reader[R]) try() (Item[R], <-chan struct{}, error) {
	for {
		if r.ringed {
			if it, wake := r.fromRing(); r.ringed {
				return it, wake, nil
			}
		}
		it, err := r.fromStore()
		if !errors.Is(err, io.EOF) {
			return it, nil, err
		}
		if !r.attach(false) {
			if err := r.lost(); err != nil {
				return it, nil, err
			}
		}
	}
}

// attach moves the reader to the ring, if the ring has all that is behind it.
func (r *Reader[R]) attach(first bool) bool {
	pos, passed, ok := r.l.ring.attach(r.at.Seq)
	if !ok {
		return false
	}
	if !first {
		r.skipped = r.skipped.plus(passed.minus(r.seen))
	}
	r.pos, r.seen, r.ringed = pos, passed, true
	_ = r.closeTail() // was only read from
	return true
}

// fromRing returns the next item of the ring that the reader has not had. It
// leaves the ring when the position was evicted.
func (r *Reader[R]) fromRing() (Item[R], <-chan struct{}) {
	for {
		it, wake, evicted := r.l.ring.at(r, r.pos)
		switch {
		case evicted:
			r.ringed = false
			return Item[R]{}, nil
		case wake != nil:
			return Item[R]{}, wake
		}
		r.pos++
		r.seen = it.skipped
		if it.Seq < r.at.Seq || it.Seq == r.at.Seq && !it.Ephemeral {
			continue // read from the store already, just before it was published here
		}
		r.at = Place{Seq: it.Seq, Total: it.total, Exact: true}
		return it.Item, nil
	}
}

// fromStore returns the next record of the store, io.EOF when all was read.
func (r *Reader[R]) fromStore() (Item[R], error) {
	if r.tail == nil {
		r.tail = r.l.store.Tail(r.at)
	}
	if r.decode == nil {
		r.decode = r.keep
	}
	err := r.tail.Next(r.decode)
	r.at = r.tail.At()
	it := r.decoded
	r.decoded = Item[R]{} // must not outlive its use
	return it, err
}

// keep decodes a record of the store.
func (r *Reader[R]) keep(e Entry, b []byte) error {
	rec, err := r.l.codec.decode(e, b)
	if err == nil {
		r.decoded = Item[R]{Record: rec, Seq: e.Seq}
	}
	return err
}

// decode returns the record that a tail has found.
func (c *Codec[R]) decode(e Entry, b []byte) (r R, err error) {
	if e.Base == nil {
		return c.Decode(b)
	}
	base, ok := e.Base.record.(R)
	if !ok {
		if base, err = c.Decode(e.Base.bytes); err != nil {
			return r, fmt.Errorf("the record that it differs from: %w", err)
		}
		e.Base.record, e.Base.bytes = base, nil
	}
	return c.Patch(b, base)
}

// lost moves the reader over what the ring evicted, if that is nowhere else. As a rule
// the store has it.
func (r *Reader[R]) lost() error {
	if !r.l.volatile {
		return nil
	}
	base, total := r.l.ring.oldest()
	if base <= r.at.Seq {
		return nil
	}
	r.tail = nil // has nothing, and stays where it is
	return r.at.Gap(base, total, GapDropped)
}
