package queue

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// OnFull says what happens at a bound of the store when a lagging destination still
// needs what would have to go.
type OnFull uint8

// The policies. DropOldest: the oldest records go, and lagging readers get a
// GapError. Reject: nothing goes, and Err returns ErrFull.
const (
	DropOldest OnFull = iota
	Reject
)

// String returns the policy as the flag spells it.
func (f OnFull) String() string {
	switch f {
	case DropOldest:
		return "drop-oldest"
	case Reject:
		return "reject"
	}
	return fmt.Sprintf("OnFull(%d)", uint8(f))
}

// ParseOnFull reads drop-oldest or reject.
func ParseOnFull(s string) (OnFull, error) {
	for _, f := range []OnFull{DropOldest, Reject} {
		if s == f.String() {
			return f, nil
		}
	}
	return 0, fmt.Errorf("%q is not one of drop-oldest, reject", s)
}

// Codec tells the log about its record type. All functions must be safe for
// concurrent use.
type Codec[R any] struct {
	Encode  func(dst []byte, r R) []byte // appends r's bytes to dst
	Decode  func(b []byte) (R, error)    // must not keep b
	Samples func(R) int                  // for the books: what a GapError counts
	Time    func(R) int64                // timestamp in ms: what Floor is about
	Size    func(R) int                  // rough bytes on the heap: what the ring counts

	// Alike, Diff and Patch are for a store that writes records as their difference to
	// another one. Alike returns what r has in common with others, as a value that can be
	// compared, or nil; two with the same can be base and r. Patch makes of what Diff has
	// appended, and the same base, a record that says what r did. Nil: there are none.
	Alike func(r R) any
	Diff  func(dst []byte, base, r R) []byte
	Patch func(b []byte, base R) (R, error)

	// Pack is Encode for a store that compresses. It may leave a rest out of dst that was
	// compressed before: a large record would otherwise keep all those behind it waiting.
	// Nil: no record has one.
	Pack func(dst []byte, r R) (begin []byte, rest Packed)
}

// Packed is the end of the bytes of a record, as elements of a snappy block.
type Packed struct {
	Elements []byte // without the length that a block begins with
	Len      int    // of what they decompress to, 0 for no rest
}

// spareRingBytes is what the ring keeps of records that every reader has read: one that
// comes a moment later need not begin in the store.
const spareRingBytes = mib

// Options configure a Log. Zero values mean the default that each field names.
type Options struct {
	RingBytes      int64 // 64 MiB of decoded records for readers that keep up
	MaxQueuedBytes int64 // 64 MiB waiting for the store, then Err returns ErrBusy

	OnFull OnFull // DropOldest

	OrphanRetention time.Duration // 7 days that a destination is waited for; negative: none

	// LateCursors says that cursors are opened when Lead has returned, rather than before Run:
	// nothing goes before KeepOrphans was called.
	LateCursors bool

	SnapshotBytes    int64         // 64 MiB of log after which a snapshot is due
	SnapshotInterval time.Duration // 10 min after which a snapshot is due, if anything was appended

	Logger     *slog.Logger          // discards
	Registerer prometheus.Registerer // none
	Now        func() time.Time      // time.Now
}

const mib = 1 << 20

// withDefaults fills in what was left out.
func (o Options) withDefaults() Options {
	o.RingBytes = cmp.Or(o.RingBytes, 64*mib)
	o.MaxQueuedBytes = cmp.Or(o.MaxQueuedBytes, 64*mib)
	o.OrphanRetention = cmp.Or(o.OrphanRetention, 7*24*time.Hour)
	o.SnapshotBytes = cmp.Or(o.SnapshotBytes, 64*mib)
	o.SnapshotInterval = cmp.Or(o.SnapshotInterval, 10*time.Minute)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
