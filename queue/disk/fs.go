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

// fsys is the seam to the disk: the operating system, and in tests a disk that
// forgets what was not synced, fails and fills up.
type fsys interface {
	MkdirAll(dir string) error // makes dir durable in its parent
	List(dir string) ([]fileInfo, error)
	Open(name string) (file, error)   // to read
	Edit(name string) (file, error)   // to read and write
	Create(name string) (file, error) // must not exist
	Rename(from, to string) error     // durable after SyncDir, as are Create and Remove
	Remove(name string) error
	SyncDir(dir string) error
	Space(dir string) (free, size int64, err error) // of the file system: bytes left for us, and all
	Lock(dir string) (dirLock, error)               // ErrLocked when another process has it
	BootID() string                                 // changes when the page cache is lost; empty when unknown
}

// file is an open file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
	Size() (int64, error)
	At(name string) (bool, error) // whether name leads to it
}

// dirLock is a directory that no other process opens until Close.
type dirLock interface {
	io.Closer
	At(dir string) (bool, error) // whether dir leads to it
}

type fileInfo struct {
	name string
	size int64
}

const (
	dirPerm  = 0o750
	filePerm = 0o640
)

// osFS is the operating system's file system.
type osFS struct{}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f osFile) At(name string) (bool, error) { return leadsTo(name, f.File) }

// leadsTo reports whether name is a name of what f has open. Both are asked anew:
// not every file system keeps the number of what nobody has open.
func leadsTo(name string, f *os.File) (bool, error) {
	open, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(open, named), err
}

func (osFS) MkdirAll(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if st, err := os.Stat(dir); err == nil {
		if !st.IsDir() {
			return fmt.Errorf("%s is not a directory", dir)
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := (osFS{}).MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, dirPerm); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return osFS{}.SyncDir(parent)
}

func (osFS) List(dir string) ([]fileInfo, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var infos []fileInfo
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // removed meanwhile, or none of ours
		}
		infos = append(infos, fileInfo{e.Name(), info.Size()})
	}
	return infos, nil
}

func open1(name string, flag int) (file, error) {
	f, err := osfile.OpenFile(name, flag, filePerm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Open(name string) (file, error)   { return open1(name, os.O_RDONLY) }
func (osFS) Edit(name string) (file, error)   { return open1(name, os.O_RDWR) }
func (osFS) Create(name string) (file, error) { return open1(name, os.O_RDWR|os.O_CREATE|os.O_EXCL) }
func (osFS) Rename(from, to string) error     { return os.Rename(from, to) }
func (osFS) Remove(name string) error         { return os.Remove(name) }

// Sync implements file.
func (f osFile) Sync() error { return osfile.SyncData(f.File) }

func (osFS) SyncDir(dir string) error { return osfile.SyncDir(dir) }

func (osFS) Space(dir string) (free, size int64, err error) { return osfile.Space(dir) }

func (osFS) BootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// writeAll writes b at off and tells a short write from success.
func writeAll(f file, b []byte, off int64) error {
	n, err := f.WriteAt(b, off)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}
