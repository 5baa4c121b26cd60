package state

import (
	"runtime"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// checkLarge is checker.check in steps.
func (s *Store) checkLarge(l *largeChange) error {
	if l.r.Kind == group.KindDelete || l.same {
		return nil
	}
	c, t := l.c, &l.t
	c.begin()
	err := s.steps(l, len(t.part.Shape.Families()), func(from, to int) error { return c.checkNames(t, from, to) })
	if err != nil {
		return err
	}
	if err := c.checkTwice(t); err != nil {
		return err
	}
	if err := s.steps(l, len(c.view), l.checkSeriesLocked); err != nil {
		return err
	}
	c.findTwins()
	err = s.steps(l, len(c.view), func(from, to int) error {
		if c.mayBeUnsent() {
			c.findUnsent(t, from, to)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.steps(l, 1, func(int, int) error {
		l.last, l.floor = s.clock.last(l.entry), s.clock.floor(t.labels())
		return l.checkOwnLocked()
	})
}

func (l *largeChange) checkSeriesLocked(from, to int) error {
	c := l.c
	if !c.s.o.CheckConsistency {
		return nil
	}
	if err := c.checkSeries(&l.t, from, to); err != nil {
		return err
	}
	for _, h := range c.view[from:to] {
		c.s.index.series.tolerate(h)
	}
	return nil
}

func (l *largeChange) checkOwnLocked() error {
	c, t := l.c, &l.t
	if err := c.checkOwn(t); err != nil {
		return err
	}
	if !c.s.o.CheckConsistency || t.old != nil && t.old.Shows() == t.shows && t.old.Hide == t.hide {
		return nil
	}
	for _, o := range ownSeries {
		if t.shows&o.own != 0 {
			c.s.index.series.tolerate(t.hash.own(o.name).view)
		}
	}
	return nil
}

// checkAgainLocked looks again for what is not delivered, if there is something and if
// others may have let go of its identity since. It is rare, and done in one go.
func (s *Store) checkAgainLocked(l *largeChange) error {
	t := &l.t
	if len(t.unsent) == 0 && t.hide&t.shows == 0 || l.checked == s.changes {
		return nil
	}
	t.unsent = nil
	if err := l.c.check(t); err != nil {
		return err
	}
	l.last, l.floor = s.clock.last(l.entry), s.clock.floor(t.labels())
	l.conclude()
	return nil
}

// steps calls f under the lock for n things, some at a time, and lets others have the
// lock whenever it was held for long enough.
func (s *Store) steps(l *largeChange, n int, f func(from, to int) error) error {
	from := 0
	return s.hold(func() (more bool, err error) {
		if l.void {
			return false, errVoid
		}
		to := min(from+s.o.step, n)
		err = f(from, to)
		from = to
		return from < n, err
	})
}

// hold calls f under the lock until there is no more to do.
func (s *Store) hold(f func() (more bool, err error)) (err error) {
	for more := true; more && err == nil; {
		runtime.Gosched() // others first
		s.mu.Lock()
		for began := time.Now(); more && err == nil; {
			more, err = f()
			if time.Since(began) >= s.o.longest {
				break
			}
		}
		s.mu.Unlock()
	}
	return err
}
