package replica

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/lane"
	"github.com/pushbridge/pushbridge/queue"
)

// unused is how long a connection to the replica that leads is kept without a push.
const unused = time.Minute

// way is how the replica that leads is reached.
type way struct {
	address string
	to      *url.URL
	path    string       // of to, as it is sent, without a slash at its end
	client  *lane.Client // for plain pushes; nil where net/http must know about TLS, a proxy or credentials
}

// errAddress is about an address that a replica has given.
var errAddress = errors.New("the replica that leads has advertised what is no URL")

// way returns the one to an address: as a rule that to the last one.
func (x *Replicas) way(address string) (*way, error) {
	last := x.last.Load()
	if last != nil && last.address == address {
		return last, nil
	}
	to, err := url.Parse(address)
	if err != nil || to.Host == "" {
		return nil, errAddress
	}
	w := &way{address: address, to: to, path: strings.TrimSuffix(to.EscapedPath(), "/")}
	if x.o.HTTP == nil && to.Scheme == "http" && to.User == nil && to.RawQuery == "" {
		port := to.Port()
		if port == "" {
			port = "80"
		}
		w.client = &lane.Client{Address: net.JoinHostPort(to.Hostname(), port), MaxAnswer: maxAnswer}
	}
	if !x.last.CompareAndSwap(last, w) {
		return x.way(address) // somebody else was faster
	}
	last.leave()
	return w, nil
}

// leave closes the connections to who does not lead any more.
func (w *way) leave() {
	if w != nil && w.client != nil {
		w.client.Close()
	}
}

// plain returns a push as a lane takes it, nil when it is none, or has to go by net/http.
func (p *push) plain(w *way, l *queue.Leader) *lane.Request {
	if w.client == nil || p.awaited == nil || p.r.URL.RawQuery != "" {
		return nil
	}
	q := &lane.Request{
		Method: p.r.Method, Target: w.path + strings.TrimPrefix(p.r.URL.EscapedPath(), p.x.o.Prefix), Host: p.r.Host,
		Fields: make([]lane.Field, 0, len(forwarded)+3), Body: p.body,
	}
	for _, name := range forwarded {
		for _, value := range p.r.Header[name] {
			q.Fields = append(q.Fields, lane.Field{Name: name, Value: value})
		}
	}
	q.Fields = append(q.Fields,
		lane.Field{Name: byHeader, Value: p.x.o.ID},
		lane.Field{Name: epochHeader, Value: strconv.FormatUint(l.Epoch, 10)},
		lane.Field{Name: tokenHeader, Value: strconv.FormatUint(uint64(p.awaited.Token), 10)}, // the last one: it is never the same
	)
	if !q.Plain() {
		return nil
	}
	return q
}

// outgoing is the request as net/http sends it.
func (p *push) outgoing(w *way, l *queue.Leader) (*http.Request, error) {
	to := *w.to
	to.RawPath = w.path + strings.TrimPrefix(p.r.URL.EscapedPath(), p.x.o.Prefix)
	var err error
	if to.Path, err = url.PathUnescape(to.RawPath); err != nil {
		return nil, fmt.Errorf("path of the request: %w", err)
	}
	to.RawQuery = p.r.URL.RawQuery
	p.lent = true
	r := p.request(p.r.Context())
	r.URL, r.RequestURI, r.Header = &to, "", http.Header{} // the host stays: checks of origins go by it
	for _, name := range forwarded {
		if v := p.r.Header.Values(name); len(v) > 0 {
			r.Header[name] = v
		}
	}
	r.Header.Set(byHeader, p.x.o.ID)
	r.Header.Set(epochHeader, strconv.FormatUint(l.Epoch, 10))
	if p.awaited != nil {
		r.Header.Set(tokenHeader, strconv.FormatUint(uint64(p.awaited.Token), 10))
	}
	if len(p.body) == 0 {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	return r, nil
}
