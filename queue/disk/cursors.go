package disk

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/pushbridge/pushbridge/queue"
)

// cursors are the cursor files that nobody has open.
type cursors struct {
	d    *directory
	boot [16]byte

	mu    sync.Mutex
	files map[string]cursorFile // by file name
}

// load reads all cursor files. It returns the largest sequence that any of them
// knows.
func (cs *cursors) load(files []fileInfo) (last uint64, err error) {
	for _, info := range files {
		if strings.HasSuffix(info.name, forgetSuffix) {
			_ = cs.d.fs.Remove(cs.d.path(info.name)) // who asked has waited for a process that has ended
		}
		if !strings.HasSuffix(info.name, cursorSuffix) {
			continue
		}
		c, err := cs.read(info.name)
		if err != nil {
			return 0, err
		}
		cs.files[info.name] = c
		switch {
		case c.foreign:
			cs.d.report(&CorruptionError{File: info.name, Length: info.size, Err: errForeign})
		case c.doubtful != nil: // a copy is kept when it is written anew
			cs.d.report(&CorruptionError{File: info.name, Length: info.size, Err: c.doubtful})
		}
		for _, p := range c.slot.Shards {
			last = max(last, p.Acked, p.Sent)
		}
		last = max(last, c.slot.Ledger.MissedTo)
	}
	return last, nil
}

func (cs *cursors) read(name string) (cursorFile, error) {
	b, err := readFile(cs.d.fs, cs.d.path(name))
	if err != nil {
		return cursorFile{}, err
	}
	return parseCursorFile(b, name, cs.d.id)
}

// open takes the file of the cursor id, if there is one.
func (cs *cursors) open(id string) (queue.Saver, *queue.Saved, error) {
	if len(id) > maxCursorID {
		return nil, nil, fmt.Errorf("an id of %d bytes is too long", len(id))
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	name := cursorName(id)
	found, exists := cs.files[name]
	delete(cs.files, name)
	c := &cursor{cs: cs, id: id, name: name, generation: found.slot.generation}
	if !exists {
		return c, nil, nil
	}
	c.found = &found
	if found.foreign {
		return c, nil, nil
	}
	saved := found.saved(cs.boot)
	saved.ID = id
	return c, &saved, nil
}

// saved returns what the file says. Nothing that can be read means that all of the log
// is in doubt: delivering twice is better than not at all.
func (f *cursorFile) saved(boot [16]byte) queue.Saved {
	s := queue.Saved{ID: f.id, Slot: f.slot.Slot}
	if !f.found {
		s.Slot.Ledger.Begun = queue.UnknownTotal
		s.Slot.Shards = []queue.ShardSlot{{Base: queue.UnknownTotal, Started: true}}
		return s
	}
	s.Exact = f.doubtful == nil && (f.slot.Clean || f.slot.boot == boot && boot != [16]byte{})
	return s
}

// list returns what is in the files.
func (cs *cursors) list() []queue.Saved {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	var all []queue.Saved
	for name, f := range cs.files {
		if f.id != "" && !f.foreign && name == cursorName(f.id) {
			all = append(all, f.saved(cs.boot))
		}
	}
	slices.SortFunc(all, func(a, b queue.Saved) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// put remembers the file of a cursor that is not open any more.
func (cs *cursors) put(f cursorFile) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.files[f.name] = f
}

// remove removes a cursor's file, and then the one that asks for it.
func (cs *cursors) remove(id string) error {
	name := cursorName(id)
	for _, name := range []string{name, name + forgetSuffix} {
		if err := cs.d.fs.Remove(cs.d.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	cs.mu.Lock()
	delete(cs.files, name)
	cs.mu.Unlock()
	return cs.d.fs.SyncDir(cs.d.dir)
}

// askedToForget reports whether there is the file that asks for it.
func (cs *cursors) askedToForget(id string) bool {
	f, err := cs.d.fs.Open(cs.d.path(cursorName(id) + forgetSuffix))
	if err == nil {
		_ = f.Close() // is empty
	}
	return err == nil || errors.Is(err, os.ErrPermission) // somebody else's is a request, too
}

// cursor writes the file of one cursor.
type cursor struct {
	cs    *cursors
	id    string
	name  string
	found *cursorFile // what was there at first; nil once it is in use, or none was

	file       file
	last       slot // what was saved last, or tried
	slotAt     int  // the slot that is being overwritten
	generation uint64
	broken     bool // the file must be written anew
	dirty      bool // written since the last fsync
	buf        []byte
}

// Save writes s to the current slot. The page cache has it then, which is what kill -9
// leaves.
func (c *cursor) Save(s queue.Slot) error {
	shards := len(c.last.Shards)
	c.next(s)
	switch {
	case c.found != nil:
		return c.resume()
	case c.file == nil || c.broken || shards != len(s.Shards):
		return c.rebuild()
	}
	return c.write()
}

// next makes s the version that is to be written.
func (c *cursor) next(s queue.Slot) {
	c.generation++
	c.last = slot{Slot: s, generation: c.generation, boot: c.cs.boot, era: c.cs.d.era.Load()}
}

func (c *cursor) write() error {
	at := slotsAt + int64(c.slotAt)*slotSize(len(c.last.Shards))
	c.buf = appendSlot(c.buf[:0], c.cs.d.id, c.last)
	if err := writeAll(c.file, c.buf, at); err != nil {
		c.broken = true
		return err
	}
	c.dirty = true
	return nil
}

// resume goes on with the file that was found. The slot that was found in it may be in
// the page cache only: it must be on disk before the other one is touched.
func (c *cursor) resume() error {
	found := c.found
	usable := found.found && found.doubtful == nil && found.version == cursorVersion &&
		len(found.slot.Shards) == len(c.last.Shards)
	if !usable {
		if found.doubtful != nil || found.foreign {
			c.cs.d.copyAside(c.name)
		}
		err := c.rebuild()
		if err == nil {
			c.found = nil
		}
		return err
	}
	f, err := c.cs.d.fs.Edit(c.cs.d.path(c.name))
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	c.file, c.slotAt, c.found = f, 1-found.which, nil
	return c.write()
}

// rebuild replaces the file by a new one.
func (c *cursor) rebuild() error {
	f, err := c.cs.d.replace(c.name, func(f file) error {
		return writeAll(f, buildCursorFile(c.cs.d.id, c.id, c.last), 0)
	})
	if err != nil {
		c.broken = true
		return err
	}
	old := c.file
	c.file, c.slotAt, c.broken, c.dirty = f, 1, false, false
	if old != nil {
		_ = old.Close() // nothing in it is of use any more
	}
	return nil
}

// Sync makes what was saved durable and turns to the other slot. After a failure the
// file is not synced again but written anew: the kernel may have thrown away what it
// could not write.
func (c *cursor) Sync() error {
	c.keepInPlace()
	switch {
	case c.broken:
		c.next(c.last.Slot)
		return c.rebuild()
	case !c.dirty:
		return nil
	}
	if err := c.file.Sync(); err != nil {
		c.broken = true
		return err
	}
	c.dirty = false
	c.slotAt = 1 - c.slotAt
	return nil
}

// keepInPlace makes the file be written anew when its name leads elsewhere.
func (c *cursor) keepInPlace() {
	if c.file == nil || c.broken || c.cs.d.inPlace() != nil {
		return // the commit loop notices a directory that is away
	}
	if same, err := c.file.At(c.cs.d.path(c.name)); err == nil && !same {
		c.broken = true
	}
}

// Close closes the file.
func (c *cursor) Close() error {
	if c.found != nil { // it is as it was
		c.cs.put(*c.found)
	}
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	found, rerr := c.cs.read(c.name)
	switch {
	case rerr == nil:
		c.cs.put(found)
	case errors.Is(rerr, os.ErrNotExist): // removed
		rerr = nil
	}
	return errors.Join(err, rerr)
}
