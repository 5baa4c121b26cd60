package disk

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/pushbridge/pushbridge/queue"
)

// Files that mark a directory, see queue.Movable. They are text, for whoever looks.
const (
	leftName       = "moved"      // its content is elsewhere
	unfinishedName = "unfinished" // it is being moved to
)

// Movable is a directory whose content can be moved.
type Movable struct {
	*Store
	host queue.Host // of Reserve
}

var _ queue.Movable = (*Movable)(nil)

// NewMovable returns a store in o.Dir that can be moved. It touches nothing before Recover
// or Reserve.
func NewMovable(o Options) *Movable { return &Movable{Store: New(o)} }

// Retake lets Recover pass over marks.
func (m *Movable) Retake() { m.dir.retake = true }

// Recover is that of the store, but makes none: there would be nothing to move.
func (m *Movable) Recover(h queue.Host) (queue.Recovered, error) {
	files, err := m.dir.fs.List(m.dir.dir)
	if err == nil && !isStore(files) || errors.Is(err, os.ErrNotExist) {
		err = ErrNoStore
	}
	if err != nil {
		return queue.Recovered{}, fmt.Errorf("open log in %s: %w", m.dir.dir, err)
	}
	return m.Store.Recover(h)
}

// Hold returns the end of the log: the directory is locked.
func (m *Movable) Hold() (head uint64, err error) { return m.writer.at.Seq, nil }

// Leave writes the file that marks the directory.
func (m *Movable) Leave(where string) error { return m.dir.mark(leftName, where) }

// Reserve locks the directory. A file that was being written when the process ended is no content:
// the mark of an attempt before may have got no further.
func (m *Movable) Reserve(h queue.Host) (begun bool, err error) {
	d := m.dir
	m.host, d.log, d.metrics = h, h.Logger, h.Metrics
	if err := d.open(); err != nil {
		return false, err
	}
	files, err := d.fs.List(d.dir)
	if err == nil {
		begun = slices.ContainsFunc(files, func(f fileInfo) bool { return f.name == unfinishedName })
		if !begun && slices.ContainsFunc(files, func(f fileInfo) bool { return ours(f.name) && !strings.HasSuffix(f.name, tempSuffix) }) {
			err = fmt.Errorf("%s: %w", d.dir, queue.ErrNotEmpty)
		}
	}
	if err != nil {
		return false, errors.Join(err, m.Close())
	}
	return begun, nil
}

// Close releases a directory that was reserved, too.
func (m *Movable) Close() error {
	if m.writer != nil || m.dir.lock == nil {
		return m.Store.Close()
	}
	err := m.dir.lock.Close()
	m.dir.lock = nil
	return err
}

// ours reports whether a file is one of a store.
func ours(name string) bool {
	for _, suffix := range []string{segmentSuffix, snapshotSuffix, cursorSuffix, forgetSuffix, asideSuffix, tempSuffix} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return name == storeName || name == leftName
}

// Fill marks the directory and removes what an attempt before has left there.
func (m *Movable) Fill(id [16]byte) error {
	d := m.dir
	if err := d.mark(unfinishedName, "run pushbridge migrate again"); err != nil {
		return err
	}
	files, err := d.fs.List(d.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !ours(f.name) {
			continue
		}
		if err := d.fs.Remove(d.path(f.name)); err != nil {
			return err
		}
	}
	d.id, d.retake = id, true
	if err := d.writeStoreFile(0); err != nil {
		return err
	}
	_, err = m.begin(m.host)
	return err
}

// Skip makes the next segment begin behind what is passed over.
func (m *Movable) Skip(at queue.Place, next uint64) error {
	if err := m.writer.close(); err != nil {
		return err
	}
	m.writer.at, m.writer.void = at, next-1
	return nil
}

// Filled removes the file that marks the directory.
func (m *Movable) Filled() error {
	d := m.dir
	if err := d.fs.Remove(d.path(unfinishedName)); err != nil {
		return err
	}
	return d.fs.SyncDir(d.dir)
}

// mark writes a file of one line.
func (d *directory) mark(name, text string) error {
	f, err := d.replace(name, func(f file) error { return writeAll(f, []byte(text+"\n"), 0) })
	if err != nil {
		return err
	}
	return f.Close()
}

// marked returns why the directory is not to be opened.
func (d *directory) marked(files []fileInfo) error {
	if d.retake {
		return nil
	}
	for _, f := range files {
		switch f.name {
		case unfinishedName:
			return queue.ErrUnfinished
		case leftName:
			where, err := readFile(d.fs, d.path(leftName))
			if err != nil {
				return err
			}
			return &queue.LeftError{
				Where:  strings.TrimSpace(string(where)),
				Remedy: fmt.Sprintf("To use this directory all the same, remove the file %s", d.path(leftName)),
			}
		}
	}
	return nil
}
