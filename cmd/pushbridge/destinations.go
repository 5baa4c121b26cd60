package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/pushbridge/pushbridge/config"
	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/remotewrite"
)

// destinations runs one destination per remote_write section, and exchanges
// those whose section changes.
type destinations struct {
	o      remotewrite.Options // what all have in common
	queue  *gateway.Log
	log    *slog.Logger
	failed chan error // of a destination that cannot go on

	namings *remotewrite.Namings
	notes   *notes

	changing sync.Mutex // one change at a time; taken before mu

	mu      sync.Mutex
	config  *config.Config // what the destinations are to be; written with changing held, too
	current []*destination
	changed chan struct{}   // closed, and exchanged, when current is another
	ctx     context.Context //nolint:containedctx // of run, nil before: destinations that are added later live in it too
}

// destination is one that is configured; it runs once started.
type destination struct {
	section  *remotewrite.Config
	traits   remotewrite.Traits
	external labels.Labels
	cursor   *queue.Cursor
	sender   *remotewrite.Destination
	cancel   context.CancelFunc // nil before it was started
	done     chan struct{}      // closed when it has ended
}

// lastSends is how long requests on their way are waited for where pushes wait for another
// replica to lead.
const lastSends = time.Second

func newDestinations(s *server, intake *remotewrite.Intake) *destinations {
	d := &destinations{
		o: remotewrite.Options{
			Log:           s.gateway.Log(),
			State:         func() *remotewrite.Restatement { return restate(s.gateway) },
			Refreshed:     s.gateway.Refreshed,
			FillHoles:     s.settings.refreshBackfill,
			FlushDeadline: s.settings.shutdownTimeout,
			Intake:        intake,
			Letters:       s.letters,
			Probe:         true,
			Logger:        s.log.With("component", "remotewrite"),
			Registerer:    s.registry,
			Now:           s.now,
		},
		queue: s.gateway.Log(),
		log:   s.log.With("component", "remotewrite"), failed: make(chan error, 1),
		namings: remotewrite.NewNamings(s.beside(namingsName), s.log.With("component", "remotewrite")),
		notes:   newNotes(s.beside(notesName), s.log.With("component", "remotewrite")),
		changed: make(chan struct{}),
	}
	if d.queue.Shared() {
		d.notes.shared = d.queue.Lease()
		d.o.FlushDeadline = min(d.o.FlushDeadline, lastSends) // another replica goes on at once
	}
	if s.untold {
		d.o.State = nil
	}
	return d
}

// prepare makes the destinations of c, and none runs yet. When others may write the log,
// only those of the one that does are made, once that is known: see runLeading.
func (d *destinations) prepare(c *config.Config) error {
	if err := d.settleLetters(); err != nil {
		return err
	}
	d.configure(c)
	if d.queue.Shared() {
		return d.check(c)
	}
	return d.make(c)
}

func (d *destinations) configure(c *config.Config) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.config = c
}

// sections are the destinations that are configured, whoever sends to them.
func (d *destinations) sections() []*remotewrite.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.config.Destinations
}

func (d *destinations) make(c *config.Config) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, section := range c.Destinations {
		one, err := d.open(c, section, nil)
		if err != nil {
			return err
		}
		d.current = append(d.current, one)
	}
	if len(c.Destinations) == 0 {
		d.log.Info("no remote write destination is configured: metrics wait to be scraped")
	}
	if err := d.queue.KeepOrphans(); err != nil {
		return fmt.Errorf("keep what waits for destinations that are not configured: %w", err)
	}
	d.namings.Keep(d.queue.Cursors())
	d.notes.keep(d.queue.Cursors())
	return nil
}

// open makes a destination with its position in the log: the given one of its
// predecessor, or nil for the one that the log has.
func (d *destinations) open(c *config.Config, section *remotewrite.Config, cursor *queue.Cursor) (*destination, error) {
	var err error
	if cursor == nil {
		cursor, _, err = d.queue.OpenCursor(section.ID(), section.Shards(), section.FormerIDs()...)
	} else {
		err = cursor.Reshard(section.Shards())
	}
	if err != nil {
		return nil, err
	}
	o := d.o
	o.Cursor = cursor
	o.External = groupLabels(c.ExternalLabels)
	o.Traits = c.Traits[section.Name]
	d.namings.Follow(section, &o)
	sender, err := remotewrite.NewDestination(*section, o)
	if err != nil {
		return nil, errors.Join(err, cursor.Orphan())
	}
	d.notes.place(section.ID(), section.Redacted())
	if since := d.notes.paused(section.ID()); !since.IsZero() {
		sender.Pause(since)
	}
	return &destination{
		section: section, traits: o.Traits, external: c.ExternalLabels,
		cursor: cursor, sender: sender, done: make(chan struct{}),
	}, nil
}

// restate returns the current state for a destination.
func restate(g *gateway.Gateway) *remotewrite.Restatement {
	r := &remotewrite.Restatement{}
	r.Records = g.Restate(r.Settle)
	return r
}

func groupLabels(l labels.Labels) group.Labels {
	var out []group.Label
	l.Range(func(l labels.Label) { out = append(out, group.Label{Name: l.Name, Value: l.Value}) })
	return group.NewLabels(out)
}

// run runs all destinations until ctx ends, or one of them cannot go on.
func (d *destinations) run(ctx context.Context) error {
	if d.queue.Shared() {
		return d.runLeading(ctx)
	}
	return d.runUntil(ctx)
}

// runLeading runs them whenever this process leads.
func (d *destinations) runLeading(ctx context.Context) error {
	for {
		held, err := d.queue.Lead(ctx)
		if err != nil {
			return nil // ctx has ended
		}
		d.changing.Lock()
		err = d.make(d.config)
		d.changing.Unlock()
		if err != nil {
			d.log.Warn("cannot begin to send, and try again", "err", err)
			select {
			case <-held.Done():
			case <-time.After(time.Second):
			}
		} else if err := d.runUntil(held); err != nil || ctx.Err() != nil {
			return err
		}
		d.forfeit()
	}
}

// forfeit lets go of what another process has taken over.
func (d *destinations) forfeit() {
	d.changing.Lock()
	defer d.changing.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.current, d.ctx = nil, nil
	close(d.changed)
	d.changed = make(chan struct{})
	if err := d.queue.Lease().Forfeit(); err != nil {
		d.log.Warn("cannot let go of positions", "err", err)
	}
}

func (d *destinations) runUntil(ctx context.Context) error {
	d.mu.Lock()
	d.ctx = ctx
	for _, one := range d.current {
		d.startLocked(one)
	}
	d.mu.Unlock()
	var err error
	select {
	case <-ctx.Done():
	case err = <-d.failed:
	}
	d.changing.Lock() // a reload that goes on finishes first
	defer d.changing.Unlock()
	current := d.list()
	for _, one := range current {
		one.cancel()
		if errors.Is(context.Cause(ctx), queue.ErrElsewhere) {
			one.sender.Cut() // what is on its way goes out again, by somebody else
		}
	}
	for _, one := range current {
		<-one.done
	}
	return err
}

func (d *destinations) startLocked(one *destination) {
	ctx, cancel := context.WithCancel(d.ctx)
	one.cancel = cancel
	go func() {
		defer close(one.done)
		if err := one.sender.Run(ctx); err != nil {
			select {
			case d.failed <- err:
			default:
			}
		}
	}()
}

// reload makes the destinations those of c. One whose section is the same goes
// on, and looks up anew where its receiver is. One that has changed sends what is
// on its way and goes on where it was; what a removed one was not sent is kept for
// it.
func (d *destinations) reload(c *config.Config) error {
	if err := d.check(c); err != nil { // before the lock, since it reads files
		return err
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	if err := d.refuseNone(c); err != nil {
		return err
	}
	d.configure(c)
	if d.running() == nil {
		return nil // whoever leads has them
	}
	old := d.list()
	next := make([]*destination, len(c.Destinations))
	for i, section := range c.Destinations {
		j := slices.IndexFunc(old, func(o *destination) bool { return o.is(c, section) })
		if j >= 0 {
			next[i] = old[j]
			old[j].sender.Renew()
		}
	}
	left, err := d.stop(without(old, next), c)
	if err != nil {
		return err
	}
	return d.start(c, next, left)
}

// running returns what destinations live in, nil while there are none.
func (d *destinations) running() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ctx
}

// is reports whether one already is what a reload asks for.
func (one *destination) is(c *config.Config, section *remotewrite.Config) bool {
	return labels.Equal(one.external, c.ExternalLabels) && one.traits == c.Traits[section.Name] &&
		reflect.DeepEqual(one.section, section)
}

func without(all, kept []*destination) []*destination {
	return slices.DeleteFunc(slices.Clone(all), func(one *destination) bool { return slices.Contains(kept, one) })
}

// check builds what reload would, and throws it away: a section that cannot work
// is found before anything is touched.
func (d *destinations) check(c *config.Config) error {
	for _, section := range c.Destinations {
		if err := remotewrite.Check(*section); err != nil {
			return err
		}
	}
	return nil
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

// stop ends destinations that are not to go on as they are, and returns the
// positions of those that have a successor. Those stay open, so that the log keeps
// what lies behind them.
func (d *destinations) stop(gone []*destination, c *config.Config) (map[string]*queue.Cursor, error) {
	endAll(gone)
	left := map[string]*queue.Cursor{}
	for _, one := range gone {
		id := one.section.ID()
		if slices.ContainsFunc(c.Destinations, func(s *remotewrite.Config) bool { return s.ID() == id }) {
			left[id] = one.cursor
			continue
		}
		if err := d.queue.Orphan(one.cursor); err != nil {
			return nil, fmt.Errorf("keep the position of destination %s: %w", one.section.ID(), err)
		}
	}
	return left, nil
}

// reloadPatience is how long a reload waits for requests on the way. A receiver
// that hangs must not hold it up: what it was sent goes out again, carefully, where
// there is a successor.
const reloadPatience = time.Second

// endAll ends destinations, those that take longer by force.
func endAll(gone []*destination) {
	for _, one := range gone {
		one.cancel()
	}
	impatient := time.AfterFunc(reloadPatience, func() {
		for _, one := range gone {
			one.sender.Cut()
		}
	})
	defer impatient.Stop()
	for _, one := range gone {
		<-one.done
	}
}

// start makes and starts those of next that are not there yet.
func (d *destinations) start(c *config.Config, next []*destination, left map[string]*queue.Cursor) error {
	var errs []error
	var running []*destination
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, one := range next {
		if one == nil {
			section := c.Destinations[i]
			var err error
			if one, err = d.open(c, section, left[section.ID()]); err != nil {
				errs = append(errs, err)
				continue
			}
			d.startLocked(one)
		}
		running = append(running, one)
	}
	d.current = running
	close(d.changed)
	d.changed = make(chan struct{})
	return errors.Join(errs...)
}

// list returns the destinations that are configured.
func (d *destinations) list() []*destination {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.current)
}

// listAndChange returns list, and a channel that is closed when it is another.
func (d *destinations) listAndChange() ([]*destination, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.current), d.changed
}

// any reports whether there is a destination at all, although it may be about to begin.
func (d *destinations) any() bool { return len(d.sections()) > 0 }
