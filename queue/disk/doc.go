// Package disk keeps a log in a directory: a queue.Store of segments, cursor files and
// snapshots. It knows bytes, and which of them are on disk.
//
// # Promises
//
// They are those of queue.Store; the numbers are those of package queue.
//
//   - A crash at any moment, of the process or of the machine, loses nothing that was
//     durable (1). What a crash cut short is cut off when the directory is opened, and
//     damage costs the frames that it touches, and the few that differ from them (4).
//   - After a failed write or fsync the segment is closed as it is and never synced
//     again; a new one names what failed (5).
//   - Files of every version of the format are read. What a newer version wrote is not
//     touched.
//   - Nothing is touched by name while the directory is not in its place.
//
// # Where to look
//
// store.go has what the log calls. writer.go writes segments (segment.go, frame.go, bases.go),
// segments.go knows those there are and removes them, tail.go reads them (scan.go) and
// totals.go asks them for books. cursors.go and cursorfile.go have the cursors,
// snapshots.go and snapshotfile.go the snapshots. recover.go and recoverseg.go begin
// with what a crash left. directory.go, identity.go, lock.go and place.go are about the
// directory, fs.go is the seam to the file system, inspect.go describes it all.
//
// The bytes are described in docs/queue-format.md.
package disk
