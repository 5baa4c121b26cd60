package job

import (
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestUntil: what ends the report of a run that has ended, and what was meant for the run.
func TestUntil(t *testing.T) {
	for _, row := range []struct {
		name   string
		during []os.Signal // the run
		after  time.Duration
		then   []os.Signal
		cause  string // empty: the report goes on
	}{
		{"a signal for both, heard of late", nil, 10 * time.Millisecond, []os.Signal{syscall.SIGTERM}, ""},
		{"and another one", nil, 10 * time.Millisecond, []os.Signal{syscall.SIGTERM, syscall.SIGTERM}, "stopped by terminated"},
		{"the second of its kind", []os.Signal{syscall.SIGINT}, 10 * time.Millisecond, []os.Signal{syscall.SIGINT}, "stopped by interrupt"},
		{"the first of another kind", []os.Signal{syscall.SIGINT}, 10 * time.Millisecond, []os.Signal{syscall.SIGTERM}, ""},
		{"long after the end", nil, 2 * lateSignal, []os.Signal{syscall.SIGTERM}, "stopped by terminated"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Signals{c: make(chan os.Signal, 16), heard: map[os.Signal]bool{}}
				for _, one := range row.during {
					s.c <- one
				}
				done := make(chan struct{})
				close(done)
				s.passTo(&os.Process{Pid: -1}, done)
				ctx := s.Until(context.Background())
				time.Sleep(row.after)
				for _, one := range row.then {
					s.c <- one
				}
				synctest.Wait()
				cause := ""
				if err := context.Cause(ctx); err != nil {
					cause = err.Error()
				}
				if cause != row.cause {
					t.Errorf("it ended with %q, want %q", cause, row.cause)
				}
				time.Sleep(2 * lateSignal)
				s.c <- syscall.SIGHUP // ends what still waits
			})
		})
	}
}
