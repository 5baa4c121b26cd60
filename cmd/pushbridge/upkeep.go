package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/ingest"
)

// upkeep is what the gateway does unasked: groups end at their time, series are
// sent again before they fade, and snapshots let the log go.
type upkeep struct {
	store   *group.Store
	queue   *recordLog
	writer  *ingest.Writer
	changed chan struct{} // the rules are other ones

	// outdated: groups that are not pushed to may go by other rules than the store.
	outdated atomic.Bool

	sends func() bool // whether there is anybody to refresh series for
	now   func() time.Time
	log   *slog.Logger
}

func newUpkeep(g *gateway) *upkeep {
	u := &upkeep{
		store: g.store, queue: g.queue, writer: g.writer,
		changed: make(chan struct{}, 1), sends: func() bool { return g.destinations.any() },
		now: g.now, log: g.log.With("component", "upkeep"),
	}
	u.outdated.Store(true) // the rules may be others than before the start
	return u
}

// expireInterval is how exactly groups end at their time.
const expireInterval = time.Second

// run works until ctx ends, and then writes a last snapshot, so that the next
// start has no log to read.
func (u *upkeep) run(ctx context.Context) error {
	var work errgroup.Group
	work.Go(func() error { return u.snapshots(ctx) })
	work.Go(func() error { return every(ctx, expireInterval, u.expire) })
	work.Go(func() error { return u.followRules(ctx) })
	return work.Wait()
}

// rulesChanged makes refreshing and the groups follow the rules that the store
// was given.
func (u *upkeep) rulesChanged() {
	u.outdated.Store(true)
	select {
	case u.changed <- struct{}{}:
	default: // it will look at the newest rules anyway
	}
}

// followRules refreshes at the intervals of the rules until ctx ends, and begins
// anew when the rules change.
func (u *upkeep) followRules(ctx context.Context) error {
	for ctx.Err() == nil {
		round, stop := context.WithCancel(ctx)
		var work errgroup.Group
		for _, interval := range u.store.Rules().Intervals() {
			work.Go(func() error { return u.refreshAt(round, interval) })
		}
		select {
		case <-ctx.Done():
		case <-u.changed:
		}
		stop()
		if err := work.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// refreshAt goes around the slots once in each interval.
func (u *upkeep) refreshAt(ctx context.Context, interval time.Duration) error {
	slot := 0
	return every(ctx, interval/group.RefreshSlots, func() {
		u.refreshSlot(slot, interval)
		slot = (slot + 1) % group.RefreshSlots
	})
}

// every calls f at an interval until ctx ends.
func every(ctx context.Context, interval time.Duration, f func()) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			f()
		}
	}
}

// expire ends groups at their time, and brings the others in line with the
// rules. What the log cannot take now waits for the next time.
func (u *upkeep) expire() {
	if u.writer.Ready() != nil {
		return
	}
	u.store.Expire(u.now(), u.writer.Enqueue)
	if !u.outdated.CompareAndSwap(true, false) {
		return
	}
	if n := u.store.Reconsider(u.now(), u.writer.Enqueue); n > 0 {
		u.log.Info("groups brought in line with the rules", "groups", n)
	}
}

// refreshSlot sends what was not pushed within the interval again. While the log
// takes nothing it waits for the next round: a clock mark could not be kept.
func (u *upkeep) refreshSlot(slot int, interval time.Duration) {
	if u.sends() && u.writer.Ready() == nil {
		u.store.Refresh(slot, interval, u.now(), u.writer.Enqueue, u.writer.Emit)
	}
}

// snapshots writes a snapshot whenever one is due, and one at the end.
func (u *upkeep) snapshots(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return u.snapshot()
		case <-u.queue.SnapshotSignal():
			if !u.queue.SnapshotDue() {
				continue
			}
			if err := u.snapshot(); err != nil {
				u.log.Error("no snapshot was written, the log cannot be trimmed", "err", err)
			}
		}
	}
}

func (u *upkeep) snapshot() error {
	v := u.store.View()
	err := u.queue.WriteSnapshot(v.Seq, v.Floor, func(w io.Writer) error { return group.EncodeSnapshot(w, v) })
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}
