package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/pushbridge/pushbridge/config"
	"github.com/pushbridge/pushbridge/queue/disk"
)

// watch looks again and again until it is interrupted. Damage does not end it, since it
// may be what somebody is looking at.
func (i *inspection) watch(ctx context.Context, interval string) error {
	every, err := config.ParseDuration(interval)
	if err == nil && every < minWatch {
		err = fmt.Errorf("must be at least %s, is %s", minWatch, every)
	}
	if err != nil {
		return usagef("--%s: %w", flagInterval, err)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var before *looked
	for tick := time.NewTicker(every); ; {
		now, err := i.read()
		if err != nil {
			return err
		}
		if !i.json {
			fmt.Fprintf(i.w, "%s%s\n", clearScreen(i.w), now.at.Format(time.DateTime))
		}
		_ = i.show(now, before) // damage is listed
		before = now
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// minWatch keeps a slip from reading the directory all the time.
const minWatch = 100 * time.Millisecond

// clearScreen is what makes room for the next look on a terminal, nothing elsewhere.
func clearScreen(w io.Writer) string {
	f, ok := w.(*os.File)
	if !ok {
		return ""
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return ""
	}
	return "\x1b[H\x1b[2J"
}

// stateOf says in a word how a destination is doing, as far as the directory tells.
func (l *looked) stateOf(c *disk.CursorReport) string {
	switch {
	case !c.Orphaned.IsZero():
		return "not configured"
	case l.notes[c.ID].Paused != nil:
		return "paused"
	case l.pendingOf(c) == 0:
		return "up to date"
	}
	return "behind"
}

// pendingOf returns how many samples were not settled: by the books, since behind a
// position there may be what other shards have settled.
func (l *looked) pendingOf(c *disk.CursorReport) uint64 {
	if b := booksOf(l.Report, c); b != nil {
		return b.Pending
	}
	return c.PendingSamples
}

// lagOf returns how old the oldest record is that was not settled.
func (l *looked) lagOf(c *disk.CursorReport) time.Duration {
	if c.OldestTime.IsZero() || l.pendingOf(c) == 0 {
		return 0
	}
	return max(l.at.Sub(c.OldestTime), 0).Round(time.Millisecond)
}

// rateOf returns how many samples a second were settled since an earlier look, nil without
// one.
func (l *looked) rateOf(c *disk.CursorReport, before *looked) *float64 {
	if before == nil {
		return nil
	}
	i := slices.IndexFunc(before.Cursors, func(b disk.CursorReport) bool { return b.ID == c.ID })
	took := l.at.Sub(before.at).Seconds()
	if i < 0 || took <= 0 || c.Ledger == nil || before.Cursors[i].Ledger == nil {
		return nil
	}
	rate := float64(int64(c.Ledger.Settled.Sum()-before.Cursors[i].Ledger.Settled.Sum())) / took
	return &rate
}

// printDestinations answers the first questions: who is behind, how far, and does it move?
func printDestinations(w io.Writer, now, before *looked) {
	if len(now.Cursors) == 0 {
		fmt.Fprintln(w, "\nno destinations")
		return
	}
	fmt.Fprintln(w, "\nDESTINATION\tSTATE\tBEHIND BY\tSAMPLES PENDING\tSETTLED PER SECOND\tURL")
	for i := range now.Cursors {
		c := &now.Cursors[i]
		rate := "-"
		if r := now.rateOf(c, before); r != nil {
			rate = fmt.Sprintf("%.1f", *r)
		}
		url := now.notes[c.ID].URL
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", c.ID, now.stateOf(c), now.lagOf(c), now.pendingOf(c), rate, choose(url == "", "-", url))
	}
}
