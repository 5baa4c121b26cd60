package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// Movable is a stream whose content can be moved. That it is being moved to stands in the
// metadata of the stream, that it was moved elsewhere is an
// item, which whoever follows hears as well.
type Movable struct{ *Store }

var _ queue.Movable = Movable{}

// NewMovable returns a store in o.Stream that can be moved. It connects to nothing before
// Recover or Reserve.
func NewMovable(o Options) Movable { return Movable{New(o)} }

// Retake lets Recover pass over marks.
func (m Movable) Retake() { m.o.retake = true }

// Hold leads, once nobody else does: whoever has ended without a word has its lease first.
// Whoever is heard of has not ended.
func (m Movable) Hold() (head uint64, err error) {
	began := time.Now()
	for end := began.Add(3*m.o.Lease + grace); ; time.Sleep(m.o.Lease / 20) {
		err := m.Ready(0)
		if err == nil {
			m.v.mu.RLock()
			defer m.v.mu.RUnlock()
			return max(m.v.head.Seq, m.v.void), nil
		}
		if !errors.Is(err, queue.ErrElsewhere) || time.Now().After(end) || m.v.silence() < time.Since(began) {
			return 0, fmt.Errorf("stream %q is in use: stop all replicas first: %w", m.o.Stream, err)
		}
	}
}

// Leave writes the item.
func (m Movable) Leave(where string) error {
	return m.chain.write(func(w *writing) { w.body = appendItem(w.body, itemLeft, appendString(nil, where)) })
}

// Reserve connects, and makes the stream when absent.
func (m Movable) Reserve(h queue.Host) (begun bool, err error) {
	m.host = h
	m.ctx, m.end = context.WithCancel(context.Background())
	ctx, cancel := context.WithTimeout(m.ctx, recoverTime)
	defer cancel()
	if m.st, err = m.dial(ctx, m.o, h); err != nil {
		m.end()
		return false, fmt.Errorf("open stream %q: %w", m.o.Stream, err)
	}
	l, err := m.st.about(ctx)
	if err == nil && !l.unfinished {
		var first, last uint64
		if first, last, err = m.st.ends(ctx); err == nil && first <= last {
			err = fmt.Errorf("stream %q: %w", m.o.Stream, queue.ErrNotEmpty)
		}
	}
	if err != nil {
		return false, errors.Join(err, m.Close())
	}
	return l.unfinished, nil
}

// Close ends a connection that was only reserved, too.
func (m Movable) Close() error {
	if m.chain != nil || m.st == nil {
		return m.Store.Close()
	}
	m.st.close()
	m.st = nil
	m.end()
	return nil
}

// Fill labels the stream, removes what is in it, and leads.
func (m Movable) Fill(id [16]byte) error {
	ctx, cancel := context.WithTimeout(m.ctx, recoverTime)
	defer cancel()
	if err := m.st.label(ctx, label{id: id, unfinished: true}); err != nil {
		return fmt.Errorf("label the stream: %w", err)
	}
	_, last, err := m.st.ends(ctx)
	if err == nil {
		err = m.st.purge(ctx, last+1)
	}
	if err != nil {
		return fmt.Errorf("empty the stream: %w", err)
	}
	m.o.retake = true
	if _, err := m.begin(); err != nil {
		return err
	}
	return m.Ready(0)
}

// Skip makes what follows build on what is passed over. In front of the first record a
// part begins, and what is in front of that goes.
func (m Movable) Skip(at queue.Place, next uint64) error {
	empty := false
	err := m.chain.run(func() error {
		if err := m.chain.reclaim(); err != nil {
			return err
		}
		m.v.mu.Lock()
		empty = m.v.head.Seq == 0
		m.v.head, m.v.void = at, next-1
		if empty {
			m.v.parts = nil
		}
		m.v.mu.Unlock()
		return m.chain.append(func(*writing) {})
	})
	if err != nil || !empty {
		return err
	}
	m.v.mu.RLock()
	start := m.v.parts[0].start
	m.v.mu.RUnlock()
	ctx, cancel := context.WithTimeout(m.ctx, readTime)
	defer cancel()
	return m.st.purge(ctx, start)
}

// Filled takes the label off.
func (m Movable) Filled() error {
	ctx, cancel := context.WithTimeout(m.ctx, readTime)
	defer cancel()
	l, err := m.st.about(ctx)
	if err != nil {
		return err
	}
	l.unfinished = false
	return m.st.label(ctx, l)
}

// marked returns why the stream is not to be opened.
func (s *Store) marked(l label) error {
	if l.unfinished && !s.o.retake {
		return queue.ErrUnfinished
	}
	return s.v.elsewhere(&s.o)
}

// elsewhere returns an error when the content of the stream is.
func (v *view) elsewhere(o *Options) error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.leader.left == "" || o.retake {
		return nil
	}
	return &queue.LeftError{Where: v.leader.left, Remedy: fmt.Sprintf("Another stream can be moved to from there, or %q once it was removed", o.Stream)}
}
