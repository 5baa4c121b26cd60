package queue

import (
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is a store that keeps no records: they are in the log's ring and nowhere
// else, and end with the process. Cursors live as long.
type Memory struct {
	id [16]byte

	mu      sync.Mutex
	head    uint64
	total   uint64
	cursors map[string]*memoryCursor
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	m := &Memory{cursors: map[string]*memoryCursor{}}
	_, _ = rand.Read(m.id[:]) // never fails
	return m
}

// Recover has nothing to do.
func (m *Memory) Recover(Host) (Recovered, error) {
	return Recovered{Volatile: true, Identity: m.id}, nil
}

// Ready returns nil.
func (m *Memory) Ready(int64) error { return nil }

// Commit numbers the records.
func (m *Memory) Commit(b *Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range b.Records {
		e := &b.Records[i]
		m.head, m.total = m.head+1, m.total+e.Samples
		e.Seq, e.Total = m.head, m.total
	}
	return nil
}

// Close has nothing to give up.
func (m *Memory) Close() error { return nil }

// Publish does nothing: tails have nothing to see.
func (m *Memory) Publish() {}

// SyncInterval returns 0.
func (m *Memory) SyncInterval() time.Duration { return 0 }

// Sync returns nil.
func (m *Memory) Sync() error { return nil }

// Check returns nil.
func (m *Memory) Check() error { return nil }

// Seal returns nil.
func (m *Memory) Seal() error { return nil }

// Tail returns a tail that stays where it is.
func (m *Memory) Tail(at Place) Tail { return memoryTail{at} }

type memoryTail struct{ at Place }

func (t memoryTail) Next(func(Entry, []byte) error) error { return io.EOF }

func (t memoryTail) At() Place { return t.at }

func (t memoryTail) Close() error { return nil }

// TotalAt knows only the end of the log.
func (m *Memory) TotalAt(seq uint64) (total uint64, exact bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total, seq >= m.head
}

// Oldest returns nothing.
func (m *Memory) Oldest() (Part, bool) { return Part{}, false }

// Trim returns nil.
func (m *Memory) Trim(uint64) error { return nil }

// Excess returns 0: the ring has a bound of its own.
func (m *Memory) Excess() (int64, error) { return 0, nil }

// Damage returns nothing.
func (m *Memory) Damage() []error { return nil }

// memoryCursor is a cursor, open or not.
type memoryCursor struct {
	m     *Memory
	saved Saved // under m.mu
	open  bool  // under m.mu
}

// OpenCursor returns the cursor that was closed, or a new one.
func (m *Memory) OpenCursor(id string) (Saver, *Saved, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.cursors[id]
	switch {
	case c == nil:
		m.cursors[id] = &memoryCursor{m: m, saved: Saved{ID: id, Exact: true}, open: true}
		return m.cursors[id], nil, nil
	case c.open:
		return nil, nil, fmt.Errorf("cursor %q is open already", id)
	}
	c.open = true
	saved := c.saved
	return c, &saved, nil
}

// Cursors lists the cursors that were closed.
func (m *Memory) Cursors() []Saved {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Saved
	for _, c := range m.cursors {
		if !c.open {
			all = append(all, c.saved)
		}
	}
	slices.SortFunc(all, func(a, b Saved) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// RemoveCursor forgets a cursor.
func (m *Memory) RemoveCursor(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.cursors, id)
	return nil
}

// AskedToForget returns false.
func (m *Memory) AskedToForget(string) bool { return false }

func (c *memoryCursor) Save(s Slot) error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.saved.Slot = s
	return nil
}

func (c *memoryCursor) Sync() error { return nil }

func (c *memoryCursor) Close() error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.open = false
	if c.saved.Slot.Shards == nil {
		delete(c.m.cursors, c.saved.ID) // was never saved
	}
	return nil
}

// Snapshots says that everything is in a snapshot: what would not come back anyway
// needs none.
func (m *Memory) Snapshots() []Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return []Snapshot{{Seq: m.head, Total: m.total}}
}

// WriteSnapshot writes nothing.
func (m *Memory) WriteSnapshot(Snapshot, func(io.Writer) error) error { return nil }

// ReadSnapshot finds nothing.
func (m *Memory) ReadSnapshot(func(io.Reader) error) (Snapshot, error) { return Snapshot{}, nil }

// ResetClock has nothing to forget.
func (m *Memory) ResetClock() error { return nil }
