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

	// ErrElsewhere: another process writes the log. It is wrapped in errors of a shared
	// store, and why the context of Lead ends.
	ErrElsewhere = errors.New("another process writes the log")

	// ErrClosed: Run has ended.
	ErrClosed = errors.New("the log is closed")
)

// ErrNewer is wrapped in the error of a codec that knows the bytes to be sound, and made by
// a version that it does not know. They are no damage, and are not passed over.
var ErrNewer = errors.New("written by a newer version")

// ErrAtRisk is wrapped in the error of a store when records that were reported done
// before may be lost as well: the mode that it works in allows that.
var ErrAtRisk = errors.New("records that were reported done may not be on disk")

// GapReason says why records are missing.
type GapReason string

// The reasons. Dropped: a bound was reached and the reader lagged. Damaged: the
// bytes that are stored do not match their checksums. Missing: parts of the log that
// should be there are not.
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

// Gap moves p to seq, where all records before held total samples, and says what was
// passed over.
func (p *Place) Gap(seq, total uint64, reason GapReason) *GapError {
	g := &GapError{From: p.Seq + 1, To: seq, Exact: p.Exact, Reason: reason}
	if p.Exact {
		g.Samples = minus(total, p.Total)
	}
	*p = Place{Seq: seq, Total: total, Exact: true}
	return g
}

// minus is a-b, and 0 when damaged books would make it negative.
func minus(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}
