package osfile

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// NoFollow and NoWait are flags for OpenFile, for which there is nothing here.
const (
	NoFollow = 0
	NoWait   = 0
)

// shared lets others read, write, rename and remove a file that is open.
const shared = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE

// OpenFile is os.OpenFile for files that others may remove while they are open. Who may
// read one is inherited from the folder: perm has no meaning here.
func OpenFile(name string, flag int, _ os.FileMode) (*os.File, error) {
	access := uint32(windows.GENERIC_READ)
	switch flag & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR) {
	case os.O_WRONLY:
		access = windows.GENERIC_WRITE
	case os.O_RDWR:
		access |= windows.GENERIC_WRITE
	}
	return open(name, access, disposition(flag), windows.FILE_ATTRIBUTE_NORMAL)
}

func disposition(flag int) uint32 {
	switch {
	case flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		return windows.CREATE_NEW
	case flag&(os.O_CREATE|os.O_TRUNC) == os.O_CREATE|os.O_TRUNC:
		return windows.CREATE_ALWAYS
	case flag&os.O_CREATE != 0:
		return windows.OPEN_ALWAYS
	case flag&os.O_TRUNC != 0:
		return windows.TRUNCATE_EXISTING
	}
	return windows.OPEN_EXISTING
}

func open(name string, access, disposition, attributes uint32) (*os.File, error) {
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	handle, err := windows.CreateFile(path, access, shared, nil, disposition, attributes, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(handle), name), nil
}

// TryLock locks a file. Locks here keep out readers too, so the byte that is locked lies
// behind everything that the file will ever hold.
func TryLock(f *os.File) error {
	where := windows.Overlapped{OffsetHigh: 1 << 30}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &where)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return ErrLocked
	}
	return err
}

// CannotLock reports whether err says that a directory cannot be locked: none can.
func CannotLock(err error) bool {
	return errors.Is(err, windows.ERROR_INVALID_FUNCTION) || errors.Is(err, windows.ERROR_INVALID_PARAMETER) ||
		errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_NOT_SUPPORTED)
}

// SyncDir makes the names in a directory durable. Where the file system does not take a
// flush of a directory it keeps its names in a journal of its own.
func SyncDir(dir string) error {
	d, err := open(dir, windows.GENERIC_WRITE, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS)
	if err != nil {
		return ignoreUnsupported(err)
	}
	return errors.Join(ignoreUnsupported(windows.FlushFileBuffers(windows.Handle(d.Fd()))), d.Close())
}

func ignoreUnsupported(err error) error {
	if CannotLock(err) {
		return nil
	}
	return err
}

// Space tells how many bytes of a file system are left for us, and how many there are.
func Space(dir string) (free, size int64, err error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	var left, all uint64
	if err := windows.GetDiskFreeSpaceEx(path, &left, &all, nil); err != nil {
		return 0, 0, &fs.PathError{Op: "free space of", Path: dir, Err: err}
	}
	return int64(left), int64(all), nil
}

// Unreadable reports whether err says that the disk cannot read a part of a file.
func Unreadable(err error) bool {
	return errors.Is(err, windows.ERROR_CRC) || errors.Is(err, windows.ERROR_IO_DEVICE) || errors.Is(err, windows.ERROR_SECTOR_NOT_FOUND)
}
