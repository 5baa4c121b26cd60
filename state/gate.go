package state

import (
	"errors"
	"sync"

	"github.com/pushbridge/pushbridge/group"
)

// largeFrom is the weight from which a change is large, see weight. What is
// below takes some milliseconds at most.
const largeFrom = 4096

// gate lets changes in. One large change goes on at a time, so nobody waits in a circle,
// and it holds its group: other changes of that wait, those of other groups do not.
//
// The store's lock guards it, and is held whenever it is called; it is let go of in waits.
type gate struct {
	largeFrom int
	large     *largeChange // under way; nil: none
	idle      sync.Cond    // large is nil again; with the store's lock
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

// admit waits until a change of a group may begin, and reports whether it is a large
// one. weight is called again after each wait, as the group may have changed.
func (g *gate) admit(id string, weight func() int) (large bool) {
	for {
		large = weight() >= g.largeFrom
		if g.large == nil || !large && g.large.entry.id != id {
			return large
		}
		g.idle.Wait()
	}
}

// retry carries out a change, and again when a large one was in its way.
func (g *gate) retry(change func() error) error {
	for {
		err := change()
		switch {
		case errors.Is(err, errUnderWay):
			for l := g.large; l != nil && g.large == l; {
				g.idle.Wait()
			}
		case !errors.Is(err, errVoid):
			return err
		}
	}
}

// waitFor waits until no large change works on e's group.
func (g *gate) waitFor(e *entry) {
	for e.held {
		g.idle.Wait()
	}
}

// waitIdle waits until no large change is under way.
func (g *gate) waitIdle() {
	for g.large != nil {
		g.idle.Wait()
	}
}

func (g *gate) begin(l *largeChange) { g.large, l.entry.held = l, true }

func (g *gate) end(l *largeChange) {
	g.large, l.entry.held = nil, false
	g.idle.Broadcast()
}

// void makes a large change that is under way begin again, unless it has its place in
// the order, and brings the index in step with what is pending, because that is about to
// be taken back.
func (g *gate) void(x *index) {
	if l := g.large; l != nil {
		l.void = true
		l.settle(x)
	}
}

// decides reports whether a large change, other than that of c, has to do with families
// of that name, so that it decides whether they collide.
func (g *gate) decides(c *checker, name string) bool {
	l := g.large
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
