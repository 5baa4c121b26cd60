package gateway

import (
	"slices"
	"sync"
	"time"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
)

const (
	maxDoubtful  = 16 << 20        // bytes of refreshes that are kept
	maxMarks     = 64              // and how many
	longDoubtful = 5 * time.Minute // and for how long, behind the newest
)

// doubtful are refreshes that may have been on their way to a destination when the process
// before this one, or the replica that led, ended, as they were then: what came to them since
// is not in them. They are the newest, within a bound.
type doubtful struct {
	cursors []queue.CursorStatus // while the log is read back

	mu    sync.Mutex
	marks []uint64 // oldest first
	bySeq map[uint64][]*group.Record
	bytes int
	since time.Time
}

// readBack keeps what follows from a clock mark that was just folded in, if a destination
// may have been sent it.
func (d *doubtful) readBack(g *Gateway, mark *group.Record, seq uint64) {
	if _, _, ok := mark.Refreshes(); !ok || !slices.ContainsFunc(d.cursors, func(c queue.CursorStatus) bool { return perhapsSent(&c, seq) }) {
		return
	}
	d.keep(seq, g.state.Refreshed(mark, seq), g.now())
}

// keep keeps what follows from the clock mark seq, the newest.
func (d *doubtful) keep(seq uint64, records []*group.Record, now time.Time) {
	if len(records) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bySeq == nil {
		d.bySeq = map[uint64][]*group.Record{}
	}
	d.since = now
	d.bySeq[seq] = records
	d.marks = append(d.marks, seq)
	d.bytes += sizeOf(d.bySeq[seq])
	for (d.bytes > maxDoubtful || len(d.marks) > maxMarks) && len(d.marks) > 1 {
		d.bytes -= sizeOf(d.bySeq[d.marks[0]])
		delete(d.bySeq, d.marks[0])
		d.marks = d.marks[1:]
	}
}

func perhapsSent(c *queue.CursorStatus, seq uint64) bool {
	return slices.ContainsFunc(c.Shards, func(p queue.Position) bool { return p.Acked < seq && seq == p.Sent })
}

func sizeOf(records []*group.Record) (n int) {
	for _, r := range records {
		n += r.Size()
	}
	return n
}

func (d *doubtful) get(seq uint64) ([]*group.Record, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	records, ok := d.bySeq[seq]
	return records, ok
}

// forget lets go of all of it, when destinations have long begun.
func (d *doubtful) forget(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bySeq != nil && now.Sub(d.since) > longDoubtful {
		d.marks, d.bySeq, d.bytes = nil, nil, 0
	}
}

// Refreshed returns what was sent by the refresh that a clock mark defines, as far as it
// is still known: of a mark that was in doubt when the log was read back, all of it, and
// otherwise the groups that are as they were.
func (g *Gateway) Refreshed(mark *group.Record, seq uint64) []*group.Record {
	if records, ok := g.doubtful.get(seq); ok {
		return records
	}
	return g.state.Refreshed(mark, seq)
}
