package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Pauses between attempts: each is twice the one before, give or take a quarter, so that
// many jobs that failed together do not come back together.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// Do sends p until it is answered or ctx ends. Its error is a *RefusedError, or an
// *UnreachableError that says what the last attempt met.
func (c *Client) Do(ctx context.Context, p Push) error {
	return c.do(ctx, ctx, p)
}

// Finish is Do that waits for an attempt that has begun when ctx ends, at most
// Options.AttemptTimeout.
func (c *Client) Finish(ctx context.Context, p Push) error {
	return c.do(ctx, context.WithoutCancel(ctx), p)
}

func (c *Client) do(ctx, attempt context.Context, p Push) error {
	if err := ctx.Err(); err != nil {
		return &UnreachableError{fmt.Errorf("not tried: %w", context.Cause(ctx))}
	}
	pause := firstPause
	for attempts := 1; ; attempts++ {
		err := c.Once(attempt, p.request())
		if err == nil {
			return nil
		}
		if settled(err) {
			return err
		}
		if !Sleep(ctx, c.pauseAfter(err, pause)) {
			return &UnreachableError{fmt.Errorf("not reached, attempt %d: %w", attempts, err)}
		}
		pause = min(2*pause, longestPause)
	}
}

// settled reports whether err is an answer that another attempt would not change.
func settled(err error) bool {
	_, refused := errors.AsType[*RefusedError](err)
	_, undelivered := errors.AsType[*UndeliveredError](err)
	return refused || undelivered
}

// pauseAfter is how long to wait after err: as long as the gateway asks for, if it does.
func (c *Client) pauseAfter(err error, pause time.Duration) time.Duration {
	if busy, ok := errors.AsType[*busyError](err); ok && busy.after > 0 {
		return busy.after
	}
	return pause*3/4 + rand.N(pause/2)
}

// Sleep reports whether ctx has lasted so long. It does not begin to wait for what
// would come too late.
func Sleep(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return false
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
