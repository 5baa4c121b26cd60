package remotewrite

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// State says how a destination is doing, in one word.
type State string

// The states, each one before those that it hides.
const (
	StateStopped    State = "stopped"     // Run has ended
	StatePaused     State = "paused"      // an operator wants it so: samples are held
	StateLosing     State = "losing"      // samples were given up a short time ago, or are the latest that were settled
	StateRefusing   State = "refusing"    // the receiver turns everything away, whatever the samples: they are held
	StateFailing    State = "failing"     // no answer, 5xx or 429: requests are repeated
	StateCatchingUp State = "catching_up" // what is sent is not what was pushed last
	StateNeverTried State = "never_tried" // nothing was sent since the start
	StateOK         State = "ok"          // the latest samples were taken
)

// States are all of them.
var States = []State{StateStopped, StatePaused, StateLosing, StateRefusing, StateFailing, StateCatchingUp, StateNeverTried, StateOK}

// Healthy says whether nobody needs to look at it.
func (s State) Healthy() bool {
	return s == StateOK || s == StateCatchingUp || s == StateNeverTried
}

const (
	lookEvery  = time.Second
	losingFor  = time.Minute      // at least, after samples were given up
	catchingUp = 10 * time.Second // the age of what is sent, from which on it is
)

// condition is what state a destination is in, and tells of changes.
type condition struct {
	meter meter

	lagging atomic.Bool // reads segments, not the ring
	stopped atomic.Bool // Run has ended

	mu       sync.Mutex
	state    State
	since    time.Time
	bad      time.Time // since when it is not healthy, zero when it is
	told     bool      // that it is not
	failures dropLog
	changes  dropLog // between healthy states
}

// lookNow works out the state, and tells when it is another one than before.
func (d *Destination) lookNow() (State, time.Time) {
	now := d.now()
	c := &d.condition
	c.mu.Lock()
	defer c.mu.Unlock()
	state := d.stateAt(now)
	if was := c.state; state != was {
		lasted := now.Sub(c.since)
		c.state, c.since = state, now
		if was != "" {
			d.tellChange(was, lasted)
		}
	}
	return state, c.since
}

func (d *Destination) stateAt(now time.Time) State {
	r := d.report.reading()
	switch {
	case d.condition.stopped.Load():
		return StateStopped
	case !d.line.pause.began().IsZero():
		return StatePaused
	case !r.lostAt.IsZero() && now.Sub(r.lostAt) < losingFor:
		return StateLosing
	case r.refusing:
		return StateRefusing
	case r.failing:
		return StateFailing
	case !r.lostAt.IsZero() && !r.lostAt.Before(r.lastSuccess):
		return StateLosing
	case d.condition.lagging.Load() || d.lag(now) >= catchingUp:
		return StateCatchingUp
	case r.lastSuccess.IsZero():
		return StateNeverTried
	}
	return StateOK
}

// tellChange logs that the state is another one than was, which had lasted so long. What
// goes to and fro is told seldom, and what was not told to be bad is not told to be well.
func (d *Destination) tellChange(was State, lasted time.Duration) {
	c := &d.condition
	if c.state == StateStopped {
		return
	}
	healthy, bad := c.state.Healthy(), c.bad
	if healthy {
		c.bad = time.Time{}
	} else if bad.IsZero() {
		c.bad = c.since
	}
	switch {
	case !healthy && (c.told && c.state != was || c.failures.due(c.since, 1) > 0):
		c.told = true
		d.tellBad(d.report.attributes(d.counts(was, lasted)))
	case healthy && c.told:
		c.told = false
		d.log.Info("sending works again", append(d.counts(was, lasted), "failed_for", c.since.Sub(bad).Round(time.Millisecond))...)
	case healthy && was.Healthy() && c.changes.due(c.since, 1) > 0:
		d.tellGood(d.counts(was, lasted))
	}
}

func (d *Destination) tellBad(attributes []any) {
	switch d.condition.state {
	case StatePaused:
		d.log.Warn("destination is paused: samples are held until an operator resumes it", attributes...)
	case StateLosing:
		d.log.Warn("samples are being lost", attributes...)
	case StateRefusing:
		d.log.Warn("the receiver turns away whatever is sent: samples are held, and tried again until that is mended", attributes...)
	case StateFailing:
		d.log.Warn("sending fails, will be tried again until it works", attributes...)
	case StateStopped, StateCatchingUp, StateNeverTried, StateOK:
	}
}

func (d *Destination) tellGood(attributes []any) {
	switch d.condition.state {
	case StateCatchingUp:
		d.log.Info("destination has fallen behind, and catches up", attributes...)
	case StateNeverTried:
		d.log.Info("nothing to send yet", attributes...)
	case StateOK:
		d.log.Info("the latest samples were taken", attributes...)
	case StateStopped, StatePaused, StateLosing, StateRefusing, StateFailing:
	}
}

// counts are what a line about a change of state tells beside it.
func (d *Destination) counts(was State, lasted time.Duration) []any {
	b := d.books()
	var dropped uint64
	for _, n := range b.Dropped {
		dropped += n
	}
	return []any{
		"state", string(d.condition.state), "was", string(was), "lasted", lasted.Round(time.Millisecond),
		"pending", b.Pending, "delivered", b.Delivered, "dropped", dropped,
	}
}

// lookAround looks at the state once in a while until ctx ends: some changes are only
// a matter of time.
func (d *Destination) lookAround(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		d.lookNow()
		d.condition.meter.note(d.now(), d.ledger.books)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tellStart says once what is sent where.
func (d *Destination) tellStart() {
	protocol := d.line.negotiation.current().String()
	if d.config.ProtobufMessage == Negotiate {
		protocol = "2.0, or else 1.0"
	}
	d.log.Info("destination starts", "url", d.config.Redacted(), "protocol", protocol, "shards", len(d.shards),
		"pending", d.ledger.books().Pending, "acknowledged", d.cursor.Acknowledged(), "head", d.o.Log.Head())
}
