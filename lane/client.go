package lane

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxIdle is how many connections without a request a client keeps.
	maxIdle = 1000
	// believed is how long a connection without a request is taken for open without a look.
	believed = 20 * time.Millisecond
	// maxOut is the largest request, in bytes, that is put together for one write, and whose
	// memory is kept for the next.
	maxOut = 16 << 10
)

// Client sends plain pushes to one server, over connections that it keeps.
type Client struct {
	Address   string // host:port
	MaxAnswer int64  // what is read of the text of an answer, in bytes

	mu   sync.Mutex
	idle []*wire // the one that was used last comes last
	over bool
}

// Request is a plain push.
type Request struct {
	Method, Target, Host string
	Fields               []Field // with names as http.CanonicalHeaderKey has them, and neither Host nor Content-Length
	Body                 []byte
}

// Field is one of a head.
type Field struct{ Name, Value string }

// Answer is what a server has said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Plain reports whether a lane would take q, so that the connection is good for more of
// them. Others are not for a Client.
func (q *Request) Plain() bool {
	if q.Method != http.MethodPut && q.Method != http.MethodPost || !isTarget(q.Target) || q.Host == "" || !isHost(q.Host) {
		return false
	}
	size := len(q.Method) + len(q.Target) + len(q.Host) + 64
	for i, f := range q.Fields {
		twice := slices.ContainsFunc(q.Fields[:i], func(other Field) bool { return strings.EqualFold(other.Name, f.Name) })
		if twice || !isToken(f.Name) || !isText(f.Value) || isServers(f.Name) {
			return false
		}
		size += len(f.Name) + len(f.Value) + 4
	}
	return size <= bufferSize && 0 < len(q.Body) && len(q.Body) <= maxBody
}

// isServers reports whether a field, by its canonical name, tells a server how to read or to
// answer.
func isServers(name string) bool {
	switch name {
	case "Host", "Content-Length", "Connection", "Transfer-Encoding", "Trailer", "Te", "Upgrade", "Expect", "Http2-Settings", "Proxy-Connection", "Pragma":
		return true
	}
	return false
}

// isTarget reports whether s is a path without a query, of printable ASCII.
func isTarget(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '?' || c == '#' {
			return false
		}
	}
	return s != "" && s[0] == '/'
}

// appendHead appends the head to b.
func (q *Request) appendHead(b []byte) []byte {
	b = append(append(append(append(b, q.Method...), ' '), q.Target...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, q.Host...), newline...)
	b = strconv.AppendInt(append(b, "Content-Length: "...), int64(len(q.Body)), 10)
	for _, f := range q.Fields {
		b = append(append(append(append(b, newline...), f.Name...), ": "...), f.Value...)
	}
	return append(b, newline+newline...)
}

// Do sends q and waits for the answer until there is one, the connection ends, or k is
// cancelled. Without an answer, sent says whether q may have been carried out: what was not
// written to its end, with its body, is not.
func (c *Client) Do(k *Call, q *Request) (a *Answer, sent bool, err error) {
	for {
		w, used, err := c.connection(k)
		if err != nil {
			return nil, false, err
		}
		if err := w.send(q); err != nil {
			k.done()
			_ = w.Close()
			if used && !k.cancelled() {
				continue // to the next one, in the end to one that is new
			}
			return nil, false, err
		}
		a, again, err := w.receive(c.MaxAnswer)
		if k.done() && again {
			c.keep(w)
		} else {
			_ = w.Close()
		}
		return a, true, err
	}
}

// connection returns one that k uses from now on, and whether it was used before.
func (c *Client) connection(k *Call) (w *wire, used bool, err error) {
	for w := c.take(); w != nil; w = c.take() {
		if time.Since(w.since) > believed && !quiet(w.Conn) {
			_ = w.Close()
			continue
		}
		return w, true, k.use(w.Conn)
	}
	nc, err := k.dial(c.Address)
	if err != nil {
		return nil, false, err
	}
	return &wire{Conn: nc}, false, k.use(nc)
}

func (c *Client) take() *wire {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.idle)
	if n == 0 {
		return nil
	}
	w := c.idle[n-1]
	c.idle[n-1], c.idle = nil, c.idle[:n-1]
	return w
}

func (c *Client) keep(w *wire) {
	w.since = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || len(c.idle) >= maxIdle {
		_ = w.Close()
		return
	}
	c.idle = append(c.idle, w)
}

// Prune closes the connections that have had no request for so long.
func (c *Client) Prune(unused time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(c.idle) && time.Since(c.idle[n].since) > unused {
		_ = c.idle[n].Close()
		n++
	}
	kept := copy(c.idle, c.idle[n:])
	clear(c.idle[kept:])
	c.idle = c.idle[:kept]
}

// Close closes the connections without a request now, and the others when they are answered.
func (c *Client) Close() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.Prune(-1)
}

// Call is a request on its way. The zero value is one that has not begun.
type Call struct {
	mu   sync.Mutex
	conn net.Conn // that has the request; nil: none
	stop func()   // ends the dialling; nil: there is none
	end  bool     // cancelled
}

// Cancel ends the wait for an answer, at any time and by anybody.
func (k *Call) Cancel() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.end = true
	if k.conn != nil {
		_ = k.conn.SetDeadline(time.Unix(1, 0)) // or it is closed already
	}
	if k.stop != nil {
		k.stop()
	}
}

func (k *Call) cancelled() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.end
}

// use makes nc the connection of k, or closes it.
func (k *Call) use(nc net.Conn) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.end {
		_ = nc.Close()
		return context.Canceled
	}
	k.conn = nc
	return nil
}

// done takes the connection from k, and reports whether it is as it was.
func (k *Call) done() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conn = nil
	return !k.end
}

func (k *Call) dial(address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	k.mu.Lock()
	if k.stop = cancel; k.end {
		cancel()
	}
	k.mu.Unlock()
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	k.mu.Lock()
	k.stop = nil
	k.mu.Unlock()
	return nc, err
}
