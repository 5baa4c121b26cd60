package remotewrite

import "time"

// Status is what people want to know about a destination.
type Status struct {
	Name     string
	URL      string // without password
	Protocol string // "1.0" or "2.0"
	State    State
	Since    time.Time // when it came to be in that state

	Lag       time.Duration // age of the oldest sample that waits
	PausedFor time.Duration // the receiver said when to come again
	Paused    bool          // by an operator

	Pace Pace

	LastError       string // as the receiver wrote it
	LastErrorStatus int    // of its answer, 0 where there was none
	LastErrorMeans  string // what to look at, where that is known
	LastErrorAt     time.Time
	LastSuccess     time.Time // zero: none yet
	Books           Books     // of all runs

	Requests Requests // since the start
}

// Requests are requests with samples, and how long all of them together took.
type Requests struct {
	Count   uint64
	Seconds float64
}

// Pace is how fast samples came and went in the latest minute.
type Pace struct {
	In, Out float64        // samples a second that came and that were settled
	CatchUp *time.Duration // until nothing is pending, if it goes on like this; nil: never
}

// Status returns the status. It is cheap enough for every look at a page.
func (d *Destination) Status() Status {
	now := d.now()
	s := Status{
		Name:      d.config.ID(),
		URL:       d.config.Redacted(),
		Protocol:  d.line.negotiation.current().String(),
		Lag:       d.lag(now),
		PausedFor: d.line.gate.left(now),
		Books:     d.books(),
	}
	s.State, s.Since = d.lookNow()
	s.Paused = !d.line.pause.began().IsZero()
	s.Pace = d.condition.meter.pace(now, s.Books)
	r := d.report.reading()
	s.LastError, s.LastErrorStatus, s.LastErrorMeans, s.LastErrorAt = r.lastError.text, r.lastError.status, r.lastError.means, r.errorAt
	s.LastSuccess = r.lastSuccess
	s.Requests = d.metrics.requests()
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

// reading is what a reporter knows of how things are.
type reading struct {
	failing, refusing    bool
	lostAt               time.Time
	lastSuccess, errorAt time.Time
	lastError            failure
}

func (r *reporter) reading() reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := reading{
		failing: len(r.failing) > 0, lostAt: r.lostAt,
		lastSuccess: r.lastSuccess, errorAt: r.errorAt, lastError: r.lastError,
	}
	for _, turnedAway := range r.failing {
		x.refusing = x.refusing || turnedAway
	}
	return x
}
