package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
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
	if err := flock(d); err != nil && !noDirectoryLocks(err) {
		return nil, errors.Join(lockedBy(name, err), d.Close())
	}
	f, err := openLockFile(name)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := flock(f); err != nil {
		return nil, errors.Join(lockedBy(name, err), f.Close(), d.Close())
	}
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "pid %d\n", os.Getpid()) // a full disk is no reason not to start
	}
	return osLock{dir: d, file: f}, nil
}

func (l osLock) At(dir string) (bool, error) { return leadsTo(dir, l.dir) }

func (l osLock) Close() error { return errors.Join(l.file.Close(), l.dir.Close()) }

func flock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// noDirectoryLocks reports whether err says that the file system cannot lock a
// directory, as NFS, which takes locks for those of ranges of bytes.
func noDirectoryLocks(err error) bool {
	return errors.Is(err, unix.EBADF) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EISDIR) ||
		errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EOPNOTSUPP)
}

// openLockFile opens or makes the lock file, and nothing that stands in its place:
// what a link leads to would be emptied.
func openLockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, filePerm)
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
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("lock %s: %w", name, err)
	}
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return ErrLocked
	}
	holder, _ := io.ReadAll(io.LimitReader(f, 64)) // best effort, for the message
	return errors.Join(fmt.Errorf("%w: %s", ErrLocked, strings.TrimSpace(string(holder))), f.Close())
}
