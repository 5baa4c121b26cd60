//go:build unix

package disk

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pushbridge/pushbridge/osfile"
	"github.com/pushbridge/pushbridge/queue"
)

// While the directory is not in its place nothing is taken, nothing is touched by
// name, and no reader concludes that segments are lost. Back in its place, nothing
// is missing.
func TestDirectoryAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := newSim()
		l, stop := startSim(t, sim, simOptions())
		c, _, err := l.OpenCursor("dest", 1)
		if err != nil {
			t.Fatal(err)
		}
		var kept []uint64
		for range 20 {
			kept = append(kept, add(t, l, rec{Body: strings.Repeat("before ", 10)}))
		}

		var touched []string
		sim.mu.Lock()
		sim.away = true
		sim.fault = func(op, name string) error {
			if slices.Contains([]string{"create", "open", "edit", "rename", "remove"}, op) {
				touched = append(touched, op+" "+name)
			}
			return nil
		}
		sim.mu.Unlock()
		time.Sleep(2 * placeInterval)
		if err := l.Err(); !errors.Is(err, queue.ErrUnavailable) || !errors.Is(err, errDisplaced) {
			t.Errorf("Err is %v", err)
		}
		if _, err := tryAdd(l, rec{Body: "away"}); !errors.Is(err, queue.ErrUnavailable) {
			t.Errorf("append: %v", err)
		}
		lagging := l.NewReader(0)
		if _, _, err := lagging.TryNext(); !errors.Is(err, errDisplaced) {
			t.Errorf("read: %v", err)
		}
		if err := c.Acked(0, kept[3]); err != nil {
			t.Errorf("acknowledge: %v", err)
		}
		time.Sleep(time.Minute)

		sim.mu.Lock()
		if len(touched) > 0 {
			t.Errorf("touched meanwhile: %v", touched)
		}
		sim.away, sim.fault = false, nil
		sim.mu.Unlock()
		time.Sleep(maxBackoff)
		if err := l.Err(); err != nil {
			t.Errorf("back in its place: %v", err)
		}
		kept = append(kept, add(t, l, rec{Body: "after"}))
		checkKept(t, l, kept)
		stop()

		l, stop = startSim(t, sim.crash(false, nil), simOptions())
		defer stop()
		checkKept(t, l, kept)
		c, isNew, err := l.OpenCursor("dest", 1)
		if err != nil || isNew || c.Acknowledged() != kept[3] {
			t.Errorf("cursor at %d, new %t, %v", c.Acknowledged(), isNew, err)
		}
		if bad := l.damage(); len(bad) != 0 {
			t.Errorf("damage: %v", bad)
		}
	})
}

// A file that is removed or replaced while it is written to is back before
// anything ends that would need it: a power loss finds all that was reported done.
func TestFileTakenAway(t *testing.T) {
	for _, row := range []struct {
		name, suffix string
		take         func(sim *simDisk, name string)
		aside        int
	}{
		{"segment removed", segmentSuffix, func(sim *simDisk, name string) { delete(sim.now, name) }, 0},
		{"segment replaced", segmentSuffix, func(sim *simDisk, name string) { sim.add(name, []byte("another")) }, 1},
		{"cursor removed", cursorSuffix, func(sim *simDisk, name string) { delete(sim.now, name) }, 0},
		{"cursor replaced", cursorSuffix, func(sim *simDisk, name string) { sim.add(name, []byte("another")) }, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := newSim()
				o := simOptions()
				o.SegmentBytes = 1 << 20
				l, stop := startSim(t, sim, o)
				c, _, err := l.OpenCursor("dest", 1)
				if err != nil {
					t.Fatal(err)
				}
				kept := []uint64{add(t, l, rec{Body: "one"}), add(t, l, rec{Body: "two"})}
				if err := c.Acked(0, kept[0]); err != nil {
					t.Fatal(err)
				}
				sim.mu.Lock()
				var name string
				for n := range sim.now {
					if strings.HasSuffix(n, row.suffix) {
						name = n
					}
				}
				row.take(sim, name)
				sim.disk = maps.Clone(sim.now)
				sim.mu.Unlock()
				time.Sleep(3 * placeInterval)
				kept = append(kept, add(t, l, rec{Body: "three"}))
				checkKept(t, l, kept)

				after := sim.crash(false, nil)
				if got := len(after.list(asideSuffix)); got != row.aside {
					t.Errorf("%d files moved aside, want %d", got, row.aside)
				}
				again, stopAgain := startSim(t, after, o)
				checkKept(t, again, kept)
				found, isNew, err := again.OpenCursor("dest", 1)
				if err != nil || isNew || found.Acknowledged() != kept[0] {
					t.Errorf("cursor at %d, new %t, %v", found.Acknowledged(), isNew, err)
				}
				if bad := again.damage(); len(bad) != 0 {
					t.Errorf("damage: %v", bad)
				}
				stopAgain()
				stop()
			})
		})
	}
}

// What lies in a directory, or is removed from it, lets no second process in; nor
// does another name of it.
func TestLock(t *testing.T) {
	for _, row := range []struct {
		name string
		do   func(dir string) (then string, err error)
	}{
		{"nothing done", func(dir string) (string, error) { return dir, nil }},
		{"lock file removed", func(dir string) (string, error) { return dir, os.Remove(filepath.Join(dir, lockName)) }},
		{"directory renamed", func(dir string) (string, error) { return dir + ".old", os.Rename(dir, dir+".old") }},
		{"by a link", func(dir string) (string, error) { return dir + ".link", os.Symlink(dir, dir+".link") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			l, err := open(osFS{}, options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			then, err := row.do(dir)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := open(osFS{}, options{Dir: then}); !errors.Is(err, ErrLocked) {
				t.Errorf("second open: got %v, want ErrLocked", err)
			} else if row.name == "nothing done" && !strings.Contains(err.Error(), "pid ") {
				t.Errorf("second open names no process: %v", err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			again, err := open(osFS{}, options{Dir: then})
			if err != nil {
				t.Fatalf("after the first has ended: %v", err)
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Versions that lock only the file keep this one out, and the other way round.
func TestLockOfOldVersions(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, lockName))
	if err != nil {
		t.Fatal(err)
	}
	if err := osfile.TryLock(f); err != nil {
		t.Fatal(err)
	}
	if _, err := open(osFS{}, options{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Errorf("beside an old version: got %v, want ErrLocked", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	l, err := open(osFS{}, options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := osfile.TryLock(f); !errors.Is(err, osfile.ErrLocked) {
		t.Errorf("an old version beside this one: %v", err)
	}
	if err := errors.Join(l.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// What stands in the place of the lock file is neither followed nor emptied.
func TestLockFileIsNone(t *testing.T) {
	for name, make := range map[string]func(name, precious string) error{
		"link":      func(name, precious string) error { return os.Symlink(precious, name) },
		"loose end": func(name, precious string) error { return os.Symlink(precious+".none", name) },
		"pipe":      func(name, _ string) error { return unix.Mkfifo(name, 0o600) },
		"directory": func(name, _ string) error { return os.Mkdir(name, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			precious := filepath.Join(t.TempDir(), "precious")
			err := errors.Join(os.WriteFile(precious, []byte("text"), 0o600), make(filepath.Join(dir, lockName), precious))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := open(osFS{}, options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "not a regular file: remove it") {
				t.Errorf("got %v", err)
			}
			if text, err := os.ReadFile(precious); err != nil || string(text) != "text" {
				t.Errorf("what the link leads to is %q, %v", text, err)
			}
			if _, err := os.Stat(precious + ".none"); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the link was followed: %v", err)
			}
		})
	}
}
