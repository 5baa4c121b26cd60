package state

import (
	"runtime"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// check is checker.check in steps.
func (l *largeChange) check() error {
	if l.r.Kind == group.KindDelete || l.same {
		return nil
	}
	c, t := l.c, &l.t
	c.begin()
	err := l.steps(len(t.part.Shape.Families()), func(from, to int) error { return c.checkNames(t, from, to) })
	if err != nil {
		return err
	}
	if err := c.checkTwice(t); err != nil {
		return err
	}
	if err := l.steps(len(c.view), l.checkSeries); err != nil {
		return err
	}
	c.findTwins()
	err = l.steps(len(c.view), func(from, to int) error {
		if c.mayBeUnsent() {
			c.findUnsent(t, from, to)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return l.steps(1, func(int, int) error {
		l.time = l.follows()
		return l.checkOwn()
	})
}

func (l *largeChange) checkSeries(from, to int) error {
	c := l.c
	if !c.on.strict {
		return nil
	}
	if err := c.checkSeries(&l.t, from, to); err != nil {
		return err
	}
	for _, h := range c.view[from:to] {
		c.on.index.series.tolerate(h)
	}
	return nil
}

func (l *largeChange) checkOwn() error {
	c, t := l.c, &l.t
	if err := c.checkOwn(t); err != nil {
		return err
	}
	if !c.on.strict || t.old != nil && t.old.Shows() == t.shows && t.old.Hide == t.hide {
		return nil
	}
	for _, o := range ownSeries {
		if t.shows&o.own != 0 {
			c.on.index.series.tolerate(t.hash.own(o.name).view)
		}
	}
	return nil
}

// follows says what explicit timestamps follow from at present.
func (l *largeChange) follows() timing {
	return timing{last: l.s.clock.last(l.entry), floor: l.s.clock.floor(l.t.labels())}
}

// checkAgain looks again for what is not delivered, if there is something and if
// others may have let go of its identity since. It is rare, and done in one go.
func (l *largeChange) checkAgain() error {
	t := &l.t
	if len(t.unsent) == 0 && t.hide&t.shows == 0 || l.checked == l.s.queue.changes {
		return nil
	}
	t.unsent = nil
	if err := l.c.check(t); err != nil {
		return err
	}
	l.time = l.follows()
	l.conclude()
	return nil
}

// steps calls f under the lock for n things, some at a time, and lets others have the
// lock whenever it was held for long enough.
func (l *largeChange) steps(n int, f func(from, to int) error) error {
	from := 0
	return l.hold(func() (more bool, err error) {
		if l.void {
			return false, errVoid
		}
		to := min(from+l.s.o.step, n)
		err = f(from, to)
		from = to
		return from < n, err
	})
}

// hold calls f under the lock until there is no more to do.
func (l *largeChange) hold(f func() (more bool, err error)) (err error) {
	for more := true; more && err == nil; {
		runtime.Gosched() // others first
		l.s.mu.Lock()
		for began := time.Now(); more && err == nil; {
			more, err = f()
			if time.Since(began) >= l.s.o.longest {
				break
			}
		}
		l.s.mu.Unlock()
	}
	return err
}
