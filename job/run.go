package job

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Exit codes of what could not be run, as a shell has them.
const (
	codeNotExecutable = 126
	codeNotFound      = 127
	codeSignal        = 128 // and the number of the signal
)

// longRun is how long a command runs before it matters what is held beside it. Most end
// before, and giving back what the end needs costs as much as a tenth of such a run.
const longRun = 200 * time.Millisecond

// Result is how a run has ended.
type Result struct {
	Started, Ended time.Time
	Code           int   // as a shell would have it
	Err            error // the command could not be run

	User, System time.Duration // CPU time of the command and those that it waited for
	MaxRSS       int64         // bytes, of the largest of them; 0 when not known
}

// Run runs a command to its end, and passes signals on to it. started is called beside it.
// The thread that calls Run belongs to the command from then on: with it, the command ends.
func Run(args, env []string, signals *Signals, started func(time.Time)) Result {
	runtime.LockOSThread()
	r := Result{Started: time.Now()}
	cmd, err := start(args, env)
	release := time.AfterFunc(longRun, releaseCode)
	defer release.Stop()
	withRoom(func() {
		started(r.Started)
		if time.Since(r.Started) > longRun { // else it is still to come
			releaseCode()
		}
	})
	if err != nil {
		r.Ended, r.Code, r.Err = time.Now(), codeOf(err), err
		return r
	}
	done, passed := make(chan struct{}), make(chan struct{})
	go func() {
		signals.passTo(cmd.Process, done)
		close(passed)
	}()
	_ = cmd.Wait() // its state says all
	r.Ended = time.Now()
	close(done)
	<-passed
	r.read(cmd.ProcessState)
	return r
}

func start(args, env []string) (*exec.Cmd, error) {
	cmd := command(args, env)
	err := cmd.Start()
	if errors.Is(err, syscall.ENOEXEC) {
		// A script that does not say what runs it: every shell runs it itself.
		cmd = command(append([]string{"/bin/sh", cmd.Path}, args[1:]...), env)
		err = cmd.Start()
	}
	return cmd, err
}

func command(args, env []string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...) //nolint:noctx // it ends when it ends
	if errors.Is(cmd.Err, exec.ErrDot) {
		cmd.Err = nil // whoever has . in the PATH wants it
	}
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = attributes()
	return cmd
}

// codeOf is the exit code for a command that could not be started.
func codeOf(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return codeNotFound
	}
	return codeNotExecutable
}

func (r *Result) read(s *os.ProcessState) {
	r.Code = s.ExitCode()
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		r.Code = codeSignal + int(w.Signal())
	}
	r.User, r.System = s.UserTime(), s.SystemTime()
	r.MaxRSS = maxRSS(s)
}
