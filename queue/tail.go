package queue

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// tail reads records from segments, from any position on, as far as they are
// published, and keeps the books of what it could not read.
type tail struct {
	d     *disk  // nil: memory only
	seq   uint64 // position: last record that was read or accounted for
	total uint64 // samples of all records up to seq
	exact bool   // total is known

	seg     *segment
	file    file
	scan    *scanner
	held    *frame // read, but a gap comes first
	damaged bool   // something in this segment was unreadable
}

func newTail(d *disk, after uint64) *tail { return &tail{d: d, seq: after, exact: after == 0} }

// next returns the next record; its payload is valid until the call after. take
// or undecodable must follow. It returns a *GapError where records are missing,
// and io.EOF when everything that is published was read.
func (t *tail) next() (frame, error) {
	for {
		if f := t.held; f != nil {
			t.held = nil
			return *f, nil
		}
		if t.seg != nil && t.seg.gone.Load() {
			_ = t.close() // was only read from
		}
		if t.seg == nil {
			if err := t.enter(); err != nil {
				return frame{}, err
			}
		}
		f, err := t.scan.next()
		switch bad := (*CorruptionError)(nil); {
		case err == nil:
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
	if v := t.d.viewOf(t.seg); bad.Torn && v.last > t.scan.last {
		bad.First, bad.Last, bad.Samples = t.scan.last+1, v.last, minus(v.total, t.scan.total)
	}
	bad.Torn = false
	t.d.report(bad)
}

// take moves the position behind f.
func (t *tail) take(f frame) { t.seq, t.total, t.exact = f.seq, f.total, true }

// undecodable notes that f's bytes are good and its content is not. The position
// stays: what is read next finds the gap.
func (t *tail) undecodable(f frame, err error) {
	t.damaged = true
	t.d.report(&CorruptionError{
		File: t.seg.name, Segment: t.seg.number, Offset: f.offset, Length: f.size,
		First: f.seq, Last: f.seq, Samples: uint64(f.samples), Err: err,
	})
}

// check decides about a good frame: pass over it, return it, or hold it back
// because records before it are missing.
func (t *tail) check(f *frame) (done bool, err error) {
	switch {
	case f.kind != kindRecord:
		return false, nil
	case f.seq <= t.seq: // before the position: only the books matter
		t.total, t.exact = f.total, f.seq == t.seq
		return false, nil
	case f.seq == t.seq+1:
		return true, nil
	}
	gap := t.gapTo(f.seq-1, f.before(), GapDamaged)
	t.held = f
	return false, gap
}

// gapTo moves the position to seq and describes what was passed over.
func (t *tail) gapTo(seq, total uint64, reason GapReason) *GapError {
	g := &GapError{From: t.seq + 1, To: seq, Exact: t.exact, Reason: reason}
	if t.exact {
		g.Samples = minus(total, t.total)
	}
	t.seq, t.total, t.exact = seq, total, true
	return g
}

// enter opens the segment that has the next record.
func (t *tail) enter() error {
	seg, v := t.d.segmentFor(t.seq + 1)
	if seg == nil {
		if v.last > t.seq {
			return t.gapTo(v.last, v.total, GapMissing)
		}
		return io.EOF
	}
	if err := t.reach(seg, v); err != nil {
		return err
	}
	f, err := t.d.fs.Open(t.d.path(seg.name))
	if errors.Is(err, os.ErrNotExist) && v.sealed { // else it is put back, see watch
		t.d.lost(seg)
		return t.enter()
	}
	if err != nil {
		return fmt.Errorf("open segment %d: %w", seg.number, err)
	}
	t.seg, t.file, t.damaged = seg, f, false
	t.scan = newScanner(f, seg.name, v, v.size)
	return nil
}

// reach moves the position to the start of a segment that begins behind it: over
// sequences that failed without a word, over missing ones with a gap.
func (t *tail) reach(seg *segment, v segmentView) error {
	if v.first <= t.seq {
		return nil
	}
	if v.first == t.seq+1 {
		t.total, t.exact = v.before, true
		return nil
	}
	missing, _ := v.end()
	if missing <= t.seq {
		t.seq, t.total, t.exact = v.first-1, v.before, true
		return nil
	}
	reason := GapMissing
	if t.damaged {
		reason = GapDamaged
	} else if t.d.oldest() == seg {
		reason = GapDropped
	}
	return t.gapTo(missing, v.before, reason)
}

// leave follows the end of what was published of the segment at the time: more
// was published since, or the segment ends, or there is nothing more.
func (t *tail) leave() error {
	if t.seg.gone.Load() {
		return nil // next closes it
	}
	v := t.d.viewOf(t.seg)
	if v.size > t.scan.end {
		t.scan.end = v.size
		return nil
	}
	if v.last > t.seq {
		return t.gapTo(v.last, v.total, GapDamaged)
	}
	if !v.sealed {
		return io.EOF
	}
	return t.close()
}

// close closes the segment. The position stays.
func (t *tail) close() error {
	t.seg, t.scan, t.held = nil, nil, nil
	if t.file == nil {
		return nil
	}
	err := t.file.Close()
	t.file = nil
	return err
}
