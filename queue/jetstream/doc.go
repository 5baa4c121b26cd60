// Package jetstream keeps a log in a stream of a NATS JetStream cluster: a store for
// package queue, whose promises queue/queuetest holds it to.
//
// # The stream
//
// One stream with one subject. Each message expects a last sequence, the one that its
// writer knows of (Nats-Expected-Last-Sequence), and is stored behind that or not at all:
// the stream is a chain, and at each place of it there is one writer. Whoever wants to
// lead writes a claim at the end of the chain; what the one before writes from then on
// expects something that never comes true again. What came of a message whose answer was
// lost is never guessed: it stands at its place, or another one does, or the same bytes
// are sent once more.
//
// What waits while a message is on its way shares the next one: records, and positions of
// destinations. That is a batch; one that is larger than a message goes in pieces, and
// counts with the last one.
//
// Now and then a batch begins with a checkpoint, which has everything that the stream had
// come to but for the records. What lies between two checkpoints is a part: it goes as a
// whole, and a restart reads no more than the newest one. Snapshots are objects
// of the bucket that has the stream's name.
//
// # Where to look
//
// message.go and item.go are bytes, view.go is what they come to. chain.go is the one
// goroutine that writes, lead.go who may. store.go is what a log sees, tail.go how it reads. stream.go
// says what is asked of the servers, nats.go asks them, and prepare.go checks that they keep
// what a log promises.
package jetstream
