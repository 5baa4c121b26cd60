package disk

import (
	"errors"
	"fmt"
	"io"
)

// errDisplaced is why a directory in the place of ours is not touched.
var errDisplaced = errors.New("it was removed, renamed or replaced while it is in use: " +
	"put it back where it was and pushes are taken again, or restart to go on with what is there now")

// guard is the file system behind the lock of a directory. It touches nothing by
// name while the name leads elsewhere: that may be the directory of somebody else.
type guard struct {
	fsys
	dir  string
	lock dirLock
}

// inPlace returns an error unless the directory that is locked is the one that its
// name leads to.
func (g guard) inPlace() error {
	same, err := g.lock.At(g.dir)
	switch {
	case err != nil:
		return fmt.Errorf("look at the storage directory: %w", err)
	case !same:
		return fmt.Errorf("storage directory %s: %w", g.dir, errDisplaced)
	}
	return nil
}

func (g guard) Open(name string) (file, error) {
	if err := g.inPlace(); err != nil {
		return nil, err
	}
	return g.fsys.Open(name)
}

func (g guard) Edit(name string) (file, error) {
	if err := g.inPlace(); err != nil {
		return nil, err
	}
	return g.fsys.Edit(name)
}

func (g guard) Create(name string) (file, error) {
	if err := g.inPlace(); err != nil {
		return nil, err
	}
	return g.fsys.Create(name)
}

func (g guard) Rename(from, to string) error {
	if err := g.inPlace(); err != nil {
		return err
	}
	return g.fsys.Rename(from, to)
}

func (g guard) Remove(name string) error {
	if err := g.inPlace(); err != nil {
		return err
	}
	return g.fsys.Remove(name)
}

// check sees to it that the segment being written is where a restart looks.
func (w *writer) check() error {
	if !w.writable() {
		return nil // the next attempt to open a segment looks
	}
	if err := w.d.inPlace(); err != nil {
		return err
	}
	same, err := w.file.At(w.d.path(w.seg.name))
	if err == nil && !same {
		err = w.putBack()
	}
	if err != nil {
		return fmt.Errorf("segment %d: %w", w.seg.number, err)
	}
	return nil
}

// putBack writes the segment anew under its name from what is still open. What
// stands there instead is moved aside.
func (w *writer) putBack() error {
	copied, err := w.d.writeTemp(w.seg.name, func(f file) error {
		_, err := io.Copy(&offsetWriter{f: f}, io.NewSectionReader(w.file, 0, w.view.size))
		return err
	})
	if err != nil {
		return err
	}
	if f, err := w.d.fs.Open(w.d.path(w.seg.name)); err == nil {
		_ = f.Close() // was only looked at
		w.d.moveAside(w.seg.name)
	}
	err = w.d.fs.Rename(w.d.path(w.seg.name+tempSuffix), w.d.path(w.seg.name))
	if err == nil {
		err = w.d.fs.SyncDir(w.d.dir)
	}
	if err != nil {
		return errors.Join(err, copied.Close())
	}
	_ = w.file.Close() // nothing in it is of use any more
	w.file = copied
	w.d.log.Error("the segment being written was removed or replaced, and is written anew: leave the files alone while they are in use",
		"segment", w.seg.number)
	return nil
}
