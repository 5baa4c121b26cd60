// Package osfile has what operating systems do with files each in its own way:
//
//  1. A lock (TryLock) belongs to the open file, keeps out every other process, and ends
//     with the process, however it ends.
//  2. After SyncDir the names in a directory outlive a power loss, where the file system can
//     say so.
//  3. What OpenFile has open can be removed and renamed meanwhile, and be read on.
//
// It is shown on Linux only. On Windows it is built and looked at by go vet.
package osfile

import "errors"

// ErrLocked is the error of a lock that somebody else holds.
var ErrLocked = errors.New("locked by another process")
