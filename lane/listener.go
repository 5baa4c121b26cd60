package lane

import (
	"context"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what a lane takes, and for how long.
type Options struct {
	Handler http.Handler
	Path    string // pushes have paths that begin so

	HeaderTimeout time.Duration // for the first request of a connection to begin
	IdleTimeout   time.Duration // for any further one; 0: none

	ErrorLog *log.Logger // for panics of the handler
}

// Listener is a listener for an http.Server, which gets the connections that the lane
// does not serve.
type Listener struct {
	net.Listener
	o      Options
	start  sync.Once
	others chan accepted // for the http.Server
	closed chan struct{}
	close  func() error

	stopping atomic.Bool

	mu    sync.Mutex
	conns map[*conn]struct{}
}

type accepted struct {
	conn net.Conn
	err  error
}

// New returns a lane for the connections of inner.
func New(inner net.Listener, o Options) *Listener {
	l := &Listener{Listener: inner, o: o, others: make(chan accepted), closed: make(chan struct{}), conns: make(map[*conn]struct{})}
	l.close = sync.OnceValue(func() error {
		close(l.closed)
		return inner.Close()
	})
	return l
}

// Accept returns the next connection that is not for the lane. The first call
// begins to take connections.
func (l *Listener) Accept() (net.Conn, error) {
	l.start.Do(func() { go l.accept() })
	select {
	case a := <-l.others:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// accept takes connections until the listener is closed. Errors go to the
// http.Server, which waits a little where that helps, and asks again.
func (l *Listener) accept() {
	for {
		c, err := l.Listener.Accept()
		if err == nil {
			l.serve(c)
			continue
		}
		if !l.pass(accepted{err: err}) {
			return
		}
	}
}

// pass hands something to the http.Server, and reports false when that asks no more.
func (l *Listener) pass(a accepted) bool {
	select {
	case l.others <- a:
		return true
	case <-l.closed:
		return false
	}
}

func (l *Listener) serve(nc net.Conn) {
	c := newConn(l, nc)
	l.mu.Lock()
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	go func() {
		defer l.forget(c)
		c.serve()
	}()
}

func (l *Listener) forget(c *conn) {
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
}

// Close takes no more connections. Those that are open stay so.
func (l *Listener) Close() error { return l.close() }

// Shutdown waits for Close, which the http.Server calls when it is shut down, closes
// idle connections, and returns when requests that run are answered, or ctx ends.
func (l *Listener) Shutdown(ctx context.Context) error {
	l.stopping.Store(true)
	select {
	case <-l.closed:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for pause := time.Millisecond; !l.closeIdle(); pause = min(2*pause, maxPause) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
	return nil
}

const (
	maxPause = 100 * time.Millisecond
	// newPatience is how long a connection without any request is not taken for idle
	// at the end: its client may be about to send one.
	newPatience = 5 * time.Second
)

// closeIdle closes what is idle, and reports whether nothing is left.
func (l *Listener) closeIdle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.closeIdle()
	}
	return len(l.conns) == 0
}

// Cut closes all connections, whatever they do.
func (l *Listener) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.Close() // nobody waits for what it says
	}
}
