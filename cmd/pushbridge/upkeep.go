package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
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
	refresh time.Duration // 0: never
	sends   func() bool   // whether there is anybody to refresh series for
	now     func() time.Time
	log     *slog.Logger
}

func newUpkeep(g *gateway) *upkeep {
	return &upkeep{
		store: g.store, queue: g.queue, writer: g.writer,
		refresh: g.settings.refreshInterval, sends: g.destinations.any,
		now: g.now, log: g.log.With("component", "upkeep"),
	}
}

// expireInterval is how exactly groups end at their time.
const expireInterval = time.Second

// run works until ctx ends, and then writes a last snapshot, so that the next
// start has no log to read.
func (u *upkeep) run(ctx context.Context) error {
	var work errgroup.Group
	work.Go(func() error { return u.snapshots(ctx) })
	work.Go(func() error { return every(ctx, expireInterval, u.expire) })
	if u.refresh > 0 {
		slot := 0
		work.Go(func() error {
			return every(ctx, u.refresh/group.RefreshSlots, func() {
				u.refreshSlot(slot)
				slot = (slot + 1) % group.RefreshSlots
			})
		})
	}
	return work.Wait()
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

func (u *upkeep) expire() {
	if u.writer.Ready() == nil {
		u.store.Expire(u.now(), u.writer.Enqueue)
	}
}

// refreshSlot sends what was not pushed within the interval again. While the log
// takes nothing it waits for the next round: a clock mark could not be kept.
func (u *upkeep) refreshSlot(slot int) {
	if u.sends() && u.writer.Ready() == nil {
		u.store.Refresh(slot, u.refresh, u.now(), u.writer.Enqueue, u.queue.Emit)
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
