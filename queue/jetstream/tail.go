package jetstream

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pushbridge/pushbridge/queue"
)

// tail reads records from the stream, from any place on, as far as they are published.
type tail struct {
	st  stream
	v   *view
	at  queue.Place
	end func() context.Context // of the store

	next    uint64    // stream sequence to read next, 0: to be looked up
	fetched []message // from next on
	half    assembly
	batch   *batch // being read
	seq     uint64 // of its next record
	total   uint64 // in front of it
	held    *record
}

// record is one that was read.
type record struct {
	queue.Entry
	payload []byte
	message uint64 // where it ends
}

// Next reads the next record, see queue.Tail.
func (t *tail) Next(decode func(queue.Entry, []byte) error) error {
	for {
		r, err := t.record()
		if err != nil {
			return err
		}
		switch err := decode(r.Entry, r.payload); {
		case errors.Is(err, queue.ErrNewer):
			t.held = r
			return fmt.Errorf("record %d: %w", r.Seq, err)
		case err != nil:
			t.v.report(r.message, fmt.Errorf("record %d: %w", r.Seq, err))
			continue
		}
		t.at = queue.Place{Seq: r.Seq, Total: r.Total, Exact: true}
		return nil
	}
}

// At returns the place.
func (t *tail) At() queue.Place { return t.at }

// Close lets go of what was read ahead.
func (t *tail) Close() error {
	t.next, t.fetched, t.half, t.batch, t.held = 0, nil, assembly{}, nil, nil
	return nil
}

// record returns the next record behind the place.
func (t *tail) record() (*record, error) {
	if r := t.held; r != nil {
		if r.Seq > t.published().Seq {
			return nil, io.EOF
		}
		t.held = nil
		return r, nil
	}
	for {
		if t.batch == nil {
			if err := t.fetch(); err != nil {
				return nil, err
			}
		}
		r, err := t.split()
		switch {
		case err != nil || r == nil: // the message is sound and its content is not
			t.batch = nil
		case r.Seq > t.published().Seq:
			t.held = r // it will be
			return nil, io.EOF
		case r.Seq == t.at.Seq:
			t.at = queue.Place{Seq: r.Seq, Total: r.Total, Exact: true}
		case r.Seq > t.at.Seq:
			return r, nil
		}
	}
}

// split returns the next record of the batch, nil at its end.
func (t *tail) split() (*record, error) {
	for len(t.batch.body) > 0 {
		kind, content, rest, err := nextItem(t.batch.body)
		if err != nil {
			return nil, err
		}
		t.batch.body = rest
		if kind != itemRecord {
			continue
		}
		r := &record{message: t.batch.end}
		if r.Entry, r.payload, err = parseRecord(content); err != nil {
			return nil, err
		}
		t.total += r.Samples
		r.Seq, r.Total = t.seq, t.total
		t.seq++
		return r, nil
	}
	return nil, nil
}

func (t *tail) published() queue.Place {
	t.v.mu.RLock()
	defer t.v.mu.RUnlock()
	return t.v.published
}

// fetch makes the batch that has the next record, or comes instead of it, the one that
// is being read. What is missing in front of it is a gap.
func (t *tail) fetch() error {
	p := t.published()
	if t.at.Seq >= p.Seq {
		return io.EOF
	}
	if t.next == 0 {
		if err := t.enter(p); err != nil {
			return err
		}
	}
	for {
		b, err := t.assemble()
		if err != nil {
			return err
		}
		if b == nil { // everything was read, and what is published is not there
			t.next = 0
			if t.at.Exact && t.at.Total == p.Total { // sequences that were never used, see Recover
				t.at = p
				return io.EOF
			}
			return t.at.Gap(p.Seq, p.Total, queue.GapMissing)
		}
		t.batch, t.seq, t.total = b, b.first, b.before
		if b.prev > t.at.Seq {
			return t.at.Gap(b.prev, b.before, t.reason(b.start))
		}
		if b.first > t.at.Seq { // what lies between was never used
			t.at.Total, t.at.Exact = b.before, true
		}
		if len(b.body) > 0 {
			return nil
		}
	}
}

// reason says why what lies in front of the message seq is missing.
func (t *tail) reason(seq uint64) queue.GapReason {
	t.v.mu.RLock()
	defer t.v.mu.RUnlock()
	switch {
	case len(t.v.parts) > 0 && seq == t.v.parts[0].start:
		return queue.GapDropped
	case len(t.v.damaged) > 0:
		return queue.GapDamaged
	}
	return queue.GapMissing
}

// enter finds the part that has the next record.
func (t *tail) enter(p queue.Place) error {
	t.v.mu.RLock()
	defer t.v.mu.RUnlock()
	parts := t.v.parts
	if len(parts) == 0 {
		return t.at.Gap(p.Seq, p.Total, queue.GapMissing)
	}
	t.next = parts[0].start
	for _, part := range parts {
		if part.first > t.at.Seq+1 {
			break
		}
		t.next = part.start
	}
	t.fetched, t.half = nil, assembly{}
	return nil
}

// assemble returns the next whole batch, nil at the end.
func (t *tail) assemble() (*batch, error) {
	last := t.v.last()
	for {
		if len(t.fetched) == 0 {
			if t.next > last {
				return nil, nil
			}
			if err := t.readSome(last); err != nil {
				return nil, err
			}
			if len(t.fetched) == 0 {
				return nil, nil
			}
		}
		m := t.fetched[0]
		t.fetched = t.fetched[1:]
		t.next = m.seq + 1
		b, err := t.half.add(m)
		switch {
		case errors.Is(err, queue.ErrNewer):
			t.next = 0
			return nil, fmt.Errorf("message %d: %w", m.seq, err)
		case err != nil:
			t.v.report(m.seq, err)
		case b != nil:
			return b, nil
		}
	}
}

// readSome reads some messages up to last.
func (t *tail) readSome(last uint64) error {
	if t.fetched = t.v.recentFrom(t.next); len(t.fetched) > 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(t.end(), readTime)
	defer cancel()
	some, err := t.st.read(ctx, t.next)
	if err == nil && (len(some) == 0 || some[0].seq != t.next) {
		some, err = missing(ctx, t.st, t.next, last, some)
	}
	if err != nil {
		return fmt.Errorf("read the stream from message %d: %w", t.next, err)
	}
	t.fetched = some
	return nil
}
