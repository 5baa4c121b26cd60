package jetstream

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pushbridge/pushbridge/queue"
)

// OpenCursor returns what writes a cursor to the stream.
func (s *Store) OpenCursor(id string) (queue.Saver, *queue.Saved, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[id] {
		return nil, nil, fmt.Errorf("cursor %q is open already", id)
	}
	s.open[id] = true
	s.v.mu.RLock()
	defer s.v.mu.RUnlock()
	slot, ok := s.v.cursors[id]
	if !ok {
		return &saver{s, id}, nil, nil
	}
	return &saver{s, id}, &queue.Saved{ID: id, Slot: slot, Exact: true}, nil
}

// Cursors lists the cursors that are not open.
func (s *Store) Cursors() []queue.Saved {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.v.mu.RLock()
	defer s.v.mu.RUnlock()
	var all []queue.Saved
	for id, slot := range s.v.cursors {
		if !s.open[id] {
			all = append(all, queue.Saved{ID: id, Slot: slot, Exact: true})
		}
	}
	slices.SortFunc(all, func(a, b queue.Saved) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// RemoveCursor writes that there is no such cursor any more.
func (s *Store) RemoveCursor(id string) error {
	return s.chain.write(func(w *writing) { w.body = appendItem(w.body, itemNoCursor, appendString(nil, id)) })
}

// Note returns what is noted beside a cursor.
func (s *Store) Note(id string) string {
	s.v.mu.RLock()
	defer s.v.mu.RUnlock()
	return s.v.notes[id]
}

// SetNote writes a note to the stream.
func (s *Store) SetNote(id, text string) error {
	return s.chain.write(func(w *writing) { w.body = appendItem(w.body, itemNote, appendNote(nil, id, text)) })
}

// AskedToForget returns false: there is no directory that somebody could leave a word in.
func (s *Store) AskedToForget(string) bool { return false }

// saver writes one cursor.
type saver struct {
	s  *Store
	id string
}

// Save writes the slot to the stream.
func (c *saver) Save(slot queue.Slot) error {
	return c.s.chain.write(func(w *writing) { w.body = appendItem(w.body, itemCursor, appendCursor(nil, c.id, &slot)) })
}

// Sync returns nil: what was saved is durable.
func (c *saver) Sync() error { return nil }

// Close ends the use.
func (c *saver) Close() error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	delete(c.s.open, c.id)
	return nil
}
