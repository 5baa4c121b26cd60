package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for a fact before it fails.
const patience = 30 * time.Second

// process is a program that a test started. It ends with the test.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // the file with everything that it printed
	done chan struct{} // closed when it has ended
}

var logNumber atomic.Int64

// start runs a program until the test ends.
func start(t testing.TB, name, path string, args ...string) *process {
	t.Helper()
	p := &process{
		name: name,
		log:  filepath.Join(t.TempDir(), fmt.Sprintf("%s-%d.log", name, logNumber.Add(1))),
		done: make(chan struct{}),
	}
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.CommandContext(context.Background(), path, args...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Dir = t.TempDir()
	// Should the test binary be killed, the kernel ends what it started.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is read from ProcessState
		_ = out.Close()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s printed last:\n%s", name, p.tail())
		}
	})
	return p
}

// kill ends the process at once, as kill -9 does, and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

// stop asks the process to end, waits, and returns its exit code.
func (p *process) stop(t testing.TB) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("stop %s: %v", p.name, err)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("%s has not ended %v after SIGTERM", p.name, patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// ended reports whether the process is gone.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// output returns everything that the process printed so far.
func (p *process) output() string {
	b, _ := os.ReadFile(p.log) // no file: nothing printed
	return string(b)
}

func (p *process) tail() string {
	b, _ := os.ReadFile(p.log) // no file: nothing printed
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-40):], []byte("\n")))
}

// cpu returns the CPU time, user and system, that the process has used so far.
func (p *process) cpu(t testing.TB) time.Duration {
	t.Helper()
	// The kernel's clock for the CPU time of another process: its number is the
	// complement of the process number and the kind of clock, see clock_getcpuclockid(3).
	const perProcess = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32((^p.cmd.Process.Pid)<<3|perProcess), &ts); err != nil {
		t.Fatalf("cpu time of %s: %v", p.name, err)
	}
	return time.Duration(ts.Nano())
}

// memory returns a line of /proc/PID/status in bytes: VmRSS is what the process
// holds now, VmHWM the most that it ever held.
func (p *process) memory(t testing.TB, line string) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(l, line+":"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatalf("no %s of %s", line, p.name)
	return 0
}

// need returns the path of a program of a Debian package, and fails the test
// when it is not installed.
func need(t testing.TB, path, pkg string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not there: apt-get install %s", path, pkg)
	}
	return path
}

// startOnPort starts a program that cannot say which port it got: it is given
// one that was free a moment ago, and another one if someone took it meanwhile.
// It returns once url + ready answers 200.
func startOnPort(t testing.TB, name, path, ready string, args func(addr string) []string) (*process, string) {
	t.Helper()
	for range 5 {
		addr := freeAddress(t)
		p := start(t, name, path, args(addr)...)
		if err := p.waitReady("http://" + addr + ready); err == nil {
			return p, "http://" + addr
		} else if !p.ended() {
			t.Fatalf("%s: %v", name, err)
		}
	}
	t.Fatalf("%s ended at once, five times", name)
	return nil, ""
}

// waitReady waits until a GET of url answers 200.
func (p *process) waitReady(url string) error {
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if p.ended() {
			return errors.New("ended before it was ready:\n" + p.tail())
		}
		var code int
		if code, _, err = get(url); err == nil && code == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("not ready: %w\n%s", err, p.tail())
}

// freeAddress returns an address of 127.0.0.1 that nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// eventually calls f until it returns nil, and fails the test with its last
// error when that takes too long.
func eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	eventuallyWithin(t, patience, what, f)
}

func eventuallyWithin(t testing.TB, d time.Duration, what string, f func() error) {
	t.Helper()
	begin, pause := time.Now(), time.Millisecond
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Since(begin) > d {
			t.Fatalf("%s: not after %v: %v", what, d, err)
		}
		time.Sleep(pause)
		pause = min(2*pause, 50*time.Millisecond)
	}
}
