package disk

// A file that grows with each record makes the file system write down its new length with
// each fsync, in a place of its own and often in a journal. So with Always the segment that
// is written gets zeros ahead of its records, some at a time; what is written over them costs
// the write alone. They are cut off when the segment is sealed. After a crash they are its
// end: no frame begins with a zero.

// aheadStep is how many bytes of zeros are written at a time, at most.
const aheadStep = mib

// zeros is what is written: pages that nobody writes to take no memory.
var zeros [64 << 10]byte

// extend sees to it that the next n bytes have zeros to be written over, if that pays: large
// pieces, of which a few fill a step, would be written twice for nothing. An error is no
// fault yet, since the records may fit all the same.
func (w *writer) extend(n int64) {
	v, step := &w.view, min(aheadStep, w.o.SegmentBytes/2)
	end := v.size + w.size + n
	if w.o.Fsync != Always || end <= v.bytes || n > step/8 {
		return
	}
	at := max(v.bytes, v.size+w.size)
	to := min(at+step, w.o.SegmentBytes)
	if end > to {
		return
	}
	for at < to {
		n, err := w.file.WriteAt(zeros[:min(to-at, int64(len(zeros)))], at)
		at += int64(n)
		v.bytes = at
		if err != nil {
			return
		}
	}
}
