package queue

import (
	"errors"
	"fmt"
)

// What Err, Append and its done function can answer.
var (
	// ErrUnavailable: the disk refused a write or an fsync. It heals by itself when
	// the disk does. The error that is returned also wraps the cause.
	ErrUnavailable = errors.New("the log cannot be written")

	// ErrFull: the log is at its bound, lagging destinations hold it there, and
	// OnFull is Reject.
	ErrFull = errors.New("the log is full")

	// ErrBusy: more than MaxQueuedBytes wait for the disk.
	ErrBusy = errors.New("too much is waiting to be written to the log")

	// ErrAborted: records of the same generation have failed, and what is appended
	// may build on them.
	ErrAborted = errors.New("records that this one may build on have failed")

	// ErrClosed: Run has ended.
	ErrClosed = errors.New("the log is closed")
)

// ErrLocked is what Open returns for a directory that another process has open.
var ErrLocked = errors.New("the storage directory is in use by another process")

// GapReason says why records are missing.
type GapReason string

// The reasons. Dropped: a bound was reached and the reader lagged. Damaged: the
// bytes on disk do not match their checksums. Missing: segments that should be
// there are not.
const (
	GapDropped GapReason = "dropped"
	GapDamaged GapReason = "damaged"
	GapMissing GapReason = "missing"
)

// GapError is returned once by a reader in place of the records From to To,
// which it cannot have. Reading goes on behind them.
type GapError struct {
	From, To uint64
	Samples  uint64 // how many samples the missing records held
	Exact    bool   // false when the books of the missing records are lost too: Samples is then a lower bound
	Reason   GapReason
}

// Error names the missing sequences.
func (e *GapError) Error() string {
	return fmt.Sprintf("records %d to %d are missing (%s, %d samples)", e.From, e.To, e.Reason, e.Samples)
}

// CorruptionError describes a range of a file that is damaged.
type CorruptionError struct {
	File    string // base name
	Segment uint64 // 0 when the file is no segment
	Offset  int64  // of the first damaged byte, or of the frame around it
	Length  int64  // up to the next byte that is good
	First   uint64 // sequences of the records lost, both 0 when none is, or none is known
	Last    uint64
	Samples uint64 // in the records lost, as far as known
	Torn    bool   // no later batch shows that the range was ever durable: what a crash leaves
	Cut     bool   // nothing good followed: the file ends here now
	Err     error  // what was found
}

// Error says where the damage is and what it costs.
func (e *CorruptionError) Error() string {
	what := fmt.Sprintf("%s: bytes %d to %d are damaged", e.File, e.Offset, e.Offset+e.Length)
	if e.First != 0 {
		what += fmt.Sprintf(", records %d to %d are lost", e.First, e.Last)
	}
	return fmt.Sprintf("%s: %v", what, e.Err)
}

// Unwrap returns what was found.
func (e *CorruptionError) Unwrap() error { return e.Err }

// lost returns how many records the damage cost, as far as known.
func (e *CorruptionError) lost() uint64 {
	if e.First == 0 {
		return 0
	}
	return e.Last - e.First + 1
}

// VersionError is what Open returns for files of a format that this version does
// not know. Nothing was changed; the version that wrote them can read them.
type VersionError struct {
	File    string
	Version uint32
	Newest  uint32 // that is known
}

// Error names the file and the version.
func (e *VersionError) Error() string {
	return fmt.Sprintf("%s: format version %d is not known to this version of the program (it knows up to %d)",
		e.File, e.Version, e.Newest)
}
