package remotewrite

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// verdict is what an answer means for the samples that were sent. Here, and
// nowhere else, it is decided what is sent again.
type verdict uint8

const (
	delivered verdict = iota
	again             // the same bytes, later
	refused           // some sample is at fault: smaller requests may get through
	partly            // a success that stored fewer, or just as many: written counts say
	rejected          // no request with these samples will be taken
	speak1            // the receiver does not understand 2.0
	speak2            // the receiver takes no 1.0, which was spoken because it did not understand 2.0
	noNatives         // the receiver has native histograms switched off
	stumbles          // nothing but 500 so far: some sample may be at fault; see exchange
)

// terms are what a verdict depends on beside the answer.
type terms struct {
	protocol  Protocol
	negotiate bool // 1.0 may be tried instead of 2.0
	known2    bool // the receiver understood 2.0 before
	retry429  bool

	dropMisconfigured bool // what says that the destination is set up wrongly drops samples
}

// judge decides on an answer (rules N-1 to N-5 of docs/remote-write.md).
func judge(a answer, t terms) verdict {
	switch {
	case a.err != nil: // also what is not HTTP: something else listens there, or TLS does
		return again
	case a.status/100 == 2:
		return judgeSuccess(a, t)
	case refusesNatives(a):
		return noNatives
	case a.status/100 == 5:
		return again
	case a.status/100 == 4:
		return judgeRefusal(a, t)
	}
	return t.misconfigured() // 1xx, redirects, codes that do not exist
}

// judgeSuccess tells stored from merely answered. Receivers that know only 1.0
// find nothing in a 2.0 request and say 2xx: without the written headers nothing
// was stored.
func judgeSuccess(a answer, t terms) verdict {
	switch {
	case t.protocol == Protocol1:
		return delivered
	case !a.written.any():
		return t.misunderstood()
	case a.written.nothing() && a.status != http.StatusAccepted:
		return rejected
	case a.status == http.StatusAccepted:
		return delivered // somebody else's copy of the samples was taken instead
	}
	return partly
}

// judgeRefusal: only these few are about the samples, or about how many there are. All
// others are about who sends, where, and how.
func judgeRefusal(a answer, t terms) verdict {
	switch a.status {
	case http.StatusTooManyRequests:
		if t.retry429 {
			return again
		}
		return rejected
	case http.StatusUnsupportedMediaType:
		if t.protocol == Protocol1 && t.negotiate && !t.dropMisconfigured {
			return speak2
		}
		return t.misunderstood()
	case http.StatusRequestEntityTooLarge:
		return refused
	case http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity:
		if t.protocol == Protocol2 && a.status == http.StatusBadRequest && !a.written.any() && !t.known2 && t.negotiate {
			return speak1 // receivers older than the 2.0 text answer so (rule N-3)
		}
		return refused
	}
	return t.misconfigured()
}

func (t terms) misunderstood() verdict {
	if t.protocol == Protocol2 && t.negotiate {
		return speak1
	}
	return t.misconfigured()
}

// maxRetryAfter bounds what a receiver can ask for, so that a wrong value cannot
// stop a destination (rule R-2).
const maxRetryAfter = 10 * time.Minute

// retryAfter parses a Retry-After header: seconds or a date. It returns 0 for
// what is absent, past or neither.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if header == "" {
		return 0
	}
	if s, err := strconv.ParseUint(header, 10, 63); err == nil {
		return time.Duration(min(s, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// backoff says how long to wait after each failed try (rule R-1).
type backoff struct {
	min, max time.Duration
	base     time.Duration  // the latest delay, before jitter
	random   func() float64 // in [0, 1)
}

func newBackoff(q *QueueConfig) backoff {
	return backoff{min: time.Duration(q.MinBackoff), max: time.Duration(q.MaxBackoff), random: rand.Float64}
}

// next returns the delay after one more failure. told is what the receiver
// asked for, 0 for nothing: it stands as it is, and doubling goes on from it.
// Jitter takes away up to a fifth, so that shards that failed together do not
// come back together.
func (b *backoff) next(told time.Duration) time.Duration {
	if told > 0 {
		b.base = told
		return told
	}
	b.base = min(max(2*b.base, b.min), b.max)
	return max(b.base-time.Duration(b.random()*float64(b.base)/5), b.min)
}

// reset is called after a success, and only then.
func (b *backoff) reset() { b.base = 0 }

// gate holds back all shards of a destination whose receiver said when to come
// again.
type gate struct {
	mu    sync.Mutex
	until time.Time
}

// close keeps the gate closed until at least d from now.
func (g *gate) close(now time.Time, d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := now.Add(d); t.After(g.until) {
		g.until = t
	}
}

// left returns how long the gate stays closed.
func (g *gate) left(now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(g.until.Sub(now), 0)
}

// sleep waits for d and returns false if ctx ended before that.
func sleep(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
