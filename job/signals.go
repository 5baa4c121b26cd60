package job

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// Signals holds back the signals of the process.
type Signals struct {
	c     chan os.Signal
	heard map[os.Signal]bool // while the command ran
	ended time.Time          // the command
}

// lateSignal is how long after its end the command's signals may come: who sends one to all
// processes of a group, or of a unit, may have ended the command before this process hears of it.
const lateSignal = time.Second

// Catch begins to hold them back, but for those that were ignored when the process began:
// the command inherits that.
func Catch() *Signals {
	s := &Signals{c: make(chan os.Signal, 16), heard: map[os.Signal]bool{}}
	for _, one := range passedOn {
		if !signal.Ignored(one) {
			signal.Notify(s.c, one)
		}
	}
	return s
}

// passTo hands them to p until it is done, and forgets those that came too late for it.
// Until knows of those that are still to come.
func (s *Signals) passTo(p *os.Process, done <-chan struct{}) {
	for {
		select {
		case one := <-s.c:
			s.heard[one] = true
			if !fromTerminal(one) {
				_ = p.Signal(one) // one that has ended needs none
			}
		case <-done:
			for len(s.c) > 0 {
				s.heard[<-s.c] = true
			}
			s.ended = time.Now()
			return
		}
	}
}

// Until returns a context that the next signal ends which was not meant for the command.
func (s *Signals) Until(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		one := <-s.c
		for s.late(one) {
			one = <-s.c
		}
		cancel(fmt.Errorf("stopped by %s", one))
	}()
	return ctx
}

// late reports whether one was meant for the command: it is the first of its kind, right behind
// the end.
func (s *Signals) late(one os.Signal) bool {
	first := !s.heard[one]
	s.heard[one] = true
	return first && time.Since(s.ended) < lateSignal
}
