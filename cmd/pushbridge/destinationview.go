package main

import (
	"slices"
	"time"

	"github.com/pushbridge/pushbridge/deadletter"
	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/remotewrite"
	"github.com/pushbridge/pushbridge/web"
)

// status describes every destination, and those that are kept for.
func (d *destinations) status() []web.Destination {
	current := d.list()
	places := map[string][]queue.Position{}
	for _, c := range d.queue.Cursors() {
		places[c.ID] = c.Shards
	}
	kept := d.kept()
	out := make([]web.Destination, len(current))
	for i, one := range current {
		s := one.sender.Status()
		out[i] = web.Destination{
			Name: s.Name, URL: s.URL, Protocol: s.Protocol, State: string(s.State), Since: s.Since,
			Healthy: s.State.Healthy(), Paused: s.Paused,
			Rate:        web.Rate{In: s.Pace.In, Out: s.Pace.Out},
			Backlog:     web.Backlog{Seconds: s.Lag.Seconds()},
			Books:       web.Books(s.Books),
			Requests:    web.Requests(s.Requests),
			LastSuccess: s.LastSuccess, LastError: s.LastError, LastErrorTime: s.LastErrorAt,
			Hint: s.LastErrorMeans, Stored: web.Stored{DeadLetters: kept[s.Name]},
		}
		if s.Pace.CatchUp != nil {
			seconds := s.Pace.CatchUp.Seconds()
			out[i].Rate.CatchUp = &seconds
		}
		d.showPlace(&out[i], places[one.section.ID()])
	}
	if len(current) == 0 && d.queue.Shared() {
		out = d.followed(kept)
	}
	return append(out, d.orphans(kept)...)
}

// followed describes the destinations by what the log says of them: the positions and books that
// whoever leads has written there.
func (d *destinations) followed(kept map[string]web.Letters) []web.Destination {
	cursors := d.queue.Cursors()
	leader := d.queue.Lease().Leader()
	out := []web.Destination{}
	for _, section := range d.sections() {
		id := section.ID()
		view := web.Destination{Name: id, URL: section.Redacted(), State: web.StateElsewhere, Since: leader.Since, Healthy: true}
		view.DeadLetters = kept[id]
		if since := d.notes.paused(id); !since.IsZero() {
			view.State, view.Since, view.Healthy, view.Paused = string(remotewrite.StatePaused), since, false, true
		}
		i := slices.IndexFunc(cursors, func(c queue.CursorStatus) bool { return c.ID == id })
		if i < 0 { // nobody has sent to it yet
			d.showPlace(&view, nil)
		} else {
			d.showBooks(&view, &cursors[i])
		}
		out = append(out, view)
	}
	return out
}

// showBooks shows what the log says of a destination that this process does not send to.
func (d *destinations) showBooks(view *web.Destination, c *queue.CursorStatus) {
	view.Books = web.Books{Pending: d.queue.Pending(*c)}
	if c.Ledger.Based() {
		view.Books = web.Books(remotewrite.BooksOf(&c.Ledger, d.queue.Samples()))
	}
	d.showPlace(view, c.Shards)
}

// kept is what each destination has in dead letters.
func (d *destinations) kept() map[string]web.Letters {
	out := map[string]web.Letters{}
	if d.o.Letters == nil {
		return out
	}
	for _, s := range d.o.Letters.Summaries() {
		out[s.Destination] = web.Letters{Count: s.Letters, Samples: deadletter.Total(s.Samples)}
	}
	return out
}

// showPlace shows where the shards of a destination are, and what of the log lies behind.
func (d *destinations) showPlace(view *web.Destination, shards []queue.Position) {
	view.Shards = []web.Shard{}
	for _, p := range shards {
		view.Shards = append(view.Shards, web.Shard{Acknowledged: p.Acked, Sent: p.Sent})
	}
	view.Backlog.Samples = view.Books.Pending
	if len(shards) > 0 && view.Books.Pending > 0 {
		acked := min(d.queue.Head(), queue.SmallestAcked(shards))
		view.Backlog.Records, view.Backlog.Bytes = d.queue.Head()-acked, d.queue.BytesBehind(acked)
	}
}

// refused returns the latest refusal of each group, whichever destination it was.
func (d *destinations) refused() map[string]web.Refused {
	current := d.list()
	latest := map[string]web.Refused{}
	for _, one := range current {
		for _, r := range one.sender.Refusals() {
			id := r.Group.ID()
			if old, ok := latest[id]; !ok || r.Time.After(old.Time) {
				latest[id] = web.Refused{Destination: one.section.ID(), Time: r.Time, Samples: r.Samples, Suspect: r.Suspect, Text: r.Text}
			}
		}
	}
	return latest
}

// orphans describes the destinations that are not configured, for the page.
func (d *destinations) orphans(kept map[string]web.Letters) []web.Destination {
	var out []web.Destination
	for _, c := range d.queue.Cursors() {
		if c.Orphaned.IsZero() {
			continue
		}
		one := d.viewOrphan(c)
		one.DeadLetters = kept[c.ID]
		out = append(out, one)
	}
	return out
}

func (d *destinations) viewOrphan(c queue.CursorStatus) web.Destination {
	view := web.Destination{
		Name: c.ID, State: "not configured", Since: c.Orphaned, LastErrorTime: c.Orphaned,
		LastError: "kept until " + d.queue.KeptUntil(c).UTC().Format(time.RFC3339) +
			"; goes on when it is configured again",
	}
	d.showBooks(&view, &c)
	return view
}

// settings is the section of a destination, as YAML without secrets.
func (d *destinations) settings(name string) string {
	for _, one := range d.list() {
		if one.section.ID() != name {
			continue
		}
		text, err := one.section.Settings()
		if err != nil {
			return err.Error()
		}
		return text
	}
	return ""
}
