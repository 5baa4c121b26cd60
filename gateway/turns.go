package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/state"
)

const (
	hurry        = 10                    // how many times as often as usual turns come that were missed
	shortestWait = 10 * time.Millisecond // between two of these
	maxIntervals = 100                   // whose turns are remembered: those of rules, and of rules before
)

// turns are the moments at which slots are refreshed: turn n comes n steps after the Unix
// epoch, and is that of the slot n modulo RefreshSlots. So they are the same for whoever
// leads, and after a restart. The marks in the log tell which was the last that was made:
// whoever goes on makes up for those that came since, in their order.
type turns struct {
	takeOver time.Duration // for how long nobody may lead, 0 where one always does

	mu    sync.Mutex
	begun int64                   // in ms: an interval without a mark has had its turns so far
	last  map[time.Duration]int64 // by interval: the turn of the newest mark
}

// begin says from when on intervals have turns that are not known yet.
func (t *turns) begin(ms int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun = ms
}

// step returns how far the turns of an interval are apart. A round of them is shorter than
// the interval by a take-over, so that this does not make it longer than the interval.
func (t *turns) step(interval time.Duration) time.Duration {
	return max(interval-t.takeOver, interval/2) / state.RefreshSlots
}

// saw learns from a clock mark of the log which turn was made.
func (t *turns) saw(mark *group.Record) {
	slot, interval, ok := mark.Refreshes()
	if !ok || t.step(interval) <= 0 {
		return
	}
	n := turnAt(mark.Time, t.step(interval))
	n -= (n - int64(slot) + state.RefreshSlots) % state.RefreshSlots // it came late
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keepLocked(interval, n)
}

func (t *turns) keepLocked(interval time.Duration, n int64) {
	if _, known := t.last[interval]; t.last == nil || !known && len(t.last) == maxIntervals {
		t.last = map[time.Duration]int64{}
	}
	t.last[interval] = n
}

// turnAt returns the newest turn that has come by the end of a millisecond.
func turnAt(ms int64, step time.Duration) int64 {
	return time.UnixMilli(ms+1).UnixNano() / int64(step)
}

// marked returns the turn that the newest mark of an interval tells of.
func (t *turns) marked(interval time.Duration) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.last[interval]; !ok {
		t.keepLocked(interval, turnAt(t.begun, t.step(interval)))
	}
	return t.last[interval]
}

// lastMade returns the last turn that was made, here, n, or by another replica, marked, when
// the turn now has come: a round behind at most, and no round ahead, since the clock was set
// back then.
func lastMade(n, marked, now int64) int64 {
	if marked > n && marked <= now+state.RefreshSlots {
		n = marked
	}
	if n > now+state.RefreshSlots {
		n = now
	}
	return max(n, now-state.RefreshSlots)
}

// refreshAt makes the turns of an interval behind n until ctx ends. Those that were missed, since
// nobody led or the log took nothing, come one after the other, hurry times as fast as
// usual: so none comes later than the first did, and a round takes a tenth of the interval.
// A turn whose mark the log refused comes a round later.
func (g *Gateway) refreshAt(ctx context.Context, interval time.Duration, n int64, sends func() bool) error {
	step := g.turns.step(interval)
	soon := max(step/hurry, shortestWait)
	for {
		at := g.now().UnixNano()
		now := at / int64(step)
		n = lastMade(n, g.turns.marked(interval), now)
		if n < now && g.Ready() == nil {
			if n++; sends() {
				g.Refresh(int(n%state.RefreshSlots), interval)
			}
		}
		wait := time.Duration((now+1)*int64(step) - at)
		if n < now {
			wait = min(wait, soon)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}
