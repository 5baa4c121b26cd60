package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/pushbridge/pushbridge/config"
	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/remotewrite"
	"github.com/pushbridge/pushbridge/web"
)

// keepOrphans keeps what waits for destinations that the log knows and that are
// not configured.
func (d *destinations) keepOrphans() error {
	orphans, err := d.queue.KeepOrphans()
	if err != nil {
		return fmt.Errorf("keep what waits for destinations that are not configured: %w", err)
	}
	for _, o := range orphans {
		d.logOrphan(o.ID, d.queue.Pending(o), o.Orphaned)
	}
	return nil
}

// orphan leaves the position of a destination that is removed to the log.
func (d *destinations) orphan(one *destination) error {
	if err := one.cursor.Orphan(); err != nil {
		return fmt.Errorf("keep the position of destination %s: %w", one.section.ID(), err)
	}
	d.logOrphan(one.section.ID(), one.sender.Status().Books.Pending, d.o.Now())
	return nil
}

func (d *destinations) logOrphan(id string, samples uint64, since time.Time) {
	d.log.Warn("destination is not configured any more: what it was not sent is kept, and goes out when it is configured again",
		"destination", id, "samples", samples, "until", since.Add(d.orphanRetention).UTC().Format(time.RFC3339),
		"forget", "pushbridge queue forget DIR DESTINATION")
}

// errNoDestinations is refused because a file that is empty for a moment, or cut
// short, says the same as one that asks for it.
var errNoDestinations = errors.New("write `remote_write: []` in it if that is wanted")

// refuseNone refuses a configuration that names no destination while samples wait,
// unless it says so in words.
func (d *destinations) refuseNone(c *config.Config) error {
	if len(c.Destinations) > 0 || c.SendsNowhere {
		return nil
	}
	pending := uint64(0)
	for _, one := range d.list() {
		pending += one.sender.Status().Books.Pending
	}
	if pending == 0 {
		return nil
	}
	return fmt.Errorf("the configuration file names no destination any more, and %d samples wait to be sent: %w", pending, errNoDestinations)
}

// orphans describes the destinations that are not configured, for the page.
func (d *destinations) orphans() []web.Destination {
	var out []web.Destination
	for _, c := range d.queue.Cursors() {
		if c.Orphaned.IsZero() {
			continue
		}
		out = append(out, d.viewOrphan(c))
	}
	return out
}

func (d *destinations) viewOrphan(c queue.CursorStatus) web.Destination {
	view := web.Destination{
		Name: c.ID, State: "not configured", Since: c.Orphaned, LastErrorTime: c.Orphaned,
		LastError: "kept until " + c.Orphaned.Add(d.orphanRetention).UTC().Format(time.RFC3339) +
			"; goes on when it is configured again",
		Books: web.Books{Pending: d.queue.Pending(c)},
	}
	if c.Ledger.Based() {
		view.Books = web.Books(remotewrite.BooksOf(&c.Ledger, d.queue.Samples()))
	}
	d.showPlace(&view, c.Shards)
	return view
}
