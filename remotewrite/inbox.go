package remotewrite

import (
	"context"
	"errors"
	"sync"

	"github.com/pushbridge/pushbridge/group"
)

// kind says how a record is sent.
type kind uint8

const (
	stored    kind = iota // from the log
	ephemeral             // never stored: a refresh, or a state that is sent again
	careful               // perhaps sent before a restart: alone, and a refusal proves nothing
	repeated              // both: unstored, and perhaps sent by whoever led before, or in a life before
)

// unstored says that the log has no such records: their samples are in other books.
func (k kind) unstored() bool { return k == ephemeral || k == repeated }

// doubtful says that the receiver may have it already.
func (k kind) doubtful() bool { return k == careful || k == repeated }

// item is a record on its way through a shard.
type item struct {
	record  *group.Record
	seq     uint64
	total   uint64 // samples of all records of the log up to this one
	kind    kind
	samples int  // record.Samples()
	bytes   int  // record.Size()
	owed    bool // belongs to a state that the destination is owed: see debt
	aside   aside
	former  int // of endedAside: under which names of before

	// mark tells the series of this record from those of others that are converted
	// beside it: convert.Series.Record.
	mark uint32

	// set keeps records together that were tried together: they are not mixed
	// with others, 0 mixes with 0.
	set uint32
}

// inbox is what waits for a shard: a queue with a bound on samples, and on the
// memory of what it keeps from being evicted elsewhere. One side puts, one side
// takes.
type inbox struct {
	limit int

	mu      sync.Mutex
	items   []item
	head    int
	samples int
	bytes   int
	closed  bool

	more chan struct{} // something was put, or closed
	room chan struct{} // something was taken
}

// maxInboxBytes is far more than samples of usual labels take.
const maxInboxBytes = 16 << 20

func newInbox(limit int) *inbox {
	return &inbox{limit: limit, more: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// errGone is what put returns when nobody takes any more.
var errGone = errors.New("shard has stopped")

// tryPut puts it unless the inbox is full. One item always fits.
func (b *inbox) tryPut(it item) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.samples > 0 && (b.samples+it.samples > b.limit || b.bytes+it.bytes > maxInboxBytes) {
		return false
	}
	b.items = append(b.items, it)
	b.samples += it.samples
	b.bytes += it.bytes
	signal(b.more)
	return true
}

// put waits until it fits, ctx ends, or gone is closed.
func (b *inbox) put(ctx context.Context, it item, gone <-chan struct{}) error {
	for !b.tryPut(it) {
		select {
		case <-b.room:
		case <-ctx.Done():
			return ctx.Err()
		case <-gone:
			return errGone
		}
	}
	return nil
}

// close says that nothing more will be put.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	signal(b.more)
}

// peek returns the next item and leaves it there.
func (b *inbox) peek() (it item, ok, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.head == len(b.items) {
		return item{}, false, b.closed
	}
	return b.items[b.head], true, false
}

// take removes the item that peek returned.
func (b *inbox) take() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.samples -= b.items[b.head].samples
	b.bytes -= b.items[b.head].bytes
	b.items[b.head] = item{}
	b.head++
	if b.head == len(b.items) {
		b.items, b.head = b.items[:0], 0
	} else if b.head > 1024 && 2*b.head > len(b.items) {
		n := copy(b.items, b.items[b.head:])
		clear(b.items[n:])
		b.items, b.head = b.items[:n], 0
	}
	signal(b.room)
}

// wait waits for an item. It returns false when there will be none.
func (b *inbox) wait(ctx context.Context) (item, bool) {
	for {
		it, ok, closed := b.peek()
		if ok || closed {
			return it, ok
		}
		select {
		case <-b.more:
		case <-ctx.Done():
			return item{}, false
		}
	}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
