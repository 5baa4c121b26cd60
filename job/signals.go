package job

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// passedOn are the signals that somebody may send to the process and means the command.
// Those that stop and go on (SIGTSTP, SIGCONT) do what they do: the terminal sends them to
// both.
var passedOn = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM,
}

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

// fromTerminal reports whether the command has had s already: what is typed goes to all
// processes in front of the terminal, and many programs take a second interrupt for an order
// to drop everything.
func fromTerminal(s os.Signal) bool {
	if s != syscall.SIGINT && s != syscall.SIGQUIT {
		return false
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	front, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && front == unix.Getpgrp()
}
