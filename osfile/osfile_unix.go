//go:build unix

package osfile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// NoFollow and NoWait are flags for OpenFile: no link is followed, no pipe waited for.
const (
	NoFollow = unix.O_NOFOLLOW
	NoWait   = unix.O_NONBLOCK
)

// OpenFile is os.OpenFile.
func OpenFile(name string, flag int, perm os.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, perm)
}

// TryLock locks a file, or a directory where the file system can.
func TryLock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

// CannotLock reports whether err says that the file system cannot lock a directory, as
// NFS, which takes locks for those of ranges of bytes.
func CannotLock(err error) bool {
	return errors.Is(err, unix.EBADF) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EISDIR) ||
		errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EOPNOTSUPP)
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Space tells how many bytes of a file system are left for us, and how many there are.
func Space(dir string) (free, size int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	block := int64(st.Bsize) //nolint:unconvert // its type depends on the system
	return int64(st.Bavail) * block, int64(st.Blocks) * block, nil
}

// Unreadable reports whether err says that the disk cannot read a part of a file.
func Unreadable(err error) bool { return errors.Is(err, unix.EIO) }
