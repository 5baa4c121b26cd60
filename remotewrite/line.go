package remotewrite

import (
	"context"
	"time"
)

// line is the way to a receiver, which all shards of a destination share: its
// connections, what it is known to understand, and when it said to come again.
type line struct {
	client      *client
	negotiation *negotiation
	gate        gate
	pause       pause
	now         func() time.Time
}

// sending is a request that is tried until there is an answer which settles it.
type sending interface {
	// ready is called before each try, and returns false when nothing is left to be sent.
	ready() bool

	// judged hears of each answer, and of its verdict, and may change that.
	judged(a answer, v verdict) verdict

	// again is called when the try will be repeated.
	again(a answer)
}

// exchange tries body, which x keeps filled, until there is a verdict other than again;
// that is returned only when nothing is left to be sent. ctx ends all waiting, hard also
// the request on its way: then it returns errStopped.
func (l *line) exchange(ctx, hard context.Context, p Protocol, body *buffer, back *backoff, x sending) (answer, verdict, error) {
	answered := 0
	for {
		if !l.pass(ctx) {
			return answer{}, again, errStopped
		}
		if !x.ready() {
			return answer{}, again, nil
		}
		a := l.client.post(hard, body, p, answered)
		if hard.Err() != nil && a.err != nil {
			return a, again, errStopped
		}
		if v := x.judged(a, judge(a, l.negotiation.terms(p))); v != again {
			if a.success() {
				back.reset()
			}
			return a, v, nil
		}
		if a.err == nil {
			answered++
		}
		x.again(a)
		if !l.wait(ctx, back, a) {
			return a, again, errStopped
		}
	}
}

// pass waits until the receiver may be asked again. It returns false if ctx ended
// before that.
func (l *line) pass(ctx context.Context) bool {
	for {
		if !l.pause.pass(ctx) {
			return false
		}
		d := l.gate.left(l.now())
		if d == 0 {
			return true
		}
		if !sleep(ctx, d) {
			return false
		}
	}
}

// wait waits before the next try: as long as the receiver said, with all shards, or
// else as the backoff says. At the end it does not wait at all, and returns false.
func (l *line) wait(ctx context.Context, back *backoff, a answer) bool {
	if a.refusesCredentials() {
		_ = l.client.renewAuthSometimes() // tried again with the next such answer
	}
	l.client.renew()
	delay := back.next(a.retryAfter)
	if a.retryAfter > 0 {
		l.gate.close(l.now(), a.retryAfter)
	}
	return sleep(ctx, delay)
}
