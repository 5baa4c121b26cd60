package gateway

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pushbridge/pushbridge/group"
)

// expireInterval is how exactly groups end at their time.
const expireInterval = time.Second

// Run does what the gateway does unasked, until ctx ends: groups end at their time,
// expected jobs are found overdue,
// series are sent again before they fade, and snapshots let the log go. sends says
// whether there is anybody to send series to again. At the end it writes a last snapshot, so
// that the next start has no log to read.
func (g *Gateway) Run(ctx context.Context, sends func() bool) error {
	var work errgroup.Group
	work.Go(func() error { return g.snapshots(ctx) })
	work.Go(func() error {
		return Every(ctx, expireInterval, func() { g.expire(); g.tellJobs(); g.doubtful.forget(g.now()) })
	})
	work.Go(func() error { return g.followRules(ctx, sends) })
	return work.Wait()
}

// followRules refreshes at the intervals of the rules until ctx ends, and begins
// anew when the rules change.
func (g *Gateway) followRules(ctx context.Context, sends func() bool) error {
	for ctx.Err() == nil {
		round, stop := context.WithCancel(ctx)
		var work errgroup.Group
		for _, interval := range g.state.Rules().Intervals() {
			n := g.turns.marked(interval)
			work.Go(func() error { return g.refreshAt(round, interval, n, sends) })
		}
		select {
		case <-ctx.Done():
		case <-g.changed:
			g.turns.begin(g.now().UnixMilli())
		}
		stop()
		if err := work.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// Every calls f at an interval until ctx ends.
func Every(ctx context.Context, interval time.Duration, f func()) error {
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
func (g *Gateway) expire() {
	if g.Ready() != nil {
		return
	}
	g.state.Expire(g.now(), g.pass)
	if !g.outdated.CompareAndSwap(true, false) {
		return
	}
	if n := g.state.Reconsider(g.now(), g.pass); n > 0 {
		g.logger.Info("groups brought in line with the rules", "groups", n)
	}
}

// Refresh sends the groups of a slot again that were not pushed within the interval.
// While the log takes nothing it does nothing: a clock mark could not be kept. Run does it
// at the intervals of the rules.
func (g *Gateway) Refresh(slot int, interval time.Duration) {
	if g.Ready() == nil {
		g.state.Refresh(slot, interval, g.now(), g.pass, g.emit)
	}
}

// snapshots writes a snapshot whenever one is due, and one at the end.
func (g *Gateway) snapshots(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			if g.log.Shared() {
				return nil // another process takes over, which has the state: it must not wait
			}
			return g.Snapshot()
		case <-g.log.SnapshotSignal():
			if !g.log.SnapshotDue() {
				continue
			}
			if err := g.Snapshot(); err != nil {
				g.logger.Error("no snapshot was written, the log cannot be trimmed", "err", err)
			}
		}
	}
}

// Snapshot writes the state as it is, so that the log before it can go. Run does it when
// one is due, and at its end.
func (g *Gateway) Snapshot() error {
	v := g.state.View()
	err := g.log.WriteSnapshot(v.Seq, v.Floor, func(w io.Writer) error { return group.EncodeSnapshot(w, v) })
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}
