//go:build unix

package disk

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pushbridge/pushbridge/queue"
)

// fullDir is a small file system of its own, to be filled:
//
//	unshare -rm sh -c 'mount -t tmpfs -o size=2m none /mnt && go test ./queue -run FullDisk -crash.full=/mnt'
var fullDir = flag.String("crash.full", "", "a small file system that TestFullDisk may fill")

// childDir makes the test binary a process that appends until it is killed.
const childDir = "PUSHBRIDGE_QUEUE_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := appendUntilKilled(dir); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// appendUntilKilled prints each sequence after its record was reported done.
func appendUntilKilled(dir string) error {
	l, err := open(osFS{}, options{Dir: dir, SegmentBytes: 64 << 10, MinFreeBytes: -1})
	if err != nil {
		return err
	}
	room := make(chan struct{}, 20) // for records that are on their way
	for range 4 {
		go func() {
			for {
				room <- struct{}{}
				_ = l.Append(rec{Body: strings.Repeat("x", rand.IntN(500))}, l.Generation(), func(seq uint64, err error) {
					if err == nil {
						_, _ = fmt.Println(seq)
					}
					<-room
				})
			}
		}()
	}
	return l.Run(context.Background())
}

// TestCrashKill kills a real process with signal 9, again and again, at a moment
// that only the scheduler knows. What it had reported done is there.
func TestCrashKill(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(*crashSeed, 6))
	end := time.Now().Add(*crashTime / 4)
	reported, kills := uint64(0), 0
	for kills < 8 || time.Now().Before(end) {
		last := killAfter(t, dir, 1+rng.IntN(3000))
		kills++
		l, err := open(osFS{}, options{Dir: dir, MinFreeBytes: -1})
		if err != nil {
			t.Fatal(err)
		}
		reported = max(reported, last)
		found, want := uint64(0), uint64(1)
		err = l.Replay(0, func(_ rec, seq uint64) error {
			if seq != want {
				return fmt.Errorf("record %d where %d should be", seq, want)
			}
			want++
			found = seq
			return nil
		})
		if err != nil || found < reported {
			t.Fatalf("after %d kills: %d was reported done, found %d, %v", kills, reported, found, err)
		}
		for _, bad := range l.damage() {
			if !bad.Torn {
				t.Errorf("damage: %v", bad)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills, %d records reported done, all found", kills, reported)
}

// killAfter runs a process until it has reported n records and kills it. It
// returns the last one that was reported.
func killAfter(t *testing.T, dir string, n int) uint64 {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), childDir+"="+dir)
	c.Stderr = t.Output()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	last := uint64(0)
	lines := bufio.NewScanner(out)
	for i := 0; lines.Scan(); i++ {
		if i == n {
			if err := c.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
		var seq uint64
		if _, err := fmt.Sscan(lines.Text(), &seq); err == nil { // the last line may be cut
			last = max(last, seq)
		}
	}
	if err := c.Wait(); err == nil {
		t.Error("the process ended by itself")
	}
	return last
}

// TestFullDisk fills a real file system, or without one uses the limit that the
// kernel puts on the size of files. What waits fails; with room again the log
// works without a restart.
func TestFullDisk(t *testing.T) {
	dir, fill, free := limitFileSize(t)
	if *fullDir != "" {
		dir, fill, free = fillDisk(t, *fullDir)
	}
	l, stop := start(t, options{Dir: dir, MinFreeBytes: -1})
	var kept []uint64
	for range 3 {
		kept = append(kept, add(t, l, rec{Body: "before"}))
	}
	fill()
	big := rec{Body: strings.Repeat("0123456789abcdef", 1<<10)}
	for i := range big.Body[:64] { // not compressible
		big.Body = big.Body[:i*200] + fmt.Sprint(rand.Uint64()) + big.Body[i*200+20:]
	}
	failed := 0
	for range 2000 {
		seq, err := tryAdd(l, big)
		if err == nil {
			kept = append(kept, seq)
		} else if failed++; !errors.Is(err, queue.ErrUnavailable) {
			t.Fatal(err)
		}
		if failed > 20 {
			break
		}
	}
	if failed == 0 {
		t.Fatal("the disk was never full")
	}
	free()
	deadline := time.Now().Add(10 * maxBackoff)
	for l.Err() != nil && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	kept = append(kept, add(t, l, rec{Body: "after"}))
	checkKept(t, l, kept)
	stop()
	again, stop := start(t, options{Dir: dir, MinFreeBytes: -1})
	checkKept(t, again, kept)
	if bad := again.damage(); len(bad) != 0 {
		t.Errorf("damage: %v", bad)
	}
	stop()
}

// limitFileSize fails writes beyond 1 MiB of a file, also of the one where the go
// command has tests note which files they open: that is far smaller.
func limitFileSize(t *testing.T) (dir string, fill, free func()) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	set := func(limit uint64) {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: old.Max}); err != nil {
			t.Error(err)
		}
	}
	free = func() { once.Do(func() { set(old.Cur); signal.Reset(syscall.SIGXFSZ) }) }
	t.Cleanup(free)
	return t.TempDir(), func() { signal.Ignore(syscall.SIGXFSZ); set(1 << 20) }, free
}

// fillDisk puts a file on the file system that leaves 100 KiB.
func fillDisk(t *testing.T, root string) (dir string, fill, free func()) {
	dir, err := os.MkdirTemp(root, "queue") //nolint:usetesting // on the file system to be filled
	if err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(root, "ballast")
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	fill = func() {
		left, _, err := osFS{}.Space(root)
		if err == nil {
			err = os.WriteFile(ballast, make([]byte, left-100<<10), 0o600)
		}
		if err != nil {
			t.Error(err)
		}
	}
	free = func() {
		if err := os.Remove(ballast); err != nil {
			t.Error(err)
		}
	}
	return dir, fill, free
}
