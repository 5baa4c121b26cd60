package remotewrite

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
)

// reporter turns what happens to requests into few log lines and a status: one
// line when a destination starts failing, one when it works again, and one
// example a minute for each reason that samples are dropped for. What goes back and
// forth is told less and less often.
type reporter struct {
	log *slog.Logger
	now func() time.Time

	mu          sync.Mutex
	failing     map[int]bool // shards whose latest try failed: whether it was turned away
	fallbacks   dropLog
	lastError   failure
	errorAt     time.Time
	lastSuccess time.Time
	sent        bool      // a shard has got an answer, or none
	lostAt      time.Time // when samples were given up
	dropped     [numReasons]dropLog
	cursor      dropLog
	doubts      dropLog
	letters     dropLog
}

// failure is what is told of a try that will be repeated.
type failure struct {
	text       string
	means      string // what to look at, if that is known
	location   string // of a redirect
	status     int    // of the answer, 0 for none
	turnedAway bool   // whatever the samples
}

func failureOf(a answer) failure {
	return failure{text: a.problem(), means: a.meaning(), location: a.location, status: a.status, turnedAway: a.turnedAway()}
}

// dropLog limits the lines for one reason: one at once, and while it goes on
// fewer and fewer.
type dropLog struct {
	next     time.Time     // not before this
	interval time.Duration // between the latest two
	since    uint64        // samples dropped since the latest
}

const (
	minDropLog = time.Minute
	maxDropLog = time.Hour
)

// due notes n samples. It returns how many there were since the latest line if
// it is time for another, else 0.
func (d *dropLog) due(now time.Time, n uint64) uint64 {
	d.since += n
	if now.Before(d.next) {
		return 0
	}
	if now.After(d.next.Add(d.interval)) {
		d.interval = 0 // it was quiet for a while
	}
	d.interval = min(max(2*d.interval, minDropLog), maxDropLog)
	d.next = now.Add(d.interval)
	n, d.since = d.since, 0
	return n
}

// Who else tries than the shards, where a shard's number is wanted.
const (
	readingLog    = -1
	troubledShard = -2
	probing       = -3
	replaying     = -4
)

func newReporter(log *slog.Logger, now func() time.Time) *reporter {
	return &reporter{log: log, now: now, failing: make(map[int]bool)}
}

// failed notes that a try of a shard failed and will be repeated.
func (r *reporter) failed(shard int, f failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastError, r.errorAt = f, r.now()
	r.failing[shard] = f.turnedAway
	r.sent = r.sent || shard >= 0
}

// answered notes that a shard got an answer that settles a request.
func (r *reporter) answered(shard int, success bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.failing, shard)
	r.sent = r.sent || shard >= 0
	if success {
		r.lastSuccess = r.now()
	}
}

// tried says whether samples were sent.
func (r *reporter) tried() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent
}

// probed notes that nobody probes any more.
func (r *reporter) probed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.failing, probing)
}

// attributes adds to those of a line what went wrong last.
func (r *reporter) attributes(a []any) []any {
	r.mu.Lock()
	f := r.lastError
	r.mu.Unlock()
	a = append(a, "err", f.text)
	if f.status != 0 {
		a = append(a, "status", f.status)
	}
	if f.location != "" {
		a = append(a, "location", f.location)
	}
	if f.means != "" {
		a = append(a, "hint", f.means)
	}
	return a
}

// fellBack notes that the receiver does not understand 2.0, or does so again: where
// it takes neither version that happens with every batch.
func (r *reporter) fellBack(a answer) {
	r.mu.Lock()
	n := r.fallbacks.due(r.now(), 1)
	r.mu.Unlock()
	if n > 0 {
		r.log.Info("receiver does not understand remote write 2.0, sending 1.0", "times", n, "status", a.status, "answer", a.text)
	}
}

// refusal is what is told about samples that were dropped.
type refusal struct {
	why      reason
	samples  uint64
	example  []group.Label // of one of them
	status   int           // of the answer, if there was one
	text     string
	location string
}

// drop notes samples that were given up.
func (r *reporter) drop(f refusal) {
	if f.samples == 0 || f.why.quiet() {
		return
	}
	r.mu.Lock()
	now := r.now()
	n := r.dropped[f.why].due(now, f.samples)
	r.lostAt = now
	if f.why.failed() {
		r.lastError, r.errorAt = failure{text: f.message(), status: f.status, location: f.location}, now
	}
	r.mu.Unlock()
	if n == 0 {
		return
	}
	if f.why == clockAhead {
		r.log.Error("samples dropped: their timestamps are more than ten minutes ahead of the clock; "+
			"if the clock is right, start once with --storage.reset-clock", f.attributes(n)...)
		return
	}
	r.log.Warn("samples dropped", f.attributes(n)...)
}

// doubt notes samples that were refused and are probably stored.
func (r *reporter) doubt(f refusal) {
	r.mu.Lock()
	n := r.doubts.due(r.now(), f.samples)
	r.mu.Unlock()
	if n > 0 {
		r.log.Info("samples in doubt: refused, but an earlier try has probably stored them", f.attributes(n)...)
	}
}

func (f *refusal) message() string {
	if f.text != "" {
		return f.text
	}
	return f.why.String()
}

func (f *refusal) attributes(samples uint64) []any {
	a := []any{"reason", f.why.String(), "samples", samples}
	if f.example != nil {
		a = append(a, "example", seriesName(f.example))
	}
	if f.status != 0 {
		a = append(a, "status", f.status)
	}
	if f.text != "" {
		a = append(a, "answer", f.text)
	}
	if f.location != "" {
		a = append(a, "location", f.location)
	}
	return a
}

// readAgain notes that the log can be read.
func (r *reporter) readAgain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.failing, readingLog)
}

// cursorFailed notes that a position could not be written. Nothing is lost by
// it: the next one that is written covers it.
func (r *reporter) cursorFailed(err error) {
	r.mu.Lock()
	n := r.cursor.due(r.now(), 1)
	r.mu.Unlock()
	if n > 0 {
		r.log.Warn("cannot write the cursor: after a restart more is sent twice", "err", err)
	}
}

// lettersFailed notes that what was refused could not be kept.
func (r *reporter) lettersFailed(err error) {
	r.mu.Lock()
	n := r.letters.due(r.now(), 1)
	r.mu.Unlock()
	if n > 0 {
		r.log.Error("cannot write dead letters: what is refused is lost", "err", err)
	}
}

// missed notes records that can never be read, with n samples that were still to
// be sent.
func (r *reporter) missed(g *queue.GapError, n uint64) {
	if n > 0 {
		r.mu.Lock()
		r.lostAt = r.now()
		r.mu.Unlock()
	}
	r.log.Warn("samples dropped", "reason", reasonOfGap(g.Reason).String(), "samples", n,
		"from_seq", g.From, "to_seq", g.To)
}

// succeededSince says whether anything was delivered after t.
func (r *reporter) succeededSince(t time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lastSuccess.After(t)
}

// seriesName prints a label set as people write it: name{a="b"}.
func seriesName(l []group.Label) string {
	var name string
	rest := make(group.Labels, 0, len(l))
	for _, p := range l {
		if p.Name == nameLabel {
			name = p.Value
		} else {
			rest = append(rest, p)
		}
	}
	if len(rest) == 0 {
		return strings.Clone(group.Brief(name))
	}
	return group.Brief(name) + rest.Brief()
}
