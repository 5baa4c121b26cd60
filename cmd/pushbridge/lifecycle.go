package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// stage is one component that lives as long as the process.
type stage struct {
	name string
	run  func(context.Context) error
}

// runStages starts stages in order, and stops them in the opposite order when
// ctx ends or one of them returns: each is told to stop only after all that
// were started later have ended, so that with the sink of the data flow first
// in the list nothing is produced for a component that has gone.
//
// It returns the first error of a stage. One that has not ended when grace is over
// is left behind and named, and the next is stopped all the same: a component that
// hangs must not cost the others what they do at the end.
func runStages(ctx context.Context, grace time.Duration, stages []stage) error {
	running := make([]*runningStage, len(stages))
	ended := make(chan *runningStage, len(stages))
	for i, s := range stages {
		running[i] = startStage(s, ended)
	}
	var errs []error
	select {
	case <-ctx.Done():
	case s := <-ended:
		errs = append(errs, s.failure())
	}
	for _, s := range slices.Backward(running) {
		errs = append(errs, s.stop(grace))
	}
	return firstError(errs)
}

type runningStage struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid once done is closed
}

func startStage(s stage, ended chan<- *runningStage) *runningStage {
	ctx, cancel := context.WithCancel(context.Background())
	r := &runningStage{name: s.name, cancel: cancel, done: make(chan struct{})}
	go func() {
		err := s.run(ctx)
		if err == nil && ctx.Err() == nil {
			err = errors.New("ended unasked")
		}
		r.err = err
		close(r.done)
		ended <- r
	}()
	return r
}

// stop tells a stage to end and waits for that, no longer than grace.
func (r *runningStage) stop(grace time.Duration) error {
	r.cancel()
	select {
	case <-r.done:
		return r.failure()
	case <-time.After(grace):
		return fmt.Errorf("stop %s: not done after %s", r.name, grace)
	}
}

func (r *runningStage) failure() error {
	<-r.done
	if r.err == nil || errors.Is(r.err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("%s: %w", r.name, r.err)
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
