package web

import (
	"strings"
	"time"
)

// Destination is how one remote_write section is doing: what the page and the API show
// of it.
type Destination struct {
	Name     string `json:"name"`
	URL      string `json:"url"`                // without secrets; empty of one that is not configured any more
	Protocol string `json:"protocol,omitempty"` // "1.0", "2.0", or empty while that is not known

	State   string    `json:"state"` // as the metric has it: "ok", "never_tried", "catching_up", "failing", "refusing", "losing", "paused"; or StateElsewhere
	Since   time.Time `json:"since,omitzero"`
	Healthy bool      `json:"healthy"`
	Paused  bool      `json:"paused"` // by an operator

	Backlog  Backlog  `json:"backlog"`
	Rate     Rate     `json:"rate"`
	Books    Books    `json:"books"`
	Requests Requests `json:"requests"`
	Stored

	LastSuccess   time.Time `json:"last_success,omitzero"` // zero for never
	LastError     string    `json:"last_error,omitempty"`
	LastErrorTime time.Time `json:"last_error_time,omitzero"`
	Hint          string    `json:"hint,omitempty"` // what to look at, where the error tells
}

// StateElsewhere is the state of a destination that another replica sends to.
const StateElsewhere = "elsewhere"

// Words is the state for people.
func (d Destination) Words() string {
	if d.State == StateElsewhere {
		return "sent to by another replica"
	}
	return strings.ReplaceAll(d.State, "_", " ")
}

// Backlog is what a destination has not settled yet.
type Backlog struct {
	Records uint64  `json:"records"` // of the log behind the position of the shard that lags most
	Samples uint64  `json:"samples"`
	Bytes   int64   `json:"bytes"`   // of those records, about
	Seconds float64 `json:"seconds"` // age of the oldest sample that is being sent
}

// Rate is how fast samples come and go, in the latest minute.
type Rate struct {
	In      float64  `json:"in_per_second"`    // accepted
	Out     float64  `json:"out_per_second"`   // settled: delivered, dropped or in doubt
	CatchUp *float64 `json:"catch_up_seconds"` // until nothing is pending if it goes on like this; null: never
}

// Books are the samples of a destination since it began, over all restarts:
// accepted = delivered + dropped + in doubt + pending.
type Books struct {
	Accepted  uint64            `json:"accepted"`
	Delivered uint64            `json:"delivered"`
	Dropped   map[string]uint64 `json:"dropped"` // by reason
	InDoubt   uint64            `json:"in_doubt"`
	Pending   uint64            `json:"pending"`
}

// Requests are those that a destination has made since the start.
type Requests struct {
	Count   uint64  `json:"count"`
	Seconds float64 `json:"seconds"` // all of them together
}

// Stored is what a destination has on disk beside the log.
type Stored struct {
	Shards      []Shard `json:"shards"`
	DeadLetters Letters `json:"dead_letters"`
}

// Letters is what of the dropped samples can be sent once more.
type Letters struct {
	Count   int    `json:"letters"`
	Samples uint64 `json:"samples"`
}

// dropped are the samples that were dropped, whatever the reason.
func (d *Destination) dropped() uint64 {
	var n uint64
	for _, v := range d.Books.Dropped {
		n += v
	}
	return n
}

// Shard is where one shard of a destination is in the log: sequences up to which it is
// done, and up to which it may have sent something.
type Shard struct {
	Acknowledged uint64 `json:"acknowledged"`
	Sent         uint64 `json:"sent"`
}

// Refused is what a destination answered to samples of one group.
type Refused struct {
	Destination string
	Time        time.Time
	Samples     uint64
	Suspect     bool // nobody knows whether they were of this group or of others in the request
	Text        string
}

// Lag is the age of the oldest sample that is being sent.
func (d *Destination) Lag() time.Duration {
	return time.Duration(d.Backlog.Seconds * float64(time.Second))
}
