package disk

import (
	"errors"
	"fmt"
)

// ErrLocked is what Recover returns for a directory that another process has open.
var ErrLocked = errors.New("the storage directory is in use by another process")

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

// VersionError is what Recover returns for files of a format that this version does
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
