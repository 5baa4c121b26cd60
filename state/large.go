package state

import (
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// largeFrom is the weight from which a change is large, see weight. What is
// below takes some milliseconds at most.
const largeFrom = 4096

// A large change works on so many families or series before it looks at the clock, and
// lets go of the lock when it has held it for that long.
const (
	stepSize    = 256
	longestHold = 5 * time.Millisecond
)

// largeChange is a change that is not made in one critical section, as every other
// push would wait for it. Hashing and comparing need no lock, since versions of groups
// never change. What needs it is done in steps, and others get the lock between them:
//
//  1. What the group will have more is put into the index, and so reserved.
//  2. All of it is checked as ever. What others add meanwhile does not collide with it,
//     or they would have met what is reserved.
//  3. In one short step the record is stamped and enqueued: here the change takes its
//     place in the order. Others before this point do not see it, others behind do.
//  4. What the group has no longer is taken out of the index.
//
// While this goes on the group is held: its other changes wait, those of other groups
// do not. A change that meets the group in the index, where there may be more of it
// than there is, waits too, and is checked again: it is refused exactly when it would be
// in the order of the log. One large change goes on at a time, so nobody waits in a circle.
type largeChange struct {
	id    string
	entry *entry
	old   *group.Group // what the group is
	at    int64        // when a deletion is stamped at least; 0: now
	c     *checker     // of its own, so that it works without the lock
	t     transition
	r     *group.Record
	next  *group.Group // what the group will be
	hides bool         // see names.hides
	same  bool         // see sameSeries
	adds  bool
	time  timing
	last  int64 // what time follows from
	floor int64

	checked uint64 // Store.changes before the check

	// Guarded by the store's lock.
	come, gone      marks
	reserved, swept int  // how much of come is in the index, and of gone is not
	sequenced       bool // step 3 is done
	void            bool // an Abort took back what it builds upon
}

// errUnderWay says that a large change which is under way decides whether a change is
// refused. errVoid says that one must begin again. Neither leaves the package.
var (
	errUnderWay = errors.New("a large change is under way")
	errVoid     = errors.New("what was pending was taken back")
)

// weight says how much there is to do for g.
func weight(g *group.Group) int {
	if g == nil {
		return 0
	}
	return g.Samples() + len(g.Members)
}

// weightLocked says how much there is to do for a change.
func (s *Store) weightLocked(id string, c *group.Change) int {
	if c.Kind == group.KindFail {
		return 0 // the metrics stay
	}
	n := weight(s.pendingLocked(id))
	if c.Part != nil {
		n += c.Part.Shape.Samples() + len(c.Part.Shape.Families())
	}
	return n
}

// admitLocked waits until a change of a group may begin, and reports whether it is a
// large one. weight is called again after each wait, as the group may have changed.
func (s *Store) admitLocked(id string, weight func() int) (large bool) {
	for {
		large = weight() >= s.o.largeFrom
		if s.large == nil || !large && s.large.id != id {
			return large
		}
		s.idle.Wait()
	}
}

// retryLocked carries out a change, and again when a large one was in its way.
func (s *Store) retryLocked(change func() error) error {
	for {
		err := change()
		switch {
		case errors.Is(err, errUnderWay):
			for l := s.large; l != nil && s.large == l; {
				s.idle.Wait()
			}
		case !errors.Is(err, errVoid):
			return err
		}
	}
}

func (s *Store) applyLarge(id string, c group.Change, now time.Time, enqueue func(*group.Record)) error {
	old := s.pendingLocked(id)
	if c.Kind == group.KindDelete {
		if old == nil {
			return group.ErrAbsent
		}
		return s.changeLarge(id, &group.Record{Kind: group.KindDelete, Labels: old.Labels}, 0, now, enqueue)
	}
	if err := s.checkGroupsLocked(old); err != nil {
		return err
	}
	return s.changeLarge(id, s.pushRecordLocked(id, old, &c, now), 0, now, enqueue)
}

// changeLarge makes the change of r, which is a push or a deletion. It is called, and
// returns, with the lock held, and lets go of it in between.
func (s *Store) changeLarge(id string, r *group.Record, at int64, now time.Time, enqueue func(*group.Record)) error {
	e := s.entryLocked(id)
	l := &largeChange{
		id: id, entry: e, at: at, old: e.pending, r: r, hides: s.index.names.hides(), c: newChecker(s, s.checker.hash.fresh()), checked: s.changes,
	}
	s.large = l
	s.mu.Unlock()
	defer s.endLargeLocked(l)
	defer s.mu.Lock()
	err := s.prepareLarge(l)
	if err == nil {
		err = s.reserve(l)
	}
	if err == nil {
		err = s.checkLarge(l)
	}
	if err == nil {
		l.conclude()
		err = s.sequenceLarge(l, now, enqueue)
	}
	if err != nil {
		s.retract(l)
		return err
	}
	s.sweep(l)
	return nil
}

// endLargeLocked lets go of the group.
func (s *Store) endLargeLocked(l *largeChange) {
	s.unmarkLocked(l) // after a panic
	s.large = nil
	s.dropIfAbsentLocked(l.id, l.entry)
	s.idle.Broadcast()
}

// prepareLarge does what needs no lock.
func (s *Store) prepareLarge(l *largeChange) error {
	r, old := l.r, l.old
	if r.Kind == group.KindDelete {
		l.t = transition{hash: l.c.hash.of(r.Labels), replaced: old.Members}
		r.Ended = l.c.endAll(l.t.hash, old)
		l.gone.add(&l.t.hash, old.Members)
		l.gone.addOwn(&l.t.hash, old.Shows(), old.Hide)
		return nil
	}
	r.Members = r.Part.Members()
	if err := s.checkSize(old, r); err != nil {
		return err
	}
	l.next = old.Next(r, &s.shapes)
	if l.same = !l.hides && sameSeries(old, r); l.same {
		return nil
	}
	l.t = newTransition(l.c.hash.of(r.Labels), r.Kind, old, r.Part)
	l.t.slot = l.entry.slot
	if err := l.t.checkGrouping(); err != nil {
		return err
	}
	l.c.hashPart(&l.t)
	l.mark()
	return nil
}

// mark finds what comes into the index and what goes. Whether a series is delivered is
// not known yet: the claims of those that are not go again in the end.
func (l *largeChange) mark() {
	c, t := l.c, &l.t
	l.come.names = l.r.Members
	l.come.series = slices.Clone(c.view)
	for n, empty := range c.empty {
		if empty {
			l.come.claims = append(l.come.claims, c.claim[n])
		}
	}
	l.come.addOwn(&t.hash, t.shows, 0)
	if t.old != nil {
		l.gone.add(&t.hash, t.replaced)
		l.gone.addOwn(&t.hash, t.old.Shows(), t.old.Hide)
	}
	l.come.cancel(&l.gone)
}

// conclude completes the record, but for its time, and makes its bytes: it has no place
// in the log yet, where others would wait for that.
func (l *largeChange) conclude() {
	r, t, c := l.r, &l.t, l.c
	if r.Kind != group.KindDelete && !l.same {
		r.Hide, l.next.Hide, r.Part.Unsent = t.hide, t.hide, t.unsent
		r.Ended, l.adds = c.diff(t, r.Expect)
	}
	if t.hasTimes() {
		l.time = t.orderTimed(l.last, l.floor)
	}
	if r.Part == nil || r.Part.Times == nil { // which times are late is decided at last
		r.Prepare()
	}
}

// sequenceLarge gives the change its place in the order.
func (s *Store) sequenceLarge(l *largeChange, now time.Time, enqueue func(*group.Record)) error {
	runtime.Gosched()
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.void {
		return errVoid
	}
	if err := s.checkAgainLocked(l); err != nil {
		return err
	}
	e, r := l.entry, l.r
	if l.t.hasTimes() {
		floor := s.clock.floor(r.Labels)
		if last := s.clock.last(e); r.Part != nil && (last != l.last || floor != l.floor) { // rarely: refreshed, or the job lost a series
			l.time = l.t.orderTimed(last, floor)
		}
		s.timeLocked(e, r, l.time)
	}
	if r.Kind == group.KindDelete {
		r.Time = s.clock.stampEnd(e, max(l.at, now.UnixMilli()))
	} else {
		s.stampRecordLocked(e, r, now, l.adds)
		l.next.Last = r.Time
		if l.old == nil {
			l.next.Born = r.Time
		}
		l.forsake()
	}
	l.sequenced = true
	s.enqueueLocked(e, r, l.next, enqueue)
	return nil
}

// forsake notes the claims that were reserved for what is not delivered.
func (l *largeChange) forsake() {
	if l.same {
		return
	}
	for _, n := range l.t.unsent {
		if l.c.empty[n] {
			l.gone.claims = append(l.gone.claims, l.c.claim[n])
		}
	}
	var hidden marks
	hidden.addOwn(&l.t.hash, l.t.hide&l.t.shows, 0)
	l.gone.claims = append(l.gone.claims, hidden.claims...)
}

// reserve puts what comes into the index.
func (s *Store) reserve(l *largeChange) error {
	return s.steps(l, l.come.len(), func(from, to int) error {
		s.index.reserve(l.entry.slot, &l.come, from, to)
		l.reserved = to
		return nil
	})
}

// retract takes what was reserved out of the index.
func (s *Store) retract(l *largeChange) {
	_ = s.hold(func() (more bool, err error) {
		from := max(0, l.reserved-s.o.step)
		s.index.release(l.entry.slot, &l.come, from, l.reserved)
		l.reserved = from
		return from > 0, nil
	})
}

// sweep takes what is gone out of the index.
func (s *Store) sweep(l *largeChange) {
	_ = s.hold(func() (more bool, err error) {
		to := min(l.swept+s.o.step, l.gone.len())
		s.index.release(l.entry.slot, &l.gone, l.swept, to)
		l.swept = to
		return to < l.gone.len(), nil
	})
}

// voidLargeLocked brings the index in step with what is pending, because that is about
// to be taken back. A large change that has no place in the order yet begins again.
func (s *Store) voidLargeLocked() {
	if l := s.large; l != nil {
		l.void = true
		s.unmarkLocked(l)
	}
}

func (s *Store) unmarkLocked(l *largeChange) {
	if l.sequenced {
		s.index.release(l.entry.slot, &l.gone, l.swept, l.gone.len())
		l.swept = l.gone.len()
		return
	}
	s.index.release(l.entry.slot, &l.come, 0, l.reserved)
	l.reserved = 0
}

// touches reports whether a large change, other than that of c, has to do with families
// of that name.
func (l *largeChange) touches(c *checker, name string) bool {
	if l == nil || l.c == c {
		return false
	}
	if l.old != nil {
		if _, ok := l.old.Member(name); ok {
			return true
		}
	}
	return l.r.Part != nil && l.r.Part.Shape.Has(name)
}
