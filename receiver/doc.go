// Package receiver is a small remote-write receiver, for trying out a sender and
// for scripts. It takes remote write 1.0 and 2.0, prints what arrives, and can be
// told to fail.
//
// It promises:
//
//  1. Every sample that is answered 2xx was printed before the answer.
//  2. It judges order as the strictest backend would, and form as the two
//     specifications demand. A violation is counted, and never hidden by an answer.
//  3. It decodes by the published protobuf messages alone, and shares no code with
//     a sender: what is wrong there cannot be wrong here in the same way.
//  4. A fault happens as the control document says, and by its seed at the same
//     requests again.
//
// Make one with [New] and let it [Receiver.Serve] a listener; PUT /control tells it
// to fail. [Receiver.Verdict] says at the end how it went.
package receiver
