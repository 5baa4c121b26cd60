package queue

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// FsyncMode says when records count as durable.
type FsyncMode uint8

// The modes. Always: after an fsync, shared by all records that wait; a power
// loss loses nothing. Interval: after the write, with an fsync every
// FsyncInterval; a power loss loses up to that much. Off: after the write; a
// power loss loses what the kernel had not written by itself, typically the last
// 30 seconds. The end of the process, kill -9 included, loses nothing in any mode.
const (
	Always FsyncMode = iota
	Interval
	Off
)

// String returns the mode as the flag spells it.
func (m FsyncMode) String() string {
	switch m {
	case Always:
		return "always"
	case Interval:
		return "interval"
	case Off:
		return "off"
	}
	return fmt.Sprintf("FsyncMode(%d)", uint8(m))
}

// ParseFsyncMode reads always, interval or off.
func ParseFsyncMode(s string) (FsyncMode, error) {
	for _, m := range []FsyncMode{Always, Interval, Off} {
		if s == m.String() {
			return m, nil
		}
	}
	return 0, fmt.Errorf("%q is not one of always, interval, off", s)
}

// OnFull says what happens at MaxBytes or MinFreeBytes when a lagging
// destination still needs what would have to go.
type OnFull uint8

// The policies. DropOldest: the oldest segments go, and lagging readers get a
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
}

// Options configure a Log. Zero values mean the default that each field names.
type Options struct {
	Dir           string        // the directory, made when absent; empty keeps everything in memory
	Fsync         FsyncMode     // Always
	FsyncInterval time.Duration // 1 s; with Interval
	SegmentBytes  int64         // 32 MiB; a segment ends with the batch that reaches it

	RingBytes      int64 // 64 MiB of decoded records for readers that keep up
	MaxQueuedBytes int64 // 64 MiB waiting for the disk, then Err returns ErrBusy

	MaxBytes     int64  // 10 GiB of segments and snapshots; negative: no bound
	MinFreeBytes int64  // 1 GiB, or a tenth of a small file system, that must stay free; negative: no bound
	OnFull       OnFull // DropOldest

	OrphanRetention time.Duration // 7 days that a destination is waited for; negative: none

	SnapshotBytes    int64         // 64 MiB of log after which a snapshot is due
	SnapshotInterval time.Duration // 10 min after which a snapshot is due, if anything was appended

	Logger     *slog.Logger          // discards
	Registerer prometheus.Registerer // none
	Now        func() time.Time      // time.Now
}

const (
	mib = 1 << 20
	gib = 1 << 30
)

// withDefaults fills in what was left out.
func (o Options) withDefaults() Options {
	o.FsyncInterval = orDefault(o.FsyncInterval, time.Second)
	o.SegmentBytes = orDefault(o.SegmentBytes, 32*mib)
	o.RingBytes = orDefault(o.RingBytes, 64*mib)
	o.MaxQueuedBytes = orDefault(o.MaxQueuedBytes, 64*mib)
	o.MaxBytes = orDefault(o.MaxBytes, 10*gib)
	o.OrphanRetention = orDefault(o.OrphanRetention, 7*24*time.Hour)
	o.SnapshotBytes = orDefault(o.SnapshotBytes, 64*mib)
	o.SnapshotInterval = orDefault(o.SnapshotInterval, 10*time.Minute)
	if o.MaxBytes > 0 {
		// Segments are dropped whole: a few must fit below the bound.
		o.SegmentBytes = min(o.SegmentBytes, max(o.MaxBytes/8, 4096))
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// withMinFree sets the default of MinFreeBytes, which a small volume could never
// satisfy: then destinations could not lag at all.
func (o Options) withMinFree(fs fsys) Options {
	if o.MinFreeBytes != 0 {
		return o
	}
	o.MinFreeBytes = gib
	if _, size, err := fs.Space(o.Dir); err == nil {
		o.MinFreeBytes = min(gib, size/10)
	}
	return o
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
