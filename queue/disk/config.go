package disk

import (
	"cmp"
	"fmt"
	"time"
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

// Options configure a Store. Zero values mean the default that each field names.
type Options struct {
	Dir           string        // the directory, made when absent
	Fsync         FsyncMode     // Always
	FsyncInterval time.Duration // 1 s; with Interval
	SegmentBytes  int64         // 32 MiB; a segment ends with the batch that reaches it

	MaxBytes     int64 // 10 GiB of segments and snapshots; negative: no bound
	MinFreeBytes int64 // 1 GiB, or a tenth of a small file system, that must stay free; negative: no bound
}

const (
	mib = 1 << 20
	gib = 1 << 30
)

// withDefaults fills in what was left out.
func (o Options) withDefaults() Options {
	o.FsyncInterval = cmp.Or(o.FsyncInterval, time.Second)
	o.SegmentBytes = cmp.Or(o.SegmentBytes, 32*mib)
	o.MaxBytes = cmp.Or(o.MaxBytes, 10*gib)
	if o.MaxBytes > 0 {
		// Segments are removed whole: a few must fit below the bound.
		o.SegmentBytes = min(o.SegmentBytes, max(o.MaxBytes/8, 4096))
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
