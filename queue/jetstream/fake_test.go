package jetstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/queuetest"
)

// fakeStream is what servers keep, in memory. It fails as it is told to.
type fakeStream struct {
	mu        sync.Mutex
	first     uint64
	messages  []message
	sign      label
	kept      map[string][]byte // objects
	followers []func(message)
	reads     int     // requests for messages
	silent    bool    // followers are told nothing
	broken    error   // of whatever is written
	puts      []error // of the next objects
	fault     func(f *fakeStream, b []byte, expect uint64) (done bool, seq uint64, err error)
}

func newFake() *fakeStream {
	return &fakeStream{first: 1, sign: label{id: [16]byte{1}}, kept: map[string][]byte{}}
}

// conn is one process's connection.
type conn struct {
	*fakeStream
	dead *bool
}

var errDead = errors.New("the process is gone")

func (c conn) down() error {
	if *c.dead {
		return errDead
	}
	return c.broken
}

func (f *fakeStream) last() uint64 {
	if n := len(f.messages); n > 0 {
		return f.messages[n-1].seq
	}
	return f.first - 1
}

// store puts b behind the last message.
func (f *fakeStream) store(b []byte) uint64 {
	m := message{f.last() + 1, bytes.Clone(b)}
	f.messages = append(f.messages, m)
	for _, tell := range f.followers {
		tell(m)
	}
	return m.seq
}

func (c conn) publish(_ context.Context, b []byte, expect uint64) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.down(); err != nil {
		return 0, err
	}
	if c.fault != nil {
		if done, seq, err := c.fault(c.fakeStream, b, expect); done {
			return seq, err
		}
	}
	if c.last() != expect {
		return 0, errMoved
	}
	return c.store(b), nil
}

func (c conn) about(context.Context) (label, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sign, nil
}

func (c conn) label(_ context.Context, l label) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.down(); err != nil {
		return err
	}
	c.sign = l
	return nil
}

func (c conn) ends(context.Context) (first, last uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first, c.last(), nil
}

func (c conn) get(_ context.Context, seq uint64) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *c.dead {
		return nil, errDead
	}
	for _, m := range c.messages {
		if m.seq == seq {
			return bytes.Clone(m.data), nil
		}
	}
	return nil, errNone
}

// read answers as a server that does not have the newest message yet.
func (c conn) read(_ context.Context, seq uint64) ([]message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	var some []message
	for _, m := range c.messages[:max(len(c.messages)-1, 0)] {
		if m.seq >= seq && len(some) < 3 {
			some = append(some, message{m.seq, bytes.Clone(m.data)})
		}
	}
	return some, nil
}

func (c conn) follow(f func(message)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.silent {
		c.followers = append(c.followers, f)
	}
	return nil
}

func (c conn) purge(_ context.Context, seq uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.down(); err != nil {
		return err
	}
	last := c.last()
	c.messages = slices.DeleteFunc(c.messages, func(m message) bool { return m.seq < seq })
	c.first = max(c.first, min(seq, last+1))
	return nil
}

func (c conn) put(_ context.Context, name string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.down(); err != nil {
		return err
	}
	if len(c.puts) > 0 {
		err := c.puts[0]
		c.puts = c.puts[1:]
		return err
	}
	c.kept[name] = b.Bytes()
	return nil
}

func (c conn) object(_ context.Context, name string) (io.ReadCloser, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.kept[name]
	if !ok {
		return nil, errNotWhole
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (c conn) remove(_ context.Context, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, name)
	return nil
}

func (c conn) objects(context.Context) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for name := range c.kept {
		names = append(names, name)
	}
	return names, nil
}

func (c conn) close() {}

// open returns a store on f, and what ends it without a word.
func (f *fakeStream) open(o Options) (s *Store, kill func()) {
	dead := false
	s = newStore(o, func(context.Context, Options, queue.Host) (stream, error) { return conn{f, &dead}, nil })
	return s, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		dead = true
	}
}

// damage changes a byte of the message that has the record seq.
func (f *fakeStream) damage(t *testing.T, seq uint64) {
	t.Helper()
	for i, m := range f.messages {
		var a assembly
		b, err := a.add(m)
		if err != nil || b == nil || b.first > seq {
			continue
		}
		last := b.first - 1
		for body := b.body; len(body) > 0; {
			kind, _, rest, err := nextItem(body)
			if err != nil {
				t.Fatal(err)
			}
			if body = rest; kind == itemRecord {
				last++
			}
		}
		if seq <= last {
			f.messages[i].data[headerSize] ^= 0x40
			return
		}
	}
	t.Fatalf("record %d is in no message", seq)
}

// TestConformance holds the store to what a store is, on servers that fail as they are
// told to.
func TestConformance(t *testing.T) {
	queuetest.Run(t, queuetest.Kind{New: func(t *testing.T, o queuetest.Options) *queuetest.Place {
		f := newFake()
		if o.MaxBytes == 0 {
			o.MaxBytes = -1
		}
		kill := func() {}
		return &queuetest.Place{
			Store: func() queue.Store {
				var s *Store
				s, kill = f.open(Options{ID: "a", PartBytes: o.PartBytes, MaxBytes: o.MaxBytes, Patience: time.Millisecond})
				return s
			},
			Kill: func() { kill() }, // and a power loss is not more than that: the servers are others' machines
			Break: func(err error) {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.broken = err
			},
			Damage: func(seq uint64) { f.damage(t, seq) },
		}
	}})
}
