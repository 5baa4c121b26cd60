package jetstream

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// recoverTime is how long it may take to read the newest part.
const recoverTime = time.Minute

// readView reads the stream from the newest checkpoint on. Without one that can be
// read, everything is.
func readView(ctx context.Context, st stream) (*view, error) {
	first, last, err := st.ends(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the end of the stream: %w", err)
	}
	for _, from := range []uint64{checkpointOf(ctx, st, first, last), first} {
		v := newView()
		v.at = from - min(from, 1)
		if err := readTo(ctx, st, from, last, v.fold); err != nil {
			return nil, err
		}
		v.at = last
		if from == first || len(v.parts) > 0 && v.parts[len(v.parts)-1].start >= from {
			v.settle(first)
			return v, nil
		}
	}
	return nil, errNotOurs
}

// checkpointOf returns where the newest checkpoint is, by the newest message that says
// so, or first.
func checkpointOf(ctx context.Context, st stream, first, last uint64) uint64 {
	for seq := last; seq >= first && seq > 0 && seq+maxPartMessages > last; seq-- {
		b, err := st.get(ctx, seq)
		if err != nil {
			return first
		}
		h, _, err := parseMessage(b)
		if err != nil {
			continue
		}
		if h.checkpoint == 0 {
			return max(seq-min(seq, uint64(h.piece)), first)
		}
		return max(h.checkpoint, first)
	}
	return first
}

// settle ends the reading of a stream that begins at the message first.
func (v *view) settle(first uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.parts = slices.DeleteFunc(v.parts, func(p part) bool { return p.start < first })
	for i := range v.snapshots {
		s := &v.snapshots[i]
		v.void = max(v.void, s.seq)
	}
	for _, c := range v.cursors {
		v.void = max(v.void, c.Ledger.MissedTo)
		for _, p := range c.Shards {
			v.void = max(v.void, p.Acked, p.Sent)
		}
	}
	v.heard = time.Now()
}

// recovered is what a log is told at first.
func (s *Store) recovered() queue.Recovered {
	v := s.v
	v.mu.RLock()
	defer v.mu.RUnlock()
	at := queue.Recovered{Head: max(v.head.Seq, v.void), Total: v.head.Total, Floor: v.floor}
	behind := uint64(0)
	if len(v.snapshots) > 0 {
		behind = v.snapshots[0].seq
	}
	for _, p := range v.parts {
		if p.last > behind && p.last >= p.first {
			at.Behind += p.bytes
		}
	}
	return at
}
