package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/pushbridge/pushbridge/queue"
)

// directory is the place of all files: what knows their names, and whose they are.
type directory struct {
	fs      fsys
	dir     string
	log     *slog.Logger
	metrics *queue.StoreMetrics
	damage  damageList
	id      storeID
	era     atomic.Uint32 // of timestamps, see Store.ResetClock
	lock    dirLock
	inPlace func() error // of the guard that fs is
	retake  bool         // whatever marks the directory, see Movable
}

// open makes the directory if need be and locks it.
func (d *directory) open() error {
	if err := d.fs.MkdirAll(d.dir); err != nil {
		return err
	}
	lock, err := d.fs.Lock(d.dir)
	if err != nil {
		return err
	}
	g := guard{d.fs, d.dir, lock}
	d.fs, d.inPlace, d.lock = g, g.inPlace, lock
	return nil
}

func (d *directory) path(name string) string { return filepath.Join(d.dir, name) }

// writeTemp makes a temporary file, fills and syncs it. The caller renames it into
// place and syncs the directory.
func (d *directory) writeTemp(name string, fill func(f file) error) (file, error) {
	temp := d.path(name + tempSuffix)
	_ = d.fs.Remove(temp) // what an attempt before left
	f, err := d.fs.Create(temp)
	if err != nil {
		return nil, err
	}
	if err = fill(f); err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), d.fs.Remove(temp))
	}
	return f, nil
}

// replace writes a file and puts it in the place of the one with that name, durably.
// It returns the file, which is still open.
func (d *directory) replace(name string, fill func(f file) error) (file, error) {
	f, err := d.writeTemp(name, fill)
	if err != nil {
		return nil, err
	}
	err = d.fs.Rename(d.path(name+tempSuffix), d.path(name))
	if err == nil {
		err = d.fs.SyncDir(d.dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// readStart reads up to n bytes from the start of a file.
func (d *directory) readStart(name string, n int) ([]byte, error) {
	f, err := d.fs.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	got, _, err := readPages(f, b, 0)
	return b[:got], errors.Join(err, f.Close())
}

// moveAside renames a file that cannot be used, so that it is not in the way and
// not lost.
func (d *directory) moveAside(name string) {
	err := d.fs.Rename(d.path(name), d.path(d.asideName(name)))
	if err == nil {
		err = d.fs.SyncDir(d.dir)
	}
	if err != nil {
		d.log.Warn("cannot move a file aside", "file", name, "err", err)
	}
}

// copyAside keeps a copy of a small file that is about to be written anew.
func (d *directory) copyAside(name string) {
	b, err := readFile(d.fs, d.path(name))
	if err == nil {
		var f file
		if f, err = d.fs.Create(d.path(d.asideName(name))); err == nil {
			err = errors.Join(writeAll(f, b, 0), f.Sync(), f.Close())
		}
	}
	if err != nil {
		d.log.Warn("cannot keep a copy of a damaged file", "file", name, "err", err)
	}
}

// asideName returns a name that is not taken.
func (d *directory) asideName(name string) string {
	for i := 0; ; i++ {
		aside := fmt.Sprintf("%s.%d%s", name, i, asideSuffix)
		f, err := d.fs.Open(d.path(aside))
		if err != nil {
			return aside
		}
		_ = f.Close() // was only looked at
	}
}

// removeTemporary removes files that were being written when the process ended.
func (d *directory) removeTemporary(files []fileInfo) {
	for _, f := range files {
		if !strings.HasSuffix(f.name, tempSuffix) {
			continue
		}
		if err := d.fs.Remove(d.path(f.name)); err != nil {
			d.log.Warn("cannot remove an unfinished file", "file", f.name, "err", err)
		}
	}
}

// readFile reads a small file whole.
func readFile(fs fsys, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b := make([]byte, size)
	n, _, err := readPages(f, b, 0)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return b[:n], f.Close()
}
