package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/pushbridge/pushbridge/osfile"
)

// osLock is a locked directory. The kernel releases it when the process ends,
// however it ends: a file that a crash left behind locks nothing.
type osLock struct{ dir, file *os.File }

// Lock locks the directory itself, so that nothing in it can be removed to let
// another process in, and the file in it that keeps out processes of versions
// that lock only that. The process number in the file is for messages only.
func (osFS) Lock(dir string) (dirLock, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	name := filepath.Join(dir, lockName)
	if err := osfile.TryLock(d); err != nil && !osfile.CannotLock(err) {
		return nil, errors.Join(lockedBy(name, err), d.Close())
	}
	f, err := openLockFile(name)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := osfile.TryLock(f); err != nil {
		return nil, errors.Join(lockedBy(name, err), f.Close(), d.Close())
	}
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "pid %d\n", os.Getpid()) // a full disk is no reason not to start
	}
	return osLock{dir: d, file: f}, nil
}

func (l osLock) At(dir string) (bool, error) { return leadsTo(dir, l.dir) }

func (l osLock) Close() error { return errors.Join(l.file.Close(), l.dir.Close()) }

// openLockFile opens or makes the lock file, and nothing that stands in its place:
// what a link leads to would be emptied.
func openLockFile(name string) (*os.File, error) {
	f, err := osfile.OpenFile(name, os.O_RDWR|os.O_CREATE|osfile.NoFollow|osfile.NoWait, filePerm)
	if st, lerr := os.Lstat(name); lerr == nil && !st.Mode().IsRegular() {
		if err == nil {
			err = f.Close()
		}
		return nil, errors.Join(fmt.Errorf("%s is not a regular file: remove it", name), err)
	}
	return f, err
}

// lockedBy names the process that holds a lock.
func lockedBy(name string, err error) error {
	if !errors.Is(err, osfile.ErrLocked) {
		return fmt.Errorf("lock %s: %w", name, err)
	}
	f, err := osfile.OpenFile(name, os.O_RDONLY|osfile.NoFollow|osfile.NoWait, 0)
	if err != nil {
		return ErrLocked
	}
	holder, _ := io.ReadAll(io.LimitReader(f, 64)) // best effort, for the message
	return errors.Join(fmt.Errorf("%w: %s", ErrLocked, strings.TrimSpace(string(holder))), f.Close())
}
