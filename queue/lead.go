package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// role is whether this process writes the log, and what waits for that to change.
type role struct {
	mu      sync.Mutex
	leads   bool
	changed chan struct{} // closed, and exchanged, when leads is another
}

func (r *role) get() (leads bool, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leads, r.changed
}

func (r *role) set(leads bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leads != leads {
		r.leads = leads
		close(r.changed)
		r.changed = make(chan struct{})
	}
}

// Shared says that others may write the log too, one at a time.
func (l *Log[R]) Shared() bool {
	_, shared := l.store.(Shared)
	return shared
}

// Leads says whether this process is the one that writes the log. Without a shared store
// it always is.
func (l *Log[R]) Leads() bool {
	leads, _ := l.role.get()
	return leads
}

// Leader is who writes a log that several processes share.
type Leader struct {
	ID      string // empty: nobody ever did
	Address string // where the others reach it, empty for nowhere
	Epoch   uint64 // larger than that of everybody before
	Since   time.Time
	Here    bool          // it is this process
	Gone    bool          // it has said that it leads no longer
	Head    uint64        // the last record that is known of at present: of it, or of those before
	Silent  time.Duration // nothing was heard for so long
}

// Over says that nothing comes any more of who led by this epoch: what is not in front of
// l.Head never will be.
func (l *Leader) Over(epoch uint64) bool { return l.Epoch > epoch || l.Epoch == epoch && l.Gone }

// Lease is a log as one of several that may write it: who does, and what another one has
// written.
type Lease[R any] struct{ l *Log[R] }

// Lease returns that of the log. Without a shared store it never ends.
func (l *Log[R]) Lease() Lease[R] { return Lease[R]{l} }

// Leader returns who writes the log. Without a shared store it is this process.
func (e Lease[R]) Leader() Leader {
	if s, shared := e.l.store.(Shared); shared {
		return s.Leader()
	}
	return Leader{Here: true, Head: e.l.Head()}
}

// WaitFor waits until the record seq, whoever commits it, can be read here, or ctx ends.
func (e Lease[R]) WaitFor(ctx context.Context, seq uint64) error {
	for {
		more := e.l.ring.more()
		if e.l.Head() >= seq {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Held returns nil while nobody else can lead, and otherwise why that may be. A process that
// was stopped for a while, and has not noticed yet that others went on without it, hears of it
// here.
func (e Lease[R]) Held() error {
	if s, shared := e.l.store.(Shared); shared {
		return s.Held()
	}
	return nil
}

// Note returns what is noted beside the cursor id for every process that may write the log.
func (e Lease[R]) Note(id string) string {
	if s, shared := e.l.store.(Shared); shared {
		return s.Note(id)
	}
	return ""
}

// SetNote notes it, when this process leads.
func (e Lease[R]) SetNote(id, text string) error {
	s, shared := e.l.store.(Shared)
	if !shared {
		return errNotShared
	}
	if err := s.SetNote(id, text); err != nil {
		return fmt.Errorf("note beside cursor %q: %w", id, err)
	}
	return nil
}

var errNotShared = errors.New("the log is not shared")

// Lead waits until this process leads, or ctx ends. What it returns ends when the
// process leads no longer, or ctx does: whatever sends for a cursor lives in it. Cursors
// are opened in it, KeepOrphans follows them, and Lease.Forfeit ends them.
func (l *Log[R]) Lead(ctx context.Context) (context.Context, error) {
	for {
		leads, changed := l.role.get()
		if leads {
			held, end := context.WithCancelCause(ctx)
			go func() {
				select {
				case <-changed:
				case <-held.Done():
				}
				end(ErrElsewhere)
			}()
			return held, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Forfeit lets go of all cursors, as they were saved: whoever leads next goes on from
// there.
func (e Lease[R]) Forfeit() error { return e.l.cursors.forfeit() }

func (cs *cursors) forfeit() error {
	cs.mu.Lock()
	open := cs.open
	cs.open, cs.complete = map[string]*Cursor{}, false
	cs.mu.Unlock()
	var errs []error
	for _, c := range open {
		c.io.Lock()
		if c.saver != nil {
			errs = append(errs, c.saver.Close())
			c.saver = nil
		}
		c.io.Unlock()
	}
	return errors.Join(errs...)
}

// idle says that the log is somebody else's to keep in order: it is written by another,
// or the cursors that it is kept for are not open yet.
func (cs *cursors) idle(r *role, late bool) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	leads, _ := r.get()
	return !leads || late && !cs.complete
}
