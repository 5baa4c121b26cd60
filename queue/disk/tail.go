package disk

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pushbridge/pushbridge/queue"
)

// tail reads records from segments, from any position on, as far as they are
// published, and keeps the books of what it could not read.
type tail struct {
	l  *segments
	at queue.Place // the last record that was read or accounted for

	seg     *segment
	file    file
	scan    *scanner
	held    *frame // read, but a gap comes first
	damaged bool   // something in this segment was unreadable
	bases   readBases
}

// Next reads the next record, see queue.Tail.
func (t *tail) Next(decode func(queue.Entry, []byte) error) error {
	for {
		f, err := t.next()
		if err != nil {
			return err
		}
		e := queue.Entry{Time: f.time, Samples: uint64(f.samples), Seq: f.seq, Total: f.total}
		payload := f.payload
		if f.kind == kindDiff {
			if e.Base, payload, err = t.base(&f); err != nil && !isDamage(err) {
				t.held = &f
				return err
			}
		}
		if err == nil {
			err = decode(e, payload)
		}
		switch {
		case errors.Is(err, queue.ErrNewer):
			t.held = &f
			return fmt.Errorf("record %d: %w", f.seq, err)
		case err != nil:
			t.undecodable(&f, err)
			continue
		}
		t.at = queue.Place{Seq: f.seq, Total: f.total, Exact: true}
		return nil
	}
}

// base returns the base of f and the difference to it. An error is damage or one of
// reading.
func (t *tail) base(f *frame) (*queue.Base, []byte, error) {
	seq, diff, err := splitDiff(f)
	if err != nil {
		return nil, nil, err
	}
	if b := t.bases.kept[seq]; b != nil {
		return b, diff, nil
	}
	at, ok := t.bases.find(seq)
	if !ok {
		return nil, nil, errNoBase
	}
	b, err := t.scan.readFrame(at)
	switch {
	case err != nil && !isDamage(err):
		return nil, nil, err
	case err != nil || b.seq != seq || b.kind != kindRecord:
		return nil, nil, errNoBase
	}
	base := queue.NewBase(b.payload)
	t.bases.keep(seq, base, int64(len(b.payload)))
	return base, diff, nil
}

// At returns the position.
func (t *tail) At() queue.Place { return t.at }

// next returns the next record; its payload is valid until the call after. It returns
// a *queue.GapError where records are missing, and io.EOF when everything that is
// published was read.
func (t *tail) next() (frame, error) {
	for {
		if f := t.held; f != nil {
			t.held = nil
			return *f, nil
		}
		if t.seg != nil && t.seg.gone.Load() {
			_ = t.Close() // was only read from
		}
		if t.seg == nil {
			if err := t.enter(); err != nil {
				return frame{}, err
			}
		}
		f, err := t.scan.next()
		switch bad := (*CorruptionError)(nil); {
		case err == nil:
			t.bases.see(&f)
			done, err := t.check(&f)
			if done || err != nil {
				return f, err
			}
		case errors.As(err, &bad):
			t.noteDamage(bad)
		case errors.Is(err, io.EOF):
			if err := t.leave(); err != nil {
				return frame{}, err
			}
		default:
			return frame{}, err
		}
	}
}

// noteDamage reports damage, unless the segment was removed while it was read.
// What was published is known to be there: the end cannot be torn.
func (t *tail) noteDamage(bad *CorruptionError) {
	if t.seg.gone.Load() {
		return
	}
	t.damaged = true
	if v := t.l.viewOf(t.seg); bad.Torn && v.last > t.scan.last {
		bad.First, bad.Last, bad.Samples = t.scan.last+1, v.last, minus(v.total, t.scan.total)
	}
	bad.Torn = false
	t.l.d.report(bad)
}

// undecodable notes that f's bytes are good and its content is not. The position
// stays: what is read next finds the gap.
func (t *tail) undecodable(f *frame, err error) {
	t.damaged = true
	t.l.d.report(f.lost(t.seg.name, t.seg.number, err))
}

// check decides about a good frame: pass over it, return it, or hold it back
// because records before it are missing.
func (t *tail) check(f *frame) (done bool, err error) {
	switch {
	case !f.isRecord():
		return false, nil
	case f.seq <= t.at.Seq: // before the position: only the books matter
		t.at.Total, t.at.Exact = f.total, f.seq == t.at.Seq
		return false, nil
	case f.seq == t.at.Seq+1:
		return true, nil
	}
	gap := t.at.Gap(f.seq-1, f.before(), queue.GapDamaged)
	t.held = f
	return false, gap
}

// enter opens the segment that has the next record.
func (t *tail) enter() error {
	seg, v := t.l.segmentFor(t.at.Seq + 1)
	if seg == nil {
		if v.last > t.at.Seq {
			return t.at.Gap(v.last, v.total, queue.GapMissing)
		}
		return io.EOF
	}
	if err := t.reach(seg, v); err != nil {
		return err
	}
	f, err := t.l.d.fs.Open(t.l.d.path(seg.name))
	if errors.Is(err, os.ErrNotExist) && v.sealed { // else it is put back, see writer.check
		t.l.lost(seg)
		return t.enter()
	}
	if err != nil {
		return fmt.Errorf("open segment %d: %w", seg.number, err)
	}
	t.seg, t.file, t.damaged, t.bases = seg, f, false, readBases{}
	t.scan = newScanner(f, seg.name, v, v.size)
	return nil
}

// reach moves the position to the start of a segment that begins behind it: over
// sequences that failed without a word, over missing ones with a gap.
func (t *tail) reach(seg *segment, v segmentView) error {
	if v.first <= t.at.Seq {
		return nil
	}
	if v.first == t.at.Seq+1 {
		t.at.Total, t.at.Exact = v.before, true
		return nil
	}
	missing, _ := v.end()
	if missing <= t.at.Seq {
		t.at = queue.Place{Seq: v.first - 1, Total: v.before, Exact: true}
		return nil
	}
	reason := queue.GapMissing
	if t.damaged {
		reason = queue.GapDamaged
	} else if t.l.oldest() == seg {
		reason = queue.GapDropped
	}
	return t.at.Gap(missing, v.before, reason)
}

// leave follows the end of what was published of the segment at the time: more
// was published since, or the segment ends, or there is nothing more.
func (t *tail) leave() error {
	if t.seg.gone.Load() {
		return nil // next closes it
	}
	v := t.l.viewOf(t.seg)
	if v.size > t.scan.end {
		t.scan.end = v.size
		return nil
	}
	if v.last > t.at.Seq {
		return t.at.Gap(v.last, v.total, queue.GapDamaged)
	}
	if !v.sealed {
		return io.EOF
	}
	return t.Close()
}

// Close closes the segment. The position stays.
func (t *tail) Close() error {
	t.seg, t.scan, t.held, t.bases = nil, nil, nil, readBases{}
	if t.file == nil {
		return nil
	}
	err := t.file.Close()
	t.file = nil
	return err
}
