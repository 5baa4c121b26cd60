package job

import (
	"context"
	"fmt"
	"os"
	"os/signal"
)

// Signals holds back the signals of the process.
type Signals struct{ c chan os.Signal }

// Catch begins to hold them back, but for those that were ignored when the process began:
// the command inherits that.
func Catch() *Signals {
	s := &Signals{make(chan os.Signal, 16)}
	for _, one := range passedOn {
		if !signal.Ignored(one) {
			signal.Notify(s.c, one)
		}
	}
	return s
}

// passTo hands them to p until it is done, and forgets those that came too late for it.
func (s *Signals) passTo(p *os.Process, done <-chan struct{}) {
	for {
		select {
		case one := <-s.c:
			if !fromTerminal(one) {
				_ = p.Signal(one) // one that has ended needs none
			}
		case <-done:
			for len(s.c) > 0 {
				<-s.c
			}
			return
		}
	}
}

// Until returns a context that the next signal ends.
func (s *Signals) Until(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() { cancel(fmt.Errorf("stopped by %s", <-s.c)) }()
	return ctx
}
