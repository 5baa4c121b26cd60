package disk

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// simDisk is a disk that forgets what was not synced: a write reaches the page
// cache, a fsync the disk, and a directory entry is durable after SyncDir only. It
// can fail or crash at any operation, and fill up.
type simDisk struct {
	mu      sync.Mutex
	now     map[string]*inode // what the process sees
	disk    map[string]*inode // durable directory entries
	pending []dirOp           // entry changes since the last SyncDir
	boot    int
	locked  map[string]bool
	away    bool // the directory's name leads elsewhere

	ops      int
	crashAt  int                         // the operation that the machine does not survive; 0: none
	crashed  bool                        // nothing works any more
	fault    func(op, name string) error // asked before every operation
	capacity int64                       // bytes of all files; 0: no limit
	syncs    int                         // of files
	badPage  map[string]int64            // by file: offset of a page that cannot be read
	onSync   func()                      // called, without the lock, before a file is synced

	trace      func(op, name string, err error) // to look at a history
	violations []string                         // what no program may do
}

// dirOp is one change of the directory; a rename is one, so it is atomic.
type dirOp struct {
	remove, add string
	node        *inode
}

type inode struct {
	data  []byte       // page cache
	disk  []byte       // on disk
	dirty map[int]bool // pages that differ
	lost  map[int]bool // pages that a failed fsync gave up: clean, and not on disk
}

var (
	errCrashed = errors.New("the machine has crashed")
	errShortOp = errors.New("short write") // fault: half is written
)

func newSim() *simDisk {
	return &simDisk{now: map[string]*inode{}, disk: map[string]*inode{}, locked: map[string]bool{}}
}

// op counts an operation that changes something, and fails when told to.
func (d *simDisk) op(op, name string) error {
	if d.crashed {
		return errCrashed
	}
	if op != "read" && op != "open" && op != "list" {
		d.ops++
		if d.ops == d.crashAt {
			d.crashed = true
		}
	}
	var err error
	if d.fault != nil {
		err = d.fault(op, filepath.Base(name))
	}
	if d.trace != nil {
		d.trace(op, filepath.Base(name), err)
	}
	return err
}

func (d *simDisk) MkdirAll(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.op("mkdir", dir)
}

func (d *simDisk) List(string) ([]fileInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("list", ""); err != nil {
		return nil, err
	}
	var all []fileInfo
	for name, n := range d.now {
		all = append(all, fileInfo{filepath.Base(name), int64(len(n.data))})
	}
	return all, nil
}

func (d *simDisk) Open(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("open", name); err != nil {
		return nil, err
	}
	return d.handleLocked(name)
}

func (d *simDisk) Edit(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("edit", name); err != nil {
		return nil, err
	}
	return d.handleLocked(name)
}

func (d *simDisk) handleLocked(name string) (file, error) {
	n, ok := d.now[name]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", name, os.ErrNotExist)
	}
	return &simFile{d: d, n: n, name: name}, nil
}

func (d *simDisk) Create(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("create", name); err != nil {
		return nil, err
	}
	if d.now[name] != nil {
		return nil, fmt.Errorf("create %s: %w", name, os.ErrExist)
	}
	n := &inode{dirty: map[int]bool{}, lost: map[int]bool{}}
	d.now[name] = n
	d.pending = append(d.pending, dirOp{add: name, node: n})
	return &simFile{d: d, n: n, name: name}, d.after()
}

// after is the end of an operation: one that the machine did not survive has
// happened, and its caller never learns so.
func (d *simDisk) after() error {
	if d.crashed {
		return errCrashed
	}
	return nil
}

func (d *simDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("rename", to); err != nil {
		return err
	}
	n, ok := d.now[from]
	if !ok {
		return fmt.Errorf("rename %s: %w", from, os.ErrNotExist)
	}
	delete(d.now, from)
	d.now[to] = n
	d.pending = append(d.pending, dirOp{remove: from, add: to, node: n})
	return d.after()
}

func (d *simDisk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("remove", name); err != nil {
		return err
	}
	if d.now[name] == nil {
		return fmt.Errorf("remove %s: %w", name, os.ErrNotExist)
	}
	delete(d.now, name)
	d.pending = append(d.pending, dirOp{remove: name})
	return d.after()
}

func (d *simDisk) SyncDir(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("syncdir", ""); err != nil {
		return err
	}
	d.disk = maps.Clone(d.now)
	d.pending = nil
	return d.after()
}

func (d *simDisk) Space(string) (free, size int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.capacity == 0 {
		return 1 << 50, 1 << 50, nil
	}
	return d.capacity - d.usedLocked(), d.capacity, nil
}

func (d *simDisk) usedLocked() int64 {
	n := int64(0)
	for _, f := range d.now {
		n += int64(len(f.data))
	}
	return n
}

type simLock struct {
	d    *simDisk
	name string
}

func (l simLock) Close() error {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	delete(l.d.locked, l.name)
	return nil
}

func (l simLock) At(string) (bool, error) {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	return !l.d.away, nil
}

func (d *simDisk) Lock(dir string) (dirLock, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked[dir] {
		return nil, ErrLocked
	}
	d.locked[dir] = true
	return simLock{d, dir}, nil
}

func (d *simDisk) BootID() string { return fmt.Sprintf("boot %d", d.boot) }

// crash returns the disk as the next process finds it. kill keeps the page cache.
// Otherwise the machine lost power: what was synced is there, and of the rest a
// random part, in pages and in directory entries, none at all with a nil rng.
func (d *simDisk) crash(kill bool, rng *rand.Rand) *simDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := newSim()
	c.boot, c.capacity = d.boot, d.capacity
	if kill {
		c.now, c.disk, c.pending = d.copyLocked()
		return c
	}
	c.boot++
	for name, n := range d.entriesLocked(rng) {
		content := n.afterPowerLoss(rng)
		c.now[name] = &inode{data: content, disk: slices.Clone(content), dirty: map[int]bool{}, lost: map[int]bool{}}
	}
	c.disk = maps.Clone(c.now)
	return c
}

// copyLocked copies page cache and disk.
func (d *simDisk) copyLocked() (now, disk map[string]*inode, pending []dirOp) {
	made := map[*inode]*inode{nil: nil}
	node := func(n *inode) *inode {
		if _, ok := made[n]; !ok {
			made[n] = &inode{
				data: slices.Clone(n.data), disk: slices.Clone(n.disk),
				dirty: maps.Clone(n.dirty), lost: maps.Clone(n.lost),
			}
		}
		return made[n]
	}
	now, disk = map[string]*inode{}, map[string]*inode{}
	for name, n := range d.now {
		now[name] = node(n)
	}
	for name, n := range d.disk {
		disk[name] = node(n)
	}
	for _, op := range d.pending {
		op.node = node(op.node)
		pending = append(pending, op)
	}
	return now, disk, pending
}

// entriesLocked applies a random part of the pending changes to the durable
// directory.
func (d *simDisk) entriesLocked(rng *rand.Rand) map[string]*inode {
	entries := maps.Clone(d.disk)
	for _, op := range d.pending {
		if rng == nil || rng.IntN(2) == 0 {
			continue
		}
		delete(entries, op.remove)
		if op.add != "" {
			entries[op.add] = op.node
		}
	}
	return entries
}

// afterPowerLoss returns a file's content: each dirty page old or new, the size
// old or new, or between when the file has grown.
func (n *inode) afterPowerLoss(rng *rand.Rand) []byte {
	if rng == nil {
		return slices.Clone(n.disk)
	}
	size := []int{len(n.disk), len(n.data)}[rng.IntN(2)]
	if grown := len(n.data) - len(n.disk); grown > 0 && rng.IntN(3) == 0 {
		size = len(n.disk) + rng.IntN(grown)
	}
	out := make([]byte, size)
	copy(out, n.disk)
	for page := range n.dirty {
		if rng.IntN(2) == 0 {
			copyPage(out, n.data, page)
		}
	}
	return out
}

func copyPage(dst, src []byte, page int) {
	from := min(page*pageSize, len(src))
	to := min(from+pageSize, len(src))
	if from < len(dst) {
		n := copy(dst[from:min(len(dst), from+pageSize)], src[from:to])
		clear(dst[from+n : min(len(dst), from+pageSize)])
	}
}

// simFile is an open file.
type simFile struct {
	d      *simDisk
	n      *inode
	name   string
	failed bool // an fsync of this descriptor has failed
	closed bool
}

func (f *simFile) ReadAt(b []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.op("read", f.name); err != nil {
		return 0, err
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	if bad := f.d.badPage[f.name]; bad > 0 && off < bad+pageSize && off+int64(len(b)) > bad {
		return 0, syscall.EIO
	}
	n := copy(b, f.n.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *simFile) WriteAt(b []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	err := f.d.op("write", f.name)
	switch {
	case errors.Is(err, errShortOp):
		b = b[:len(b)/2]
	case err != nil:
		return 0, err
	}
	if f.closed {
		f.d.violations = append(f.d.violations, "write to closed "+f.name)
	}
	n, full := f.n.write(b, off, f.roomLocked(off, int64(len(b))))
	if aerr := f.d.after(); aerr != nil {
		return n, aerr
	}
	if full != nil {
		err = full
	}
	return n, err
}

// roomLocked returns how many of n bytes at off fit on the disk.
func (f *simFile) roomLocked(off, n int64) int64 {
	grow := off + n - int64(len(f.n.data))
	if f.d.capacity == 0 || grow <= 0 {
		return n
	}
	return max(0, n-max(0, grow-(f.d.capacity-f.d.usedLocked())))
}

func (n *inode) write(b []byte, off, room int64) (int, error) {
	var err error
	if room < int64(len(b)) {
		b, err = b[:room], syscall.ENOSPC
	}
	if len(b) == 0 {
		return 0, err
	}
	if end := off + int64(len(b)); end > int64(len(n.data)) {
		n.data = append(n.data, make([]byte, end-int64(len(n.data)))...)
	}
	copy(n.data[off:], b)
	n.touch(off, off+int64(len(b)))
	return len(b), err
}

func (n *inode) touch(from, to int64) {
	for p := from / pageSize; p <= (to-1)/pageSize; p++ {
		n.dirty[int(p)] = true
		delete(n.lost, int(p))
	}
}

func (f *simFile) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.op("truncate", f.name); err != nil {
		return err
	}
	old := int64(len(f.n.data))
	if size < old {
		f.n.data = slices.Clone(f.n.data[:size])
	} else {
		f.n.data = append(f.n.data, make([]byte, size-old)...)
	}
	if size != old && size%pageSize+old%pageSize != 0 {
		f.n.touch(max(min(size, old)-1, 0), max(min(size, old), 1))
	}
	return f.d.after()
}

func (f *simFile) Sync() error {
	if f.d.onSync != nil {
		f.d.onSync()
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.failed {
		f.d.violations = append(f.d.violations, "second fsync after a failed one on "+f.name)
	}
	err := f.d.op("sync", f.name)
	if err != nil && !errors.Is(err, errCrashed) { // the kernel gives the pages up
		f.failed = true
		maps.Copy(f.n.lost, f.n.dirty)
		f.n.dirty = map[int]bool{}
	}
	if err != nil {
		return err
	}
	f.d.syncs++
	disk := make([]byte, len(f.n.data))
	copy(disk, f.n.data)
	for p := range f.n.lost {
		clear(disk[min(p*pageSize, len(disk)):min((p+1)*pageSize, len(disk))])
		copyPage(disk, f.n.disk, p)
	}
	f.n.disk, f.n.dirty = disk, map[int]bool{}
	return f.d.after()
}

func (f *simFile) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.n.data)), nil
}

func (f *simFile) At(name string) (bool, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return !f.d.away && f.d.now[name] == f.n, nil
}

func (f *simFile) Close() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.closed {
		f.d.violations = append(f.d.violations, "second close of "+f.name)
	}
	f.closed = true
	return nil
}

// synced returns how many files were synced.
func (d *simDisk) synced() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

// list returns the names that end with suffix, sorted.
func (d *simDisk) list(suffix string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for name := range d.now {
		if strings.HasSuffix(name, suffix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// edit changes the content of a file, on disk and in the cache.
func (d *simDisk) edit(name string, f func(b []byte) []byte) {
	n := d.now[name]
	n.data = f(slices.Clone(n.data))
	n.disk = slices.Clone(n.data)
}

// clone copies everything, as cp does.
func (d *simDisk) clone() *simDisk {
	c := d.crash(true, nil) // locks are not copied
	for _, n := range c.now {
		n.disk, n.dirty, n.lost = slices.Clone(n.data), map[int]bool{}, map[int]bool{}
	}
	c.disk, c.pending = maps.Clone(c.now), nil
	return c
}

// add puts a file on the disk.
func (d *simDisk) add(name string, content []byte) {
	d.now[name] = &inode{data: slices.Clone(content), disk: slices.Clone(content), dirty: map[int]bool{}, lost: map[int]bool{}}
}
