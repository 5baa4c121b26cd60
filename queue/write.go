package queue

import (
	"fmt"
	"math"
)

// write encodes the records and writes them with one write and, with Always, one
// fsync.
func (l *Log[R]) write(items []ringItem[R]) error {
	if err := l.roll(); err != nil {
		return err
	}
	var last frame
	records, newest := uint64(0), int64(math.MinInt64)
	for i := range items {
		if items[i].Ephemeral {
			continue
		}
		last = l.frameOf(&items[i])
		if records == 0 && l.synced() {
			last.flags |= flagSynced
		}
		if err := l.encode(last, items[i].Record); err != nil {
			return err
		}
		records, newest = records+1, max(newest, last.time)
	}
	if err := l.disk.append(l.commit.buf, last, records, newest); err != nil {
		return err
	}
	if l.o.Fsync == Always {
		return l.disk.sync()
	}
	l.commit.unsynced = true
	return nil
}

func (l *Log[R]) frameOf(it *ringItem[R]) frame {
	return frame{
		kind: kindRecord, seq: it.Seq, time: l.codec.Time(it.Record),
		samples: uint32(it.samples), total: it.total,
	}
}

// encode appends the record's frame to the buffer.
func (l *Log[R]) encode(f frame, r R) error {
	c := &l.commit
	c.payload = l.codec.Encode(c.payload[:0], r)
	if len(c.payload) > maxPayload {
		return fmt.Errorf("record %d has %d bytes: too many", f.seq, len(c.payload))
	}
	c.buf, c.packed = appendFrame(c.buf, l.disk.w.seed, f, c.payload, c.packed)
	return nil
}

// synced reports whether everything written so far is known to be durable.
func (l *Log[R]) synced() bool {
	return l.o.Fsync == Always || l.o.Fsync == Interval && !l.commit.unsynced
}

// trim lets go of buffers that a large record left behind.
func (l *Log[R]) trim() {
	for _, b := range []*[]byte{&l.commit.buf, &l.commit.payload, &l.commit.packed} {
		if cap(*b) > 2*maxBatchBytes {
			*b = (*b)[:0:0]
		}
	}
}

// roll seals the segment when it is full, and sees to it that there is one.
func (l *Log[R]) roll() error {
	d := l.disk
	if d.writable() && d.w.view.size >= l.o.SegmentBytes {
		l.commit.unsynced = false
		if err := d.seal(l.o.Fsync != Off); err != nil {
			return fmt.Errorf("seal a segment: %w", err)
		}
		l.snapshots.kick()
	}
	if d.writable() {
		return nil
	}
	return l.openSegment()
}
