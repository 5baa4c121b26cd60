package disk

import (
	"errors"
	"os"
	"slices"
	"sync"

	"github.com/pushbridge/pushbridge/queue"
)

// segments are those of the log that there are. Its methods may be called from any
// goroutine.
type segments struct {
	d       *directory
	durably bool // removals are made durable

	mu        sync.Mutex
	list      []*segment        // oldest first; the last may be the one being written
	strays    []string          // files that were given up, and could not be removed then
	removed   bool              // a removal may not be durable yet
	totals    map[uint64]uint64 // books that were looked up in segments, by sequence
	published queue.Place       // where readers may read to
}

// add appends the segment that is written to from now on.
func (l *segments) add(s *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, s)
}

// publish lets readers see what was written to s.
func (l *segments) publish(s *segment, v segmentView) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.view = v
	l.published = queue.Place{Seq: v.last, Total: v.total, Exact: true}
}

// sealed notes that nothing is added to s any more, and that its file ends with a footer of
// that size. It returns what readers may see.
func (l *segments) sealed(s *segment, footer int64) segmentView {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.view.sealed = true
	s.view.bytes = s.view.size + footer
	return s.view
}

// segmentFor returns the segment that has the record seq or, when seq is in none,
// the first one behind it. When there is none it returns nil, and a view that
// ends where readers may read to at the same moment.
func (l *segments) segmentFor(seq uint64) (*segment, segmentView) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, _ := slices.BinarySearchFunc(l.list, seq, func(s *segment, seq uint64) int {
		if s.view.last < seq {
			return -1
		}
		return 1
	})
	if i == len(l.list) {
		return nil, segmentView{last: l.published.Seq, total: l.published.Total}
	}
	return l.list[i], l.list[i].view
}

// viewOf returns what readers may see of s now.
func (l *segments) viewOf(s *segment) segmentView {
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.view
}

// oldest returns the oldest segment, nil without any.
func (l *segments) oldest() *segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == 0 {
		return nil
	}
	return l.list[0]
}

// oldestSealed returns the oldest segment unless it is the one being written.
func (l *segments) oldestSealed() (*segment, segmentView) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == 0 || !l.list[0].view.sealed {
		return nil, segmentView{}
	}
	return l.list[0], l.list[0].view
}

// size returns how many segments there are, and their bytes.
func (l *segments) size() (n int, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.list {
		bytes += s.view.bytes
	}
	return len(l.list), bytes
}

// bytesBehind returns the bytes of records behind seq. Within a segment they count as
// equally large.
func (l *segments) bytesBehind(seq uint64) (bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.list {
		switch v := s.view; {
		case v.last <= seq:
		case v.first > seq:
			bytes += v.size
		default:
			bytes += int64(float64(v.size) * float64(v.last-seq) / float64(v.last-v.first+1))
		}
	}
	return bytes
}

// trim removes the oldest segments as far as they hold nothing behind seq.
func (l *segments) trim(seq uint64) error {
	for {
		oldest, v := l.oldestSealed()
		if oldest == nil || v.last > seq {
			return nil
		}
		if err := l.remove(oldest); err != nil {
			return err
		}
	}
}

// remove removes a segment. Readers that are in it notice, and report a gap if they
// were not done. One removal is durable before the next one starts, so that a power
// loss never brings back an old segment without those behind it. The file is emptied
// afterwards: a reader that has it open would otherwise keep its bytes on the disk.
func (l *segments) remove(s *segment) error {
	if err := errors.Join(l.removeStrays(), l.syncRemoval()); err != nil {
		return err
	}
	f, err := l.d.fs.Edit(l.d.path(s.name))
	if errors.Is(err, os.ErrNotExist) {
		l.forget(s)
		return nil
	}
	if err != nil {
		return err
	}
	if err := l.d.fs.Remove(l.d.path(s.name)); err != nil {
		return errors.Join(err, f.Close())
	}
	l.forget(s)
	if err := l.syncRemoval(); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Truncate(0), f.Close())
}

// forget takes a segment that is gone from the list.
func (l *segments) forget(s *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removed = l.durably
	s.gone.Store(true)
	l.list = slices.DeleteFunc(l.list, func(o *segment) bool { return o == s })
}

// syncRemoval makes the last removal durable.
func (l *segments) syncRemoval() error {
	l.mu.Lock()
	removed := l.removed
	l.removed = false
	l.mu.Unlock()
	if !removed {
		return nil
	}
	err := l.d.fs.SyncDir(l.d.dir)
	if err != nil {
		l.mu.Lock()
		l.removed = true
		l.mu.Unlock()
	}
	return err
}

// giveUp takes the segment that was written to from the list: it has no record that
// was reported done. Its file is removed with discard.
func (l *segments) giveUp(s *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = slices.DeleteFunc(l.list, func(o *segment) bool { return o == s })
	s.gone.Store(true)
}

// discard removes a file that holds no record that was reported done, now or as
// soon as the disk allows: it must not outlive the segment behind it, whose header
// names what failed.
func (l *segments) discard(name string) {
	l.mu.Lock()
	l.strays = append(l.strays, name)
	l.mu.Unlock()
	_ = l.removeStrays() // tried again before a segment is removed
}

func (l *segments) removeStrays() error {
	l.mu.Lock()
	strays := l.strays
	l.strays = nil
	l.mu.Unlock()
	var errs []error
	for _, name := range strays {
		err := l.d.fs.Remove(l.d.path(name))
		l.mu.Lock()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
			l.strays = append(l.strays, name)
		} else {
			l.removed = l.durably
		}
		l.mu.Unlock()
	}
	return errors.Join(errs...)
}

// lost notes that a segment's file has disappeared, and not because we removed it.
func (l *segments) lost(s *segment) {
	if s.gone.Load() {
		return
	}
	v := l.viewOf(s)
	l.forget(s)
	l.d.report(&CorruptionError{
		File: s.name, Segment: s.number, Length: v.size,
		First: v.first, Last: v.last, Samples: v.total - v.before, Err: os.ErrNotExist,
	})
}
