package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// maxScratch is the largest buffer, in bytes, that is kept for the next batch.
const maxScratch = 16 * mib

// writer is what the commit loop has: the segment being written. Nobody else touches
// it.
type writer struct {
	d *directory
	l *segments
	o Options

	file file // nil: no segment is open
	seg  *segment
	seed uint32
	view segmentView // what was written; readers see it after publish

	number   uint64      // of the newest segment ever made
	at       queue.Place // behind the last record that was committed
	void     uint64      // last failed sequence
	unsynced bool        // with Interval: written since the last fsync

	buf     []byte // frames of the batch that are not written yet
	size    int64  // of the batch, written or not
	payload []byte // scratch
	packed  []byte // scratch
	bases   bases  // of the segment
}

// writable reports whether a segment is open for writing.
func (w *writer) writable() bool { return w.file != nil }

// open makes a segment for the records behind the last one that was committed or
// failed. Failed sequences are named in its header. It is used only when its header
// and its directory entry are on disk.
func (w *writer) open(floor int64) error {
	w.number++
	first := max(w.at.Seq, w.void) + 1
	h := segmentHeader{
		store: w.d.id, number: w.number, era: w.d.era.Load(), first: first, floor: floor, before: w.at.Total,
	}
	if first > w.at.Seq+1 {
		h.void = w.at.Seq + 1
	}
	name := numbered(h.number, segmentSuffix)
	f, err := w.d.fs.Create(w.d.path(name))
	if err != nil {
		return fmt.Errorf("create segment %d: %w", h.number, err)
	}
	if err := w.start(f, h); err != nil {
		_ = f.Close() // holds nothing
		w.l.discard(name)
		return fmt.Errorf("start segment %d: %w", h.number, err)
	}
	v := newView(h, true)
	v.bytes = v.size
	w.file, w.seed, w.view = f, seedOf(h.store, h.number), v
	w.seg = &segment{number: h.number, name: name, view: v}
	w.l.add(w.seg)
	return nil
}

// start writes the header and makes the file durable.
func (w *writer) start(f file, h segmentHeader) error {
	if err := writeAll(f, h.append(nil), 0); err != nil {
		return err
	}
	if w.o.Fsync == Off {
		return nil
	}
	if err := w.syncFile(f); err != nil {
		return err
	}
	return w.d.fs.SyncDir(w.d.dir)
}

// syncFile syncs f, and counts it.
func (w *writer) syncFile(f file) error {
	begun := time.Now()
	err := f.Sync()
	w.d.metrics.Fsyncs.Inc()
	w.d.metrics.FsyncSeconds.Observe(time.Since(begun).Seconds())
	return err
}

// commit numbers the records of b and writes them, as a rule with one write, and with
// Always one fsync.
func (w *writer) commit(b *queue.Batch) error {
	at := queue.Place{Seq: max(w.at.Seq, w.void), Total: w.at.Total, Exact: true}
	for i := range b.Records {
		e := &b.Records[i]
		at.Seq, at.Total = at.Seq+1, at.Total+e.Samples
		e.Seq, e.Total = at.Seq, at.Total
	}
	if err := w.write(b); err != nil {
		w.void = at.Seq
		return err
	}
	w.at = at
	b.Bytes = int(w.size)
	w.tidy()
	return nil
}

func (w *writer) write(b *queue.Batch) error {
	if err := w.roll(b); err != nil {
		return err
	}
	if err := w.encode(b); err != nil {
		return err
	}
	last, v := &b.Records[len(b.Records)-1], &w.view
	v.size += w.size
	v.bytes = max(v.bytes, v.size)
	v.last, v.total = last.Seq, last.Total
	v.records += uint64(len(b.Records))
	for i := range b.Records {
		v.newest = max(v.newest, b.Records[i].Time)
	}
	if w.o.Fsync == Always {
		return w.sync()
	}
	w.unsynced = true
	return nil
}

// encode makes frames of the batch and writes them. They go out together, but for what
// was compressed beforehand, which is not copied.
func (w *writer) encode(b *queue.Batch) error {
	w.buf, w.size = w.buf[:0], 0
	for i := range b.Records {
		e := &b.Records[i]
		f := frame{kind: kindRecord, seq: e.Seq, time: e.Time, samples: uint32(e.Samples), total: e.Total}
		if i == 0 && w.synced() {
			f.flags |= flagSynced
		}
		rest := w.express(b, i, &f)
		if n := len(w.payload) + rest.Len; n > maxPayload {
			return fmt.Errorf("record %d has %d bytes: too many", e.Seq, n)
		}
		if rest.Len == 0 {
			w.buf, w.packed = appendFrame(w.buf, w.seed, f, w.payload, w.packed)
			continue
		}
		w.buf, w.packed = appendPacked(w.buf, w.seed, f, w.payload, rest, w.packed)
		if err := w.flush(w.buf, rest.Elements); err != nil {
			return err
		}
		w.buf = w.buf[:0]
	}
	return w.flush(w.buf)
}

// express makes the payload of record i, as a difference if there is a base, and says in f
// what it is.
func (w *writer) express(b *queue.Batch, i int, f *frame) (rest queue.Packed) {
	alike := b.Alike(i)
	if alike == nil {
		w.payload, rest = b.Pack(w.payload[:0], i)
		return rest
	}
	if have := w.bases.use(alike); have != nil {
		f.kind = kindDiff
		w.payload = b.Diff(binary.AppendUvarint(w.payload[:0], f.seq-have.seq), i, have.base)
		return rest
	}
	w.payload = b.Encode(w.payload[:0], i)
	if w.bases.note(alike, b.Base(i), f.seq, int64(len(w.payload))) {
		f.flags |= flagBase
	}
	return rest
}

// flush writes some of the batch.
func (w *writer) flush(pieces ...[]byte) error {
	for _, b := range pieces {
		if len(b) == 0 {
			continue
		}
		w.extend(int64(len(b)))
		if err := writeAll(w.file, b, w.view.size+w.size); err != nil {
			return fmt.Errorf("write segment %d: %w", w.seg.number, err)
		}
		w.size += int64(len(b))
	}
	return nil
}

// synced reports whether everything written so far is known to be durable.
func (w *writer) synced() bool {
	return w.o.Fsync == Always || w.o.Fsync == Interval && !w.unsynced
}

// tidy lets go of buffers that a large record left behind.
func (w *writer) tidy() {
	for _, b := range []*[]byte{&w.buf, &w.payload, &w.packed} {
		if cap(*b) > maxScratch {
			*b = (*b)[:0:0]
		}
	}
}

// roll seals the segment when it is full, and sees to it that there is one.
func (w *writer) roll(b *queue.Batch) error {
	if w.writable() && w.view.size >= w.o.SegmentBytes {
		w.unsynced = false
		if err := w.seal(w.o.Fsync != Off); err != nil {
			return fmt.Errorf("seal a segment: %w", err)
		}
		b.Rolled = true
	}
	if w.writable() {
		return nil
	}
	return w.open(b.Floor)
}

// sync makes everything that was written durable.
func (w *writer) sync() error {
	if !w.writable() {
		return nil
	}
	if err := w.syncFile(w.file); err != nil {
		return fmt.Errorf("sync segment %d: %w", w.seg.number, err)
	}
	return nil
}

// publish lets readers see what was written.
func (w *writer) publish() {
	if w.writable() {
		w.l.publish(w.seg, w.view)
	}
}

// close ends the writing. A segment that holds nothing, and names nothing that failed,
// goes.
func (w *writer) close() error {
	switch {
	case !w.writable():
		return nil
	case w.view.records == 0 && w.view.void == 0:
		w.abandon()
		return nil
	}
	if err := w.seal(true); err != nil {
		return fmt.Errorf("seal the last segment: %w", err)
	}
	return nil
}

// release lets go of the segment that was written.
func (w *writer) release() (file, *segment) {
	f, s := w.file, w.seg
	w.file, w.seg = nil, nil
	w.bases.clear()
	return f, s
}

// seal writes the footer, cuts off the zeros behind it and closes the segment. Everything
// in it is durable already, or need not be by the mode: an error costs nothing but a longer
// scan at the next start, except with Interval.
func (w *writer) seal(sync bool) error {
	f, s := w.release()
	err := writeAll(f, appendFooter(nil, w.seed, w.view), w.view.size)
	if err == nil && w.view.bytes > w.view.size {
		err = f.Truncate(w.view.size + footerSize)
	}
	if err == nil && sync {
		err = w.syncFile(f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	w.l.sealed(s, footerSize)
	return err
}

// abandon closes the segment after a failure. It is not synced again: after a failed
// fsync the kernel may report success for pages that it threw away. What failed is cut
// off if the disk lets us; the next segment's header names it anyway. A segment without
// any record is removed.
func (w *writer) abandon() {
	if !w.writable() {
		return
	}
	f, s := w.release()
	v := w.l.sealed(s, 0)
	if v.records == 0 {
		w.l.giveUp(s)
	}
	err := f.Truncate(v.size)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if v.records == 0 {
		w.l.discard(s.name)
	} else if err != nil {
		w.d.log.Warn("cannot tidy up the segment after a failure", "segment", s.number, "err", err)
	}
}

// failed is the end of everything that the disk refused. In modes that leave something
// to later, what was left may be lost.
func (w *writer) failed(err error) error {
	w.abandon()
	if w.o.Fsync != Always && !errors.Is(err, queue.ErrAtRisk) {
		err = fmt.Errorf("%w; %w", err, queue.ErrAtRisk)
	}
	return err
}
