// Package tee sends a copy of every push that was accepted to another gateway.
//
// It promises:
//
//  1. No push waits for a copy, or fails because of one. What is copied was accepted.
//  2. Copies go out one after the other, in the order in which the pushes were answered,
//     each with the body as it came.
//  3. What copies take in memory has a bound. At the bound the oldest that wait go.
//  4. Every push that was accepted is counted once: as sent, as waiting, or as dropped
//     by reason.
package tee

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/client"
)

// Options configure a Tee.
type Options struct {
	Client        *client.Client // of the other gateway; nil: nothing is copied
	Prefix        string         // of the paths here, which are not those there
	MaxBytes      int64          // of the bodies of copies
	FlushDeadline time.Duration  // how long Run goes on when ctx has ended
	Logger        *slog.Logger
	Registerer    prometheus.Registerer
}

// Tee copies pushes.
type Tee struct {
	o       Options
	metrics *metrics
	wake    chan struct{} // something waits
	failing bool          // the other gateway does not answer; Run's

	mu      sync.Mutex
	waiting []*pushed // the oldest first
	bytes   int64     // of what waits, is on its way or is being read
}

// pushed is a push to be copied.
type pushed struct {
	request client.Request
	bytes   int64 // that it counts
	lost    bool  // there was no room for it
	cut     bool  // not all of it came
}

// New returns a Tee. It sends nothing before Run.
func New(o Options) *Tee {
	t := &Tee{o: o, wake: make(chan struct{}, 1)}
	t.metrics = newMetrics(t, o.Registerer)
	return t
}

// reserve makes room for n bytes more, if need be in the place of the oldest that wait.
func (t *Tee) reserve(n int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.bytes+n > t.o.MaxBytes && len(t.waiting) > 0 {
		t.bytes -= t.waiting[0].bytes
		t.waiting = slices.Delete(t.waiting, 0, 1)
		t.metrics.dropped.WithLabelValues(queueFull).Inc()
	}
	if t.bytes+n > t.o.MaxBytes {
		return false
	}
	t.bytes += n
	return true
}

// grow makes p count for bytes in all.
func (p *pushed) grow(t *Tee, bytes int64) bool {
	if bytes <= p.bytes {
		return true
	}
	if !t.reserve(bytes - p.bytes) {
		return false
	}
	p.bytes = bytes
	return true
}

func (t *Tee) release(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes -= n
}

func (t *Tee) add(p *pushed) {
	t.mu.Lock()
	t.waiting = append(t.waiting, p)
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// take removes and returns the oldest that waits, nil for none. It goes on counting.
func (t *Tee) take() *pushed {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		return nil
	}
	p := t.waiting[0]
	t.waiting = slices.Delete(t.waiting, 0, 1)
	return p
}

// Run sends copies until ctx ends, and then those that wait, without patience.
func (t *Tee) Run(ctx context.Context) error {
	if t.o.Client == nil {
		<-ctx.Done()
		return nil
	}
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(t.o.FlushDeadline, cancel) })
	defer stop()
	for {
		p := t.take()
		switch {
		case p != nil:
			t.send(ctx, hard, p)
			t.release(p.bytes)
		case ctx.Err() != nil:
			return nil
		default:
			select {
			case <-t.wake:
			case <-ctx.Done():
			}
		}
	}
}

// Pauses between attempts.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// send sends one copy. While the other gateway does not answer it is tried again, and
// what comes later waits.
func (t *Tee) send(ctx, hard context.Context, p *pushed) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := t.o.Client.Once(hard, p.request)
		refused, isRefusal := errors.AsType[*client.RefusedError](err)
		switch {
		case err == nil:
			t.metrics.sent.Inc()
			if t.failing {
				t.failing = false
				t.o.Logger.Info("the gateway that copies go to answers again")
			}
			return
		case isRefusal:
			t.metrics.dropped.WithLabelValues(refusedCopy).Inc()
			t.o.Logger.Debug("copy refused", "method", p.request.Method, "path", p.request.Path, "err", refused)
			return
		case !t.failing:
			t.failing = true
			t.o.Logger.Warn("the gateway that copies go to does not answer: copies wait", "err", err)
		}
		if !client.Sleep(ctx, pause) {
			t.metrics.dropped.WithLabelValues(stopped).Inc()
			return
		}
	}
}

// Copy returns a handler that answers as next does, and copies what it accepts.
func (t *Tee) Copy(next http.Handler) http.Handler {
	if t.o.Client == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut && r.Method != http.MethodPost && r.Method != http.MethodDelete {
			next.ServeHTTP(w, r)
			return
		}
		p := &pushed{}
		p.lost = !p.grow(t, overhead+int64(len(r.URL.Path)+len(r.URL.RawQuery)))
		body := &reading{ReadCloser: r.Body, tee: t, into: p, base: p.bytes}
		r.Body = body
		p.request = t.request(r) // before next has had its way with r
		answer := &answer{ResponseWriter: w, status: http.StatusOK}
		defer func() { t.decide(p, answer) }()
		next.ServeHTTP(answer, r)
		answer.done = true
		if answer.accepted() {
			body.finish()
		}
	})
}

// decide queues the copy of a push that was accepted, or forgets it.
func (t *Tee) decide(p *pushed, a *answer) {
	switch {
	case !a.accepted():
		t.release(p.bytes)
	case p.cut:
		t.release(p.bytes)
		t.metrics.dropped.WithLabelValues(cutOff).Inc()
	case p.lost:
		t.release(p.bytes)
		t.metrics.dropped.WithLabelValues(queueFull).Inc()
	default:
		t.add(p)
	}
}
