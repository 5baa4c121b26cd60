package state

import (
	"runtime"
	"time"

	"github.com/pushbridge/pushbridge/bigslice"
	"github.com/pushbridge/pushbridge/group"
)

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
// While this goes on the gate holds the group: its other changes wait, those of other
// groups do not. A change that meets the group in the index, where there may be more of
// it than there is, waits too, and is checked again: it is refused exactly when it would
// be in the order of the log.
//
// Its fields are its own, but for those that the store's lock guards. Others also read
// old, r and c, which do not change.
type largeChange struct {
	turn
	entry *entry
	old   *group.Group  // what the group is
	at    int64         // when a deletion is stamped at least; 0: now
	push  *group.Change // that is to be added to old; nil: r has its part
	c     *checker      // of its own, so that it works without the lock
	t     transition
	r     *group.Record
	next  *group.Group // what the group will be
	same  bool         // see sameSeries
	adds  bool
	time  timing

	checked uint64 // pendingQueue.changes before the check

	// Guarded by the store's lock.
	exchange
	sequenced bool // step 3 is done
	void      bool // an Abort took back what it builds upon
}

func (t *turn) applyLarge(id string, c group.Change) error {
	old := t.s.pending.newest(id)
	if c.Kind == group.KindDelete {
		if old == nil {
			return group.ErrAbsent
		}
		return t.changeLarge(id, &group.Record{Kind: group.KindDelete, Labels: old.Labels, Merge: group.Merge{Key: c.Key}}, 0, nil)
	}
	if err := t.checkGroups(old); err != nil {
		return err
	}
	r := t.pushRecord(id, old, &c)
	if c.How == nil {
		return t.changeLarge(id, r, 0, nil)
	}
	return t.changeLarge(id, r, 0, &c)
}

// changeLarge makes the change of r, which is a push or a deletion. It is called, and
// returns, with the lock held, and lets go of it in between.
func (t *turn) changeLarge(id string, r *group.Record, at int64, push *group.Change) error {
	s, e, hash := t.s, t.s.pending.place(id), t.s.checker.hash.fresh()
	l := &largeChange{
		turn: *t, entry: e, at: at, old: e.pending, r: r, push: push, c: newChecker(&s.pending, &s.gate, &hash),
		checked: s.queue.changes, exchange: exchange{slot: e.slot},
	}
	hides := s.pending.index.names.hides()
	s.gate.begin(l)
	s.mu.Unlock()
	defer l.finish()
	defer s.mu.Lock()
	return l.run(hides)
}

// finish lets go of the group.
func (l *largeChange) finish() {
	l.settle(&l.s.pending.index) // after a panic
	l.s.gate.end(l)
	l.s.pending.drop(l.entry)
}

// run carries the change out, or leaves no trace of it.
func (l *largeChange) run(hides bool) error {
	err := l.prepare(hides)
	if err == nil {
		err = l.reserve()
	}
	if err == nil {
		err = l.check()
	}
	if err == nil {
		l.conclude()
		err = l.takePlace()
	}
	if err != nil {
		l.retract()
		return err
	}
	l.sweep()
	return nil
}

// prepare does what needs no lock.
func (l *largeChange) prepare(hides bool) error {
	r, old := l.r, l.old
	if r.Kind == group.KindDelete {
		l.t = transition{hash: l.c.hash.of(r.Labels), replaced: old.Members}
		r.Ended = l.c.endAll(l.t.hash, old)
		l.gone.add(&l.t.hash, old.Members)
		l.gone.addOwn(&l.t.hash, old.Shows(), old.Hide)
		return nil
	}
	if l.push != nil {
		if err := l.add(hides); err != nil {
			return err
		}
	}
	r.Members = r.Part.Members()
	if err := l.s.o.checkSize(old, r); err != nil {
		return err
	}
	l.next = old.Next(r, &l.s.pending.shapes)
	if l.same = !hides && sameSeries(old, r); l.same {
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
	l.come.series = bigslice.Clone(c.view)
	for n, empty := range c.empty {
		if empty {
			l.come.claims = bigslice.Append(l.come.claims, c.claim[n])
		}
	}
	l.come.addOwn(&t.hash, t.shows, 0)
	if t.old != nil {
		l.gone.add(&t.hash, t.replaced)
		l.gone.addOwn(&t.hash, t.old.Shows(), t.old.Hide)
	}
	l.come.cancel(&l.gone)
}

// reserve puts what comes into the index.
func (l *largeChange) reserve() error {
	return l.steps(l.come.len(), func(_, to int) error {
		l.reserveTo(&l.s.pending.index, to)
		return nil
	})
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
		l.time = t.orderTimed(l.time.last, l.time.floor)
	}
	if l.preparable() {
		r.Prepare()
	}
}

// prepareFrom is how many samples the push of known series has that is prepared like any
// other large change. The log writes a smaller one as a difference, which is quick.
const prepareFrom = 1 << 16

func (l *largeChange) preparable() bool {
	p := l.r.Part
	if p != nil && p.Times != nil { // which times are late is decided at last
		return false
	}
	return !l.same || p.Shape.Samples() >= prepareFrom
}

// takePlace gives the change its place in the order.
func (l *largeChange) takePlace() error {
	runtime.Gosched()
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.void {
		return errVoid
	}
	if err := l.checkAgain(); err != nil {
		return err
	}
	e, r := l.entry, l.r
	if l.t.hasTimes() {
		floor := s.clock.floor(r.Labels)
		if last := s.clock.last(e); r.Part != nil && (last != l.time.last || floor != l.time.floor) { // rarely: refreshed, or the job lost a series
			l.time = l.t.orderTimed(last, floor)
		}
		s.clock.follow(e, r, l.time)
	}
	if r.Kind == group.KindDelete {
		r.Time = s.clock.stampEnd(e, max(l.at, l.now.UnixMilli()))
	} else {
		s.clock.stampRecord(e, r, l.now, l.adds)
		l.next.Last = r.Time
		if l.old == nil {
			l.next.Born = r.Time
		}
		l.forsake()
	}
	l.sequenced = true
	l.sequence(e, r, l.next)
	return nil
}

// forsake notes the claims that were reserved for what is not delivered.
func (l *largeChange) forsake() {
	if l.same {
		return
	}
	for _, n := range l.t.unsent {
		if l.c.empty[n] {
			l.gone.claims = bigslice.Append(l.gone.claims, l.c.claim[n])
		}
	}
	var hidden marks
	hidden.addOwn(&l.t.hash, l.t.hide&l.t.shows, 0)
	l.gone.claims = append(l.gone.claims, hidden.claims...)
}

// retract takes what was reserved out of the index.
func (l *largeChange) retract() {
	_ = l.hold(func() (more bool, err error) { return l.retractSome(&l.s.pending.index, l.s.o.step), nil })
}

// sweep takes what is gone out of the index.
func (l *largeChange) sweep() {
	_ = l.hold(func() (more bool, err error) { return l.sweepSome(&l.s.pending.index, l.s.o.step), nil })
}

// settle brings the index in step with what is pending, at once.
func (l *largeChange) settle(x *index) {
	if l.sequenced {
		l.sweepSome(x, l.gone.len())
	} else {
		l.retractSome(x, l.reserved)
	}
}
