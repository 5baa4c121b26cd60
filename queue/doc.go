// Package queue is the durable log between pushes and destinations: one log, and for
// every destination a reader and a cursor. It knows bytes, not meaning: what a record
// is comes with a Codec. Where the bytes are is the business of a Store: queue/disk
// keeps them in a directory, queue/jetstream in a stream of NATS, Memory keeps none. queue/queuetest holds every store to
// what stands here.
//
// # Promises
//
//  1. A record is reported done only after the store has made it durable (on disk, with
//     disk.Always, the default; see disk.FsyncMode for what the other modes can lose).
//  2. Records are reported done, published and read in the order of their
//     sequences. A sequence is never used twice for what anybody has seen.
//  3. A reader sees only records that were reported done, each once, or a
//     GapError that says which sequences and how many samples are missing.
//  4. Opening never destroys what can be read. A torn tail is cut; damage inside
//     costs the records that it touches, and those that the store wrote as their
//     difference; all are named.
//  5. A failed write fails everything that waits, and what was built on it is refused.
//     The log goes on as soon as the store allows it.
//  6. Memory is bounded by RingBytes and MaxQueuedBytes, and the store keeps its own
//     bounds, whatever the backlog. What a bound costs is counted exactly, and costs
//     only the readers that lag.
//
// # Use
//
// Open reads what is there. Before Run, ReadSnapshot and Replay rebuild the
// state, and OpenCursor brings back each destination's position: the log is kept for
// cursors that are open when Run starts, and for orphans. Then Run commits:
//
//	l, err := queue.Open(disk.New(disk.Options{Dir: "data"}), queue.Options{}, codec)
//	seq, floor, err := l.ReadSnapshot(load)
//	err = l.Replay(seq, fold)
//	c, isNew, err := l.OpenCursor("mimir", 4)
//	go l.Run(ctx)
//	err = l.Append(r, generation, func(seq uint64, err error) { … })
//	item, err := l.NewReader(acked).Next(ctx)
//
// Stop by cancelling Run's context after the readers have stopped, then Close.
//
// # Where to look
//
// log.go is what callers see, store.go what a store must do, memory.go the simplest one.
// intake.go is where records wait, company.go says how long, commit.go and failure.go are the loop that commits
// them, ring.go and reader.go how they are read, follow.go is about records that others commit, lead.go about who does. cursor.go, cursors.go, resume.go,
// orphan.go and ledger.go are about destinations, house.go and snapshot.go about what
// goes and when, totals.go about the books.
package queue
