package disk

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// opened is a segment while it is being recovered.
type opened struct {
	*segment
	header segmentHeader
	good   bool // the header is
	size   int64
}

// findSegments recovers all segments, oldest first.
func (r *recovery) findSegments(files []fileInfo) error {
	var all []opened
	for _, info := range files {
		number, ok := segmentNumber(info.name)
		if !ok {
			continue
		}
		r.number = max(r.number, number) // not used again, even if the file was moved aside
		if !strings.HasSuffix(info.name, segmentSuffix) {
			continue
		}
		s, use, err := r.inspectSegment(info, number)
		if err != nil {
			return err
		}
		if use {
			all = append(all, s)
		}
	}
	return r.recoverSegments(all)
}

// inspectSegment reads a segment's header. A segment of another store, or under
// another number, is moved aside.
func (r *recovery) inspectSegment(info fileInfo, number uint64) (s opened, use bool, err error) {
	b, err := r.d.readStart(info.name, segmentHeaderSize)
	if err != nil {
		return s, false, fmt.Errorf("read %s: %w", info.name, err)
	}
	h, err := parseSegmentHeader(b, info.name)
	if errors.As(err, new(*VersionError)) {
		return s, false, err
	}
	s = opened{segment: &segment{number: number, name: info.name}, header: h, good: true, size: info.size}
	bad := &CorruptionError{File: info.name, Segment: number, Length: min(info.size, segmentHeaderSize), Err: err}
	switch {
	case err == nil || errors.Is(err, errPreamble) || errors.Is(err, errMagic):
		if h.store != r.d.id || h.number != number {
			bad.Err, bad.Length = errForeign, info.size
			r.d.report(bad)
			r.d.moveAside(info.name)
			return s, false, nil
		}
	case info.size <= segmentHeaderSize: // there is no record in it, probably never was
		bad.Torn, bad.Cut = true, true
		r.d.report(bad)
		r.removeEmpty(s.segment)
		return s, false, nil
	default: // reading the segment will report it
		s.good = false
		s.header = segmentHeader{store: r.d.id, number: number}
		return s, true, nil
	}
	if err != nil {
		r.d.report(bad)
	}
	return s, true, nil
}

// recoverSegments finds out what each segment holds, newest first: the header of
// the next one says where the one before ends, and what failed at its end.
func (r *recovery) recoverSegments(all []opened) error {
	var next *segmentHeader
	for _, s := range slices.Backward(all) {
		use, err := r.recoverSegment(&s, next)
		if err != nil {
			return err
		}
		if use && next != nil && s.view.last >= next.first {
			r.d.report(&CorruptionError{File: s.name, Segment: s.number, Length: s.size, Err: errOrder})
			r.d.moveAside(s.name)
			use = false
		}
		if use && next != nil && s.view.records == 0 && s.view.void == 0 {
			r.removeEmpty(s.segment)
			use = false
		}
		if use {
			r.segments = append(r.segments, s.segment)
			next = &s.view.segmentHeader
		}
	}
	slices.Reverse(r.segments)
	return nil
}

// removeEmpty removes a segment that was given up before it held any record.
func (r *recovery) removeEmpty(s *segment) {
	if err := r.d.fs.Remove(r.d.path(s.name)); err != nil {
		r.d.log.Warn("cannot remove an empty segment", "segment", s.number, "err", err)
	}
}

// end returns the sequence and the books where the segment before h ends.
func (h *segmentHeader) end() (seq, total uint64) {
	if h.void != 0 {
		return h.void - 1, h.before
	}
	return h.first - 1, h.before
}

// recoverSegment trusts the footer of a sealed segment: its frames are checked
// when they are read. Any other segment is read now, cut behind its last good
// frame and sealed. A segment without any good frame is moved aside, unless it
// never had one.
func (r *recovery) recoverSegment(s *opened, next *segmentHeader) (use bool, err error) {
	if s.good && r.readFooter(s) {
		if next == nil && r.fsync == Interval {
			r.resync(s.segment) // killed between the footer and its fsync
		}
		return true, nil
	}
	readable, err := r.scanSegment(s, next)
	if err != nil {
		return false, fmt.Errorf("recover %s: %w", s.name, err)
	}
	if s.view.records == 0 && !s.good {
		if readable {
			r.d.moveAside(s.name)
		}
		return false, nil
	}
	if readable {
		r.resealSegment(s)
	}
	return true, nil
}

// resync makes a segment durable that the process before may have left in the page
// cache.
func (r *recovery) resync(s *segment) {
	f, err := r.d.fs.Edit(r.d.path(s.name))
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		r.d.log.Warn("cannot make the newest segment durable", "segment", s.number, "err", err)
	}
}

// readFooter fills in the view from the footer, if there is a good one.
func (r *recovery) readFooter(s *opened) bool {
	if s.size < segmentHeaderSize+footerSize {
		return false
	}
	f, err := r.d.fs.Open(r.d.path(s.name))
	if err != nil {
		return false
	}
	var b [footerSize]byte
	n, _, err := readPages(f, b[:], s.size-footerSize)
	_ = f.Close() // was only read from
	if err != nil {
		return false
	}
	footer, records, err := parseFooter(b[:n], seedOf(r.d.id, s.number), s.size)
	if err != nil || footer.seq+1 < s.header.first {
		return false
	}
	v := newView(s.header, true)
	v.last, v.total, v.newest, v.records = footer.seq, footer.total, footer.time, records
	v.size, v.bytes, v.sealed = s.size-footerSize, s.size, true
	s.view = v
	return true
}

// scanSegment reads a whole segment and reports what is damaged in it. Frames at
// its end that next names as failed are none. readable is false when the disk could
// not read some page: such a file is not touched.
func (r *recovery) scanSegment(s *opened, next *segmentHeader) (readable bool, err error) {
	f, err := r.d.fs.Open(r.d.path(s.name))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	v := &s.view
	*v = newView(s.header, s.good)
	v.bytes, v.sealed = s.size, true
	scan := newFileScanner(f, s.name, *v, s.size)
	var holes []*CorruptionError
	for {
		fr, err := scan.next()
		switch bad := (*CorruptionError)(nil); {
		case errors.As(err, &bad):
			holes = append(holes, bad)
		case errors.Is(err, io.EOF):
			r.reportHoles(holes, scan.synced, v, next)
			return !scan.unreadable, nil
		case err != nil:
			return false, err
		case fr.isRecord() && !next.failed(fr.seq):
			v.add(&fr)
		}
	}
}

// failed reports whether the segment before h may hold seq although it failed.
func (h *segmentHeader) failed(seq uint64) bool {
	if h == nil {
		return false
	}
	end, _ := h.end()
	return seq > end
}

// reportHoles reports damage in a segment without a good footer. In the newest
// segment, what no frame of a later batch follows is what a crash leaves, and was
// not known to be on disk. In others, next knows what the end is missing.
func (r *recovery) reportHoles(holes []*CorruptionError, synced int64, v *segmentView, next *segmentHeader) {
	for _, bad := range holes {
		bad.Cut = bad.Torn
		bad.Torn = next == nil && bad.Offset > synced
		if bad.Cut && next != nil {
			end, total := next.end()
			bad.First, bad.Last, bad.Samples = v.last+1, end, minus(total, v.total)
			if v.last >= end { // nothing but the footer, or what failed
				bad.First, bad.Last, bad.Torn = 0, 0, true
			}
		}
		if bad.Offset == 0 {
			bad.Err = errHeader
		}
		r.d.report(bad)
	}
	if next == nil || next.number != v.number+1 {
		return
	}
	if end, total := next.end(); v.first > 0 && v.last < end && !r.d.damage.names(v.last+1, end) {
		err := errShort
		if v.bytes > v.size { // zeros stand there
			err = errNoFrame
		}
		r.d.report(&CorruptionError{
			File: numbered(v.number, segmentSuffix), Segment: v.number, Offset: v.size, Length: v.bytes - v.size,
			First: v.last + 1, Last: end, Samples: minus(total, v.total), Cut: true, Err: err,
		})
	}
}

// resealSegment cuts what follows the last good frame and writes a footer. When
// the disk does not let us, the next start does the same again.
func (r *recovery) resealSegment(s *opened) {
	err := func() error {
		f, err := r.d.fs.Edit(r.d.path(s.name))
		if err != nil {
			return err
		}
		err = r.reseal(f, s)
		return errors.Join(err, f.Close())
	}()
	if err != nil {
		r.d.log.Warn("cannot seal a segment; it will be read again at the next start", "segment", s.number, "err", err)
		return
	}
	s.view.bytes = s.view.size + footerSize
}

func (r *recovery) reseal(f file, s *opened) error {
	if err := f.Truncate(s.view.size); err != nil {
		return err
	}
	if err := writeAll(f, appendFooter(nil, seedOf(r.d.id, s.number), s.view), s.view.size); err != nil {
		return err
	}
	return f.Sync()
}
