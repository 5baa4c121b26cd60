package lane

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// maxPosted is the largest body, in bytes, that a Transport sends itself. It reads no answer
// before the body has left, so that must not take long.
const maxPosted = 256 << 10

// Transport is an http.RoundTripper. Plain posts (HTTP/1.1 without TLS, to no proxy, with a
// short body of known length) it sends in the goroutine that waits for the answer, over
// connections that it keeps. Everything else Next does. Fill in before the first use.
type Transport struct {
	// Next does what is not plain. Its Proxy, IdleConnTimeout and MaxIdleConnsPerHost hold here, too.
	Next *http.Transport
	// Dial makes connections.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex
	idle  map[string][]*link // by address; the one that was used last comes last
	prune *time.Timer        // nil: there are none
}

// RoundTrip implements http.RoundTripper. What was written before a connection failed is not
// sent again.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.takes(r) {
		return t.Next.RoundTrip(r)
	}
	k, err := t.connection(r)
	if err != nil {
		_ = r.Body.Close() // of a request that does not leave
		return nil, err
	}
	k.release = context.AfterFunc(r.Context(), k.interrupt)
	resp, err := k.exchange(r)
	if err != nil {
		t.done(k, false)
		return nil, endOf(r.Context(), err)
	}
	if resp.Body == http.NoBody {
		t.done(k, !resp.Close)
	} else {
		resp.Body = &answerBody{ReadCloser: resp.Body, t: t, k: k, ctx: r.Context(), last: resp.Close}
	}
	return resp, nil
}

// endOf returns why a request failed: its context, when that has ended, or else err.
func endOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// takes reports whether r is plain.
func (t *Transport) takes(r *http.Request) bool {
	if !canLook || r.Method != http.MethodPost || r.URL.Scheme != "http" || r.Close || r.TransferEncoding != nil || r.Trailer != nil {
		return false
	}
	if r.Body == nil || r.ContentLength <= 0 || r.ContentLength > maxPosted || httptrace.ContextClientTrace(r.Context()) != nil {
		return false
	}
	for name, values := range r.Header {
		for _, v := range values {
			if !isToken(name) || !isText(v) || isServers(http.CanonicalHeaderKey(name)) {
				return false
			}
		}
	}
	if t.Next.Proxy == nil {
		return true
	}
	proxy, err := t.Next.Proxy(r)
	return proxy == nil && err == nil
}

// connection returns one for r.
func (t *Transport) connection(r *http.Request) (*link, error) {
	address := r.URL.Host
	if r.URL.Port() == "" {
		address = net.JoinHostPort(r.URL.Hostname(), "80")
	}
	for k := t.take(address); k != nil; k = t.take(address) {
		if quiet(k.Conn) {
			return k, nil
		}
		_ = k.Close()
	}
	nc, err := t.Dial(r.Context(), "tcp", address)
	if err != nil {
		return nil, endOf(r.Context(), err)
	}
	k := &link{Conn: nc, address: address}
	k.limit.R = nc
	k.in = bufio.NewReader(&k.limit)
	return k, nil
}

func (t *Transport) take(address string) *link {
	t.mu.Lock()
	defer t.mu.Unlock()
	ks := t.idle[address]
	if len(ks) == 0 {
		return nil
	}
	k := ks[len(ks)-1]
	ks[len(ks)-1], t.idle[address] = nil, ks[:len(ks)-1]
	return k
}

// done ends the request of k, and keeps k if it is good for another.
func (t *Transport) done(k *link, good bool) {
	if !k.release() || !good || k.in.Buffered() > 0 {
		_ = k.Close() // nobody listens any more
		return
	}
	k.since = time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.idle[k.address]) >= t.Next.MaxIdleConnsPerHost {
		_ = k.Close()
		return
	}
	if t.idle == nil {
		t.idle = make(map[string][]*link)
	}
	t.idle[k.address] = append(t.idle[k.address], k)
	if t.prune == nil {
		t.prune = time.AfterFunc(t.Next.IdleConnTimeout, t.pruneIdle)
	}
}

// pruneIdle closes the connections that have had no request for IdleConnTimeout. None has more
// than twice of that.
func (t *Transport) pruneIdle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeLocked(t.Next.IdleConnTimeout)
	if t.prune = nil; len(t.idle) > 0 {
		t.prune = time.AfterFunc(t.Next.IdleConnTimeout, t.pruneIdle)
	}
}

// closeLocked closes the connections that have had no request for so long.
func (t *Transport) closeLocked(unused time.Duration) {
	for address, ks := range t.idle {
		var kept []*link
		for _, k := range ks {
			if time.Since(k.since) < unused {
				kept = append(kept, k)
			} else {
				_ = k.Close()
			}
		}
		if t.idle[address] = kept; kept == nil {
			delete(t.idle, address)
		}
	}
}

// CloseIdleConnections closes those without a request, as http.Client has it.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	t.closeLocked(0)
	t.mu.Unlock()
	t.Next.CloseIdleConnections()
}

// link is a connection of a Transport. Who has taken it is the only one that uses it.
type link struct {
	net.Conn
	address string
	since   time.Time // it has had no request
	limit   io.LimitedReader
	in      *bufio.Reader
	broken  error       // of a write
	release func() bool // keeps the context from interrupting; false: it has
}

// interrupt ends what the connection waits for, for good.
func (k *link) interrupt() { _ = k.SetDeadline(time.Unix(1, 0)) }

// Write implements io.Writer.
func (k *link) Write(p []byte) (int, error) {
	n, err := k.Conn.Write(p)
	if err != nil {
		k.broken = err
	}
	return n, err
}

// outs are what requests are put together in, so that one leaves in one piece.
var outs = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 64<<10) }}

// exchange sends r and reads the head of the answer. A server may answer, and end the
// connection, before it has read all of r.
func (k *link) exchange(r *http.Request) (*http.Response, error) {
	out := outs.Get().(*bufio.Writer)
	out.Reset(k)
	err := r.Write(out)
	if err == nil {
		err = out.Flush()
	}
	out.Reset(nil)
	outs.Put(out)
	if err != nil && k.broken == nil {
		return nil, err // the body's own
	}
	resp, failed := k.answer(r)
	if failed != nil && err != nil {
		return nil, fmt.Errorf("write to the server: %w", err)
	}
	if failed != nil {
		return nil, fmt.Errorf("read the answer: %w", failed)
	}
	resp.Close = resp.Close || err != nil
	return resp, nil
}

// answer reads the head of the answer, and those of answers before it.
func (k *link) answer(r *http.Request) (*http.Response, error) {
	for range maxInterim {
		k.limit.N = maxAnswerHead
		resp, err := http.ReadResponse(k.in, r)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= http.StatusOK {
			k.limit.N = math.MaxInt64
			return resp, nil
		}
	}
	return nil, errInterim
}

// answerBody is the body of an answer. At its end the connection is free again.
type answerBody struct {
	io.ReadCloser
	t    *Transport
	k    *link // nil: given back
	ctx  context.Context
	last bool
}

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || b.k == nil {
		return n, err
	}
	whole := errors.Is(err, io.EOF)
	if b.giveBack(whole && !b.last); whole {
		return n, io.EOF
	}
	return n, endOf(b.ctx, err)
}

// Close implements io.Closer. A body that is not read to its end costs the connection.
func (b *answerBody) Close() error {
	if b.k != nil {
		b.giveBack(false)
	}
	return nil
}

func (b *answerBody) giveBack(good bool) {
	b.t.done(b.k, good)
	b.k = nil
}
