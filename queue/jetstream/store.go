package jetstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// readTime is how long one reading may take.
const readTime = 15 * time.Second

// Store is a stream that keeps a log: a queue.Store. What the methods promise stands
// there.
type Store struct {
	o    Options
	dial func(context.Context, Options, queue.Host) (stream, error)

	st    stream
	v     *view
	chain *chain
	host  queue.Host
	ctx   context.Context //nolint:containedctx // of what reads; ends with Close
	end   context.CancelFunc

	mu     sync.Mutex
	open   map[string]bool   // cursors
	totals map[uint64]uint64 // looked up
}

var _ queue.Shared = (*Store)(nil)

// New returns a store in o.Stream. It connects to nothing before Recover.
func New(o Options) *Store { return newStore(o, connect) }

func newStore(o Options, dial func(context.Context, Options, queue.Host) (stream, error)) *Store {
	return &Store{o: o.withDefaults(), dial: dial, open: map[string]bool{}, totals: map[uint64]uint64{}}
}

// Recover connects, makes the stream when absent, and reads what the newest part says.
// It writes nothing: to lead is claimed by Ready.
func (s *Store) Recover(h queue.Host) (queue.Recovered, error) {
	s.host = h
	s.ctx, s.end = context.WithCancel(context.Background())
	at, err := s.recover()
	if err != nil {
		s.end()
		return queue.Recovered{}, fmt.Errorf("open log in stream %q: %w", s.o.Stream, err)
	}
	return at, nil
}

func (s *Store) recover() (at queue.Recovered, err error) {
	if s.st, err = s.dial(s.ctx, s.o, s.host); err != nil {
		return at, err
	}
	return s.begin()
}

// begin reads the stream, to which there is a connection.
func (s *Store) begin() (at queue.Recovered, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, recoverTime)
	defer cancel()
	l, err := s.st.about(ctx)
	if err == nil {
		s.v, err = readView(ctx, s.st)
	}
	if err == nil {
		err = s.marked(l)
	}
	if err != nil {
		s.st.close()
		return at, err
	}
	s.chain = newChain(s.ctx, s.st, s.v, s.o, s.host)
	if err := s.st.follow(s.chain.tell); err != nil {
		s.st.close()
		return at, fmt.Errorf("follow the stream: %w", err)
	}
	go s.chain.loop()
	s.observe()
	at = s.recovered()
	at.Identity = l.id
	s.v.mu.Lock()
	s.v.published = queue.Place{Seq: at.Head, Total: at.Total, Exact: true}
	s.v.mu.Unlock()
	return at, nil
}

// observe shows what a directory shows, too.
func (s *Store) observe() {
	v := s.v
	gauge := func(name, help string, f func() float64) {
		s.host.Gauge(name, help, func() float64 {
			v.mu.RLock()
			defer v.mu.RUnlock()
			return f()
		})
	}
	gauge("segments", "Parts of the log that can be removed by themselves.", func() float64 { return float64(len(v.parts)) })
	gauge("segment_bytes", "Bytes of these parts.", func() float64 { return float64(v.logBytesLocked()) })
	gauge("snapshot_bytes", "Bytes of snapshots.", func() float64 { return float64(v.snapshotBytesLocked()) })
	gauge("snapshot_timestamp_seconds", "When the newest snapshot was made, 0 without one.", func() float64 {
		if len(v.snapshots) == 0 {
			return 0
		}
		return float64(v.snapshots[0].created/1e6) / 1000
	})
}

func (v *view) logBytesLocked() (n int64) {
	for _, p := range v.parts {
		n += p.bytes
	}
	return n
}

func (v *view) snapshotBytesLocked() (n int64) {
	for _, k := range v.snapshots {
		n += k.bytes
	}
	return n
}

// Ready claims to lead, if this replica does not.
func (s *Store) Ready(int64) error { return s.chain.run(s.chain.claim) }

// Leads says whether the newest claim is this replica's.
func (s *Store) Leads() bool {
	l := s.v.leading()
	return s.claimed(&l)
}

// claimed says whether this replica is l, and leads.
func (s *Store) claimed(l *leader) bool {
	mine := s.chain.mine.Load()
	return mine != nil && *mine == claimed{l.epoch, l.nonce} && !l.gone
}

// Leader returns who wrote the newest claim.
func (s *Store) Leader() queue.Leader {
	s.v.mu.RLock()
	l, head, heard := s.v.leader, s.v.head.Seq, s.v.heard
	s.v.mu.RUnlock()
	return queue.Leader{
		ID: l.id, Address: l.address, Epoch: l.epoch, Since: l.since, Gone: l.gone, Head: head, Silent: time.Since(heard),
		Here: s.claimed(&l),
	}
}

// Held returns nil while the lease lasts, counted from when the newest message that was
// stored was sent: the others count from when they heard of it, which is later. Both clocks
// must say so, since one stands still while a machine sleeps, and the other can be set.
func (s *Store) Held() error {
	sent := *s.chain.written.Load()
	switch {
	case !s.Leads():
		return errFenced
	case max(time.Since(sent), time.Now().Round(0).Sub(sent.Round(0))) >= s.o.Lease:
		return errLeaseOver
	}
	return nil
}

// Moved receives when the store may have become ready, or others have written.
func (s *Store) Moved() <-chan struct{} { return s.chain.moved }

// Commit writes the batch to the stream.
func (s *Store) Commit(b *queue.Batch) error {
	return s.chain.commit(len(b.Records), func(w *writing) {
		began := len(w.body)
		for i := range b.Records {
			e := &b.Records[i]
			w.total += e.Samples
			e.Seq, e.Total = w.next, w.total
			w.next++
			w.body, w.scratch = appendRecord(w.body, e, func(dst []byte) []byte { return b.Encode(dst, i) }, w.scratch)
		}
		b.Bytes = len(w.body) - began
		b.Rolled = w.rolled
	})
}

// Publish lets tails see what was committed.
func (s *Store) Publish() {
	s.v.mu.Lock()
	defer s.v.mu.Unlock()
	if s.v.head.Seq > s.v.published.Seq {
		s.v.published = s.v.head
	}
}

// SyncInterval returns 0: Commit leaves nothing to later.
func (s *Store) SyncInterval() time.Duration { return 0 }

// Sync returns nil.
func (s *Store) Sync() error { return nil }

// Check returns an error when this replica leads no longer.
func (s *Store) Check() error {
	return s.chain.run(func() error { return s.chain.lost })
}

// Seal returns nil: nothing is left to later.
func (s *Store) Seal() error { return nil }

// Close resigns and ends the connection.
func (s *Store) Close() error {
	if s.st == nil {
		return nil
	}
	if err := s.chain.run(s.chain.resign); err != nil && !errors.Is(err, errEnded) {
		s.host.Logger.Warn("the others do not know that this replica has ended: they wait for its lease", "err", err)
	}
	s.end()
	<-s.chain.ended
	s.st.close()
	s.st = nil
	return nil
}

// Tail returns a reader of the records behind at.
func (s *Store) Tail(at queue.Place) queue.Tail {
	return &tail{st: s.st, v: s.v, at: at, end: func() context.Context { return s.ctx }}
}

// maxLookups bounds what is remembered: the position of each shard of a destination
// that lags is asked for again and again.
const maxLookups = 1024

// TotalAt looks seq up in its part.
func (s *Store) TotalAt(seq uint64) (uint64, bool) {
	p, total, exact, found := s.v.partOf(seq)
	if found {
		return total, exact
	}
	s.mu.Lock()
	total, found = s.totals[seq]
	s.mu.Unlock()
	if found {
		return total, true
	}
	total, err := s.scanTotal(p, seq)
	if err != nil {
		return total, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.totals) >= maxLookups {
		clear(s.totals)
	}
	s.totals[seq] = total
	return total, true
}

// partOf returns the part that has the record seq, or what the bounds of parts say.
func (v *view) partOf(seq uint64) (p part, total uint64, exact, found bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if seq >= v.head.Seq {
		return p, v.head.Total, true, true
	}
	if len(v.parts) == 0 || seq < v.parts[0].first {
		if len(v.parts) == 0 {
			return p, v.head.Total, false, true
		}
		return p, v.parts[0].before, seq+1 == v.parts[0].first, true
	}
	for _, p = range v.parts {
		switch {
		case seq < p.first:
			return p, p.before, true, true
		case seq == p.last:
			return p, p.total, true, true
		case seq < p.last:
			return p, 0, false, false
		}
	}
	return p, v.head.Total, true, true
}

// scanTotal reads a part up to the record seq.
func (s *Store) scanTotal(p part, seq uint64) (uint64, error) {
	t := &tail{st: s.st, v: s.v, at: queue.Place{Seq: p.first - 1, Total: p.before, Exact: true}, end: func() context.Context { return s.ctx }}
	total := p.before
	for {
		err := t.Next(func(e queue.Entry, _ []byte) error {
			if e.Seq <= seq {
				total = e.Total
			}
			return nil
		})
		switch {
		case errors.As(err, new(*queue.GapError)):
		case errors.Is(err, io.EOF):
			return total, nil
		case err != nil:
			return total, err
		}
		if t.at.Seq >= seq {
			return total, nil
		}
	}
}

// Oldest returns the oldest part, unless it is being written.
func (s *Store) Oldest() (queue.Part, bool) {
	s.v.mu.RLock()
	defer s.v.mu.RUnlock()
	if len(s.v.parts) < 2 {
		return queue.Part{}, false
	}
	p := s.v.parts[0]
	return queue.Part{
		Name: fmt.Sprintf("message %d", p.start), First: p.first, Last: p.last, Before: p.before, Total: p.total, Bytes: p.bytes,
	}, true
}

// Trim purges the stream. That, and not what a checkpoint says, tells what is there.
func (s *Store) Trim(seq uint64) error {
	s.v.mu.RLock()
	n, start := 0, uint64(0)
	for n+1 < len(s.v.parts) && s.v.parts[n].last <= seq {
		n++
		start = s.v.parts[n].start
	}
	s.v.mu.RUnlock()
	if n == 0 {
		return nil
	}
	return s.chain.run(func() error {
		if !s.chain.leads {
			return s.chain.lost
		}
		ctx, cancel := context.WithTimeout(s.ctx, readTime)
		defer cancel()
		if err := s.st.purge(ctx, start); err != nil {
			return fmt.Errorf("purge the stream in front of message %d: %w", start, err)
		}
		s.v.mu.Lock()
		defer s.v.mu.Unlock()
		s.v.parts = slices.DeleteFunc(s.v.parts, func(p part) bool { return p.start < start })
		return nil
	})
}

// Excess returns how many bytes of parts and snapshots have to go.
func (s *Store) Excess() (int64, error) {
	if s.o.MaxBytes <= 0 {
		return 0, nil
	}
	s.v.mu.RLock()
	defer s.v.mu.RUnlock()
	return s.v.logBytesLocked() + s.v.snapshotBytesLocked() - s.o.MaxBytes, nil
}

// Damage lists messages that could not be read.
func (s *Store) Damage() []error {
	s.v.mu.RLock()
	defer s.v.mu.RUnlock()
	return slices.Clone(s.v.damage)
}

// ResetClock writes that timestamps before count no more.
func (s *Store) ResetClock() error {
	if err := s.Ready(0); err != nil {
		return err
	}
	return s.chain.write(func(w *writing) { w.body = appendItem(w.body, itemResetClock, nil) })
}
