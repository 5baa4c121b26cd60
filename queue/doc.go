// Package queue is the durable log between pushes and destinations: one log,
// and for every destination a reader and a cursor. It knows bytes, not meaning:
// what a record is comes with a Codec.
//
// # Promises
//
//  1. A record is reported done only after it is on disk (with Always, the
//     default; see FsyncMode for what the other modes can lose).
//  2. Records are reported done, published and read in the order of their
//     sequences. A sequence is never used twice.
//  3. A reader sees only records that were reported done, each once, or a
//     GapError that says which sequences and how many samples are missing.
//  4. Opening never deletes what can be read. A torn tail is cut; damage inside
//     costs the frames that it touches, and they are named.
//  5. A failed write or fsync fails everything that waits, and the log goes on in
//     a new segment as soon as the disk allows it. No descriptor is synced again
//     after its fsync failed.
//  6. Memory is bounded by RingBytes and MaxQueuedBytes, disk by MaxBytes and
//     MinFreeBytes, whatever the backlog. What a bound costs is counted exactly,
//     and costs only the readers that lag.
//
// # Use
//
// Open reads what is there. Before Run, ReadSnapshot and Replay rebuild the
// state, and OpenCursor brings back each destination's position: segments are
// kept for cursors that are open when Run starts. Then Run commits:
//
//	l, err := queue.Open(queue.Options{Dir: "data", Abort: store.Abort}, codec)
//	seq, floor, err := l.ReadSnapshot(load)
//	err = l.Replay(seq, fold)
//	c, isNew, err := l.OpenCursor("mimir", 4)
//	go l.Run(ctx)
//	l.Append(r, func(seq uint64, err error) { … })
//	item, err := l.NewReader(acked).Next(ctx)
//
// Stop by cancelling Run's context after the readers have stopped, then Close.
//
// The bytes on disk are described in docs/queue-format.md.
package queue
