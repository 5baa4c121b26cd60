package remotewrite

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// departure tells whether anything of a request may have left the process. A
// connection that is refused, a name that is not known, a TLS handshake or a
// proxy that fails: all of that comes before the first byte of the body is read,
// and a receiver stores nothing without a body.
type departure struct {
	note   func()       // called before the first byte leaves; may be nil
	may    func() error // asked before each byte leaves; may be nil
	latest *departing
}

type departureKey struct{}

// watch makes d the departure of requests with the context that it returns.
func (d *departure) watch(ctx context.Context) context.Context {
	return context.WithValue(ctx, departureKey{}, d)
}

// left says whether a byte may have left, and keeps the request from leaving
// after that. Of several tries within one request the latest one counts: net/http
// only goes on to another one when the receiver did not take the one before.
func (d *departure) left() bool {
	return d.latest != nil && !d.latest.state.CompareAndSwap(waiting, withdrawn)
}

// body returns b, watched.
func (d *departure) body(b io.ReadCloser) io.ReadCloser {
	d.latest = &departing{ReadCloser: b, note: d.note, may: d.may}
	return d.latest
}

// departing is a body that is on its way, or not yet.
type departing struct {
	io.ReadCloser
	note  func()
	may   func() error
	state atomic.Int32
}

const (
	waiting int32 = iota
	leaving
	withdrawn // nobody may read it any more
)

var errWithdrawn = errors.New("the request was given up")

// Read notes the departure before it reads. What may not leave does not: whoever has stood
// still for a while and leads no longer sends no more of a request, and the receiver
// stores none that is not whole.
func (b *departing) Read(p []byte) (int, error) {
	if err := b.allowed(); err != nil {
		return 0, err
	}
	if b.state.CompareAndSwap(waiting, leaving) && b.note != nil {
		b.note()
		if err := b.allowed(); err != nil { // to write that down may have taken long
			return 0, err
		}
	}
	if b.state.Load() == withdrawn {
		return 0, errWithdrawn
	}
	return b.ReadCloser.Read(p)
}

func (b *departing) allowed() error {
	if b.may == nil {
		return nil
	}
	return b.may()
}

// doorway is the last thing before a request leaves, behind whatever reads its
// body to sign it.
type doorway struct{ next http.RoundTripper }

// RoundTrip watches the body of r, if somebody wants to know.
func (t doorway) RoundTrip(r *http.Request) (*http.Response, error) {
	d, ok := r.Context().Value(departureKey{}).(*departure)
	if !ok {
		return t.next.RoundTrip(r)
	}
	watched := r.WithContext(r.Context()) // a copy: the request is the caller's
	watched.Body = d.body(r.Body)
	watched.GetBody = func() (io.ReadCloser, error) {
		b, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		return d.body(b), nil
	}
	return t.next.RoundTrip(watched)
}

// CloseIdleConnections passes it on.
func (t doorway) CloseIdleConnections() {
	closeIdle(t.next)
}
