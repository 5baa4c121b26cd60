package remotewrite

import "time"

// State says how a destination is doing, in one word.
type State string

// The states.
const (
	StateOK       State = "ok"          // the latest request of every shard was answered
	StateFailing  State = "failing"     // requests fail and are repeated
	StatePaused   State = "paused"      // the receiver said when to come again
	StateCatching State = "catching up" // reads from disk what it missed
	StateStopped  State = "stopped"
)

// Status is what people want to know about a destination.
type Status struct {
	Name     string
	URL      string // without password
	Protocol string // "1.0" or "2.0"
	State    State
	Shards   int

	Lag       time.Duration // age of the oldest sample that waits
	PausedFor time.Duration

	LastError   string // as the receiver wrote it
	LastErrorAt time.Time
	LastSuccess time.Time // zero: none yet
	Books       Books     // of all runs
}

// Status returns the status. It is cheap enough for every look at a page.
func (d *Destination) Status() Status {
	now := d.now()
	s := Status{
		Name:      d.config.ID(),
		URL:       d.config.Redacted(),
		Protocol:  d.line.negotiation.current().String(),
		Shards:    len(d.shards),
		Lag:       d.lag(now),
		PausedFor: d.line.gate.left(now),
		Books:     d.ledger.books(),
	}
	var failing bool
	failing, s.LastError, s.LastErrorAt, s.LastSuccess = d.report.status()
	switch {
	case d.stopped.Load():
		s.State = StateStopped
	case s.PausedFor > 0:
		s.State = StatePaused
	case failing:
		s.State = StateFailing
	case d.lagging.Load():
		s.State = StateCatching
	default:
		s.State = StateOK
	}
	return s
}

// lag is the age of the oldest sample that a shard holds: what is still in the
// log is younger, but for what other shards wait behind.
func (d *Destination) lag(now time.Time) time.Duration {
	var lag time.Duration
	for _, s := range d.shards {
		if t := s.oldest.Load(); t > 0 {
			lag = max(lag, now.Sub(time.UnixMilli(t)))
		}
	}
	return lag
}

func (r *reporter) status() (failing bool, lastError string, at, lastSuccess time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failing) > 0, r.lastError, r.errorAt, r.lastSuccess
}
