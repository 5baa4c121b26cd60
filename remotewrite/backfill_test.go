package remotewrite

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/state"
)

// TestBackfill lets the receiver be down for half an hour, in which one group is
// pushed to and another is not, and refreshes fall out of memory. With backfill
// the idle series has no hole that a query could see; without it has one. A
// receiver that is strict about order has nothing to complain about.
func TestBackfill(t *testing.T) {
	for _, fill := range []bool{true, false} {
		for parity := range 2 { // whether the last refresh came just before the outage
			t.Run(fmt.Sprintf("backfill=%v/%d", fill, parity), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					hole := longestHole(t, fill, parity)
					if seen := hole > lookback; seen == fill {
						t.Errorf("longest time without a sample: %v", hole)
					}
				})
			})
		}
	}
}

func longestHole(t *testing.T, fill bool, parity int) time.Duration {
	t.Helper()
	g := newRig(t, rigOptions{dir: t.TempDir(), queue: queue.Options{RingBytes: 4096}})
	g.start()
	var down atomic.Bool
	r := &receiver{answer: func(*request, int) reply {
		if down.Load() {
			return reply{status: 503}
		}
		return reply{}
	}}
	c := configFor(t, "http://receiver/write")
	c.ProtobufMessage, c.Metadata.Send = Message1, false
	c.Queue.Capacity, c.Queue.MaxShards, c.Queue.MinShards = 10, 1, 1
	o := Options{Transport: r, FillHoles: fill}
	d := g.destination(c, o)
	stop := running(t, d)
	g.put("idle 1", "job", "idle")
	for minute := range 60 {
		down.Store(minute >= 15 && minute < 45)
		time.Sleep(time.Minute)
		g.put(fmt.Sprintf("busy %d", minute), "job", "busy")
		for slot := range state.RefreshSlots * ((minute + parity) % 2) { // every two minutes: a turn that comes just after a push does nothing
			g.Refresh(slot, time.Minute)
		}
		synctest.Wait()
	}
	settled(t, d)
	stop()
	noProblems(t, r)
	var longest time.Duration
	last := int64(0)
	for _, s := range r.stored {
		if s.series != "idle{job=idle}" {
			continue
		}
		if last != 0 {
			longest = max(longest, time.Duration(s.time-last)*time.Millisecond)
		}
		last = s.time
	}
	return longest
}
