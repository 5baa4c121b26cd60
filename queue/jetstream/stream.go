package jetstream

import (
	"context"
	"errors"
	"io"
)

// stream is the one that keeps the log, and what stands beside it: the seam where tests
// make the outside world fail. What it says of a message comes from the stream's
// leader, unless it says otherwise.
type stream interface {
	// publish stores b if the stream's last message is expect, and returns the sequence
	// that it got. errAgain and errMoved say why it was not stored, and a refusal that it never will be.
	// After any other error nobody knows.
	publish(ctx context.Context, b []byte, expect uint64) (uint64, error)

	// ends returns the first and the last sequence; the first is behind the last
	// when there is no message.
	ends(ctx context.Context) (first, last uint64, err error)

	// about returns what is known of the stream beside its messages, and label changes it.
	about(ctx context.Context) (label, error)
	label(ctx context.Context, l label) error

	// get returns the message seq, or errNone.
	get(ctx context.Context, seq uint64) ([]byte, error)

	// read returns some of the messages from seq on, in order. Any server answers, also
	// one that does not have the newest yet: nothing, or a hole in front, proves nothing.
	read(ctx context.Context, seq uint64) ([]message, error)

	// follow calls f with messages soon after they were stored, until the stream is
	// closed. Some may be left out.
	follow(f func(message)) error

	// purge removes the messages in front of seq.
	purge(ctx context.Context, seq uint64) error

	// put stores an object under a name that was never used, get returns one, whose
	// end is an error when it is not what was put.
	put(ctx context.Context, name string, write func(io.Writer) error) error
	object(ctx context.Context, name string) (io.ReadCloser, error)
	remove(ctx context.Context, name string) error
	objects(ctx context.Context) ([]string, error)

	close()
}

// label is what stands on a stream.
type label struct {
	id         [16]byte // of this stream, or of where its content came from
	unfinished bool     // it is being moved to, see Movable
}

// message is one of the stream.
type message struct {
	seq  uint64
	data []byte
}

var (
	// errAgain: the server is not done with the message before. It comes to a lone writer
	// with a right expectation too, and says nothing about that.
	errAgain = errors.New("the stream is not done with the message before")

	// errMoved: the last message is another one than was expected.
	errMoved = errors.New("the stream has gone on")

	errNone = errors.New("there is no such message")

	// errNotWhole: an object is not what was put, or is gone.
	errNotWhole = errors.New("the object is damaged or gone")
)

// refusal is what a server will not store, however often it is asked.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }
