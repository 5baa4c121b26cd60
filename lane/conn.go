package lane

import (
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// bufferSize is what a connection reads at once: head and body of a small push.
const bufferSize = 4 << 10

// What a connection does.
const (
	fresh  int32 = iota // nothing has come yet
	idle                // between requests
	active              // a request is being read, carried out or answered
	over                // closed by Shutdown
)

// conn is a connection that the lane serves. Only its goroutine uses it, but for
// what is atomic.
type conn struct {
	net.Conn
	l      *Listener
	remote string
	state  atomic.Int32
	since  time.Time // it was taken

	buf     []byte // what was read and is not used yet
	room    [bufferSize]byte
	head    head // of the newest request
	further bool // there was one

	wanted, set time.Time // read deadline that a read has, and that the connection has

	body   body
	answer answer
}

func newConn(l *Listener, nc net.Conn) *conn {
	c := &conn{Conn: nc, l: l, remote: nc.RemoteAddr().String(), since: time.Now()}
	c.body.c, c.answer.c = c, c
	c.answer.header = make(http.Header)
	return c
}

// serve answers plain pushes, one after the other, until something else comes.
func (c *conn) serve() {
	patience := c.l.o.HeaderTimeout
	for c.next(patience) {
		if !c.head.parse(c.buf, c.l.o.Path) {
			c.handOver()
			return
		}
		c.buf = c.buf[c.head.size:]
		if !c.request() || !c.rest() {
			break
		}
		patience = c.l.o.IdleTimeout
	}
	_ = c.Close() // nobody listens any more
}

// beginning is how many bytes net/http waits for before it takes them for a further request.
// Line ends among them it overlooks behind a POST, where old clients send one.
const beginning = 4

// next waits for a request, and reports whether there is one.
func (c *conn) next(patience time.Duration) bool {
	least := 1
	if c.further {
		least = beginning
	}
	if len(c.buf) < least {
		c.allow(patience)
	}
	if !c.fill(least) {
		return false
	}
	if c.further && c.head.method == http.MethodPost {
		c.buf = withoutLineEnds(c.buf)
		if !c.fill(1) {
			return false
		}
	}
	return c.state.CompareAndSwap(fresh, active) || c.state.CompareAndSwap(idle, active)
}

// fill reads until least bytes are there, and reports whether they are. What is there is at
// the begin of the room.
func (c *conn) fill(least int) bool {
	for len(c.buf) < least {
		n, err := c.read(c.room[len(c.buf):])
		if n == 0 || err != nil {
			return false
		}
		c.buf = c.room[:len(c.buf)+n]
	}
	return true
}

func withoutLineEnds(b []byte) []byte {
	n := 0
	for n < min(beginning, len(b)) && (b[n] == '\r' || b[n] == '\n') {
		n++
	}
	return b[n:]
}

// allow sets the deadline of a wait for the next request. To set one costs more than to
// see that there is one, so a wait may be a little shorter than it might.
func (c *conn) allow(patience time.Duration) {
	if patience == 0 {
		c.wanted = time.Time{}
		return
	}
	end := time.Now().Add(patience)
	if c.set.IsZero() || c.set.After(end) || c.set.Before(end.Add(-patience/16)) {
		c.wanted = end
	} else {
		c.wanted = c.set
	}
}

// read reads with the deadline that is wanted.
func (c *conn) read(p []byte) (int, error) {
	if !c.wanted.Equal(c.set) {
		if err := c.SetReadDeadline(c.wanted); err != nil {
			return 0, err
		}
		c.set = c.wanted
	}
	return c.Read(p)
}

// request has the handler carry out what the head says, and answers. It reports whether
// the connection is good for more.
func (c *conn) request() (again bool) {
	h := &c.head
	c.body.left, c.body.failed = h.length, false
	c.answer.reset()
	r := &http.Request{
		Method: h.method, URL: h.url, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h.header, Body: &c.body, ContentLength: h.length, Close: h.last,
		Host: h.host, RemoteAddr: c.remote, RequestURI: h.target,
	}
	if !c.handle(r) {
		return false
	}
	last, whole := h.last || c.answer.last() || c.l.stopping.Load(), c.body.left == 0
	if !last {
		known := c.body.failed // to the handler, who may say so
		whole = c.body.drain() // before the answer, as net/http does
		last = !whole && !known
	}
	if err := c.answer.send(last); err != nil {
		return false
	}
	if !whole {
		c.linger()
	}
	return whole && !last
}

// handle calls the handler. One that panics gets no answer.
func (c *conn) handle(r *http.Request) (done bool) {
	defer func() {
		if done {
			return
		}
		if why := recover(); why != nil && why != http.ErrAbortHandler { //nolint:errorlint // as net/http has it
			c.l.o.ErrorLog.Printf("http: panic serving %s: %v\n%s", c.remote, why, debug.Stack())
		}
	}()
	c.l.o.Handler.ServeHTTP(&c.answer, r)
	return true
}

// rest makes what the client has sent ahead the begin of the next request, and reports
// whether there may be one.
func (c *conn) rest() bool {
	c.buf = c.room[:copy(c.room[:], c.buf)]
	c.further = true
	c.state.Store(idle)
	runtime.Gosched() // the client may have sent more by then, and need not be waited for
	return !c.l.stopping.Load()
}

// lingering is how long a client that is still sending has to read the answer before
// the connection goes, which would take the answer along.
const lingering = 500 * time.Millisecond

func (c *conn) linger() {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite() // it goes anyway
		time.Sleep(lingering)
	}
}

// closeIdle closes a connection on which nothing happens.
func (c *conn) closeIdle() {
	if c.state.CompareAndSwap(idle, over) || time.Since(c.since) > newPatience && c.state.CompareAndSwap(fresh, over) {
		_ = c.Close() // its own goroutine hears of it
	}
}

// handOver gives the connection to the http.Server.
func (c *conn) handOver() {
	if !c.set.IsZero() {
		_ = c.SetReadDeadline(time.Time{}) // the server sets its own, or hears of it
	}
	if !c.l.pass(accepted{conn: &begun{Conn: c.Conn, head: c.buf}}) {
		_ = c.Close() // the server has gone
	}
}

// begun is a connection of which something was read.
type begun struct {
	net.Conn
	head []byte
}

// Read implements io.Reader.
func (b *begun) Read(p []byte) (int, error) {
	if len(b.head) == 0 {
		return b.Conn.Read(p)
	}
	n := copy(p, b.head)
	if b.head = b.head[n:]; len(b.head) == 0 {
		b.head = nil // lets go of the lane's buffer
	}
	return n, nil
}

// CloseWrite lets the http.Server end an answer before it has read everything.
func (b *begun) CloseWrite() error {
	if w, ok := b.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// body is that of a request: what came with its head, and then what comes.
type body struct {
	c      *conn
	left   int64
	failed bool
}

// Read implements io.Reader. The last bytes come with io.EOF.
func (b *body) Read(p []byte) (n int, err error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), b.left)]
	if c := b.c; len(c.buf) > 0 {
		n = copy(p, c.buf)
		c.buf = c.buf[n:]
	} else if n, err = c.read(p); errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	b.left -= int64(n)
	b.failed = b.failed || err != nil
	if b.left == 0 {
		return n, io.EOF
	}
	return n, err
}

// Close implements io.Closer. The rest is read before the answer, or never.
func (b *body) Close() error { return nil }

// drain reads what the handler has left, and reports whether there was an end.
func (b *body) drain() bool {
	if b.left > 0 && !b.failed {
		_, _ = io.Copy(io.Discard, b) // left says how it went
	}
	return b.left == 0
}
