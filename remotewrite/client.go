package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/version"

	"github.com/pushbridge/pushbridge/lane"
)

// Protocol is a version of remote write.
type Protocol uint8

// The versions.
const (
	Protocol1 Protocol = 1
	Protocol2 Protocol = 2
)

// String returns "1.0" or "2.0".
func (p Protocol) String() string {
	if p == Protocol1 {
		return "1.0"
	}
	return "2.0"
}

// Receivers compare these strings byte by byte. A blank behind the semicolon and
// Prometheus takes 2.0 for an empty 1.0 request, and says 204 (rules H-2, H-3).
const (
	contentType1 = "application/x-protobuf"
	contentType2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
	version1     = "0.1.0"
	version2     = "2.0.0"
)

const (
	maxErrorText = 1 << 10  // of what a receiver says, for the log
	maxDrain     = 64 << 10 // of what follows: beyond that a new connection is cheaper
	maxRedirects = 10
)

// client posts requests to one url.
type client struct {
	http    *http.Client
	url     string
	headers http.Header
	timeout time.Duration
	now     func() time.Time
	may     func() error  // whether anything may leave at present; nil: it may
	renewed atomic.Uint32 // how often connections were given up
}

// newClient makes a client from c. transport replaces what the configuration
// asks for, auth included, when it is set.
func newClient(c *Config, transport http.RoundTripper, now func() time.Time) (*client, error) {
	if transport == nil {
		t, err := newRenewable(c)
		if err != nil {
			return nil, err
		}
		transport = t
	} else {
		transport = doorway{transport}
	}
	h := make(http.Header)
	for name, value := range c.Headers {
		h.Set(name, value)
	}
	h.Set("Content-Encoding", "snappy")
	h.Set("User-Agent", userAgent())
	return &client{
		http:    &http.Client{Transport: transport, CheckRedirect: redirectPolicy(c.HTTPClient.FollowRedirects)},
		url:     c.URL.String(),
		headers: h,
		timeout: time.Duration(c.RemoteTimeout),
		now:     now,
	}, nil
}

func userAgent() string {
	if version.Version == "" {
		return "pushbridge/unknown"
	}
	return "pushbridge/" + version.Version
}

func newTransport(c *Config) (http.RoundTripper, error) {
	dial := new(net.Dialer).DialContext
	if c.RoundRobinDNS {
		dial = dialRandom
	}
	hc, err := promconfig.NewClientFromConfig(c.HTTPClient, "remote_write", promconfig.WithDialContextFunc(dial))
	if err != nil {
		return nil, fmt.Errorf("http client: %w", err)
	}
	way := doorway{hc.Transport}
	if t, ok := hc.Transport.(*http.Transport); ok { // nothing between: no credentials, no files to look at
		way.next = &lane.Transport{Next: t, Dial: dial}
	}
	if c.SigV4 == nil {
		return way, nil
	}
	return &signer{config: c.SigV4, next: way}, nil
}

// renewable is a transport that can be made anew, with all that it remembers: tokens
// of OAuth 2 and credentials of AWS among it, which it would keep until they end.
type renewable struct {
	config *Config
	made   atomic.Pointer[http.RoundTripper]

	mu sync.Mutex
	at time.Time // when it was made anew because of an answer
}

func newRenewable(c *Config) (*renewable, error) {
	r := &renewable{config: c}
	return r, r.renew()
}

// renew makes it anew. What is on its way ends with the one before.
func (r *renewable) renew() error {
	t, err := newTransport(r.config)
	if err != nil {
		return err
	}
	if old := r.made.Swap(&t); old != nil {
		closeIdle(*old)
	}
	return nil
}

// RoundTrip passes the request on.
func (r *renewable) RoundTrip(q *http.Request) (*http.Response, error) {
	return (*r.made.Load()).RoundTrip(q)
}

// CloseIdleConnections passes it on.
func (r *renewable) CloseIdleConnections() { closeIdle(*r.made.Load()) }

func closeIdle(t http.RoundTripper) {
	if c, ok := t.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// renewAuth throws away what credentials were asked for.
func (c *client) renewAuth() error {
	if t, ok := c.http.Transport.(*renewable); ok {
		return t.renew()
	}
	return nil
}

// renewAuthSometimes does the same because the receiver does not take them.
func (c *client) renewAuthSometimes() error {
	t, ok := c.http.Transport.(*renewable)
	if !ok {
		return nil
	}
	now := c.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.at) < renewAuthEvery && now.After(t.at) {
		return nil
	}
	t.at = now
	return t.renew()
}

// dialRandom dials one of the addresses of a host, any of them, so that the
// connections of several shards spread over a round-robin name.
func dialRandom(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return d.DialContext(ctx, network, addr)
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil || len(addrs) == 0 {
		return d.DialContext(ctx, network, addr)
	}
	return d.DialContext(ctx, network, net.JoinHostPort(addrs[rand.IntN(len(addrs))], port))
}

// redirectPolicy follows 307 and 308 only, which keep method and body. On 301,
// 302 and 303 Go sends a GET without a body, and the 2xx to that looks like
// success (rule H-5).
func redirectPolicy(follow bool) func(*http.Request, []*http.Request) error {
	return func(next *http.Request, via []*http.Request) error {
		if !follow || next.Method != http.MethodPost || len(via) >= maxRedirects {
			return http.ErrUseLastResponse
		}
		switch next.Response.StatusCode {
		case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			return nil
		}
		return http.ErrUseLastResponse
	}
}

// answer is what came of a request.
type answer struct {
	err        error // no answer came; then the rest is zero, but for left
	left       bool  // a byte of the request may have left
	status     int
	text       string // start of the body, as received
	location   string // of a redirect that was not followed
	retryAfter time.Duration
	written    written
}

func (a *answer) success() bool { return a.err == nil && a.status/100 == 2 }

// written is what a receiver of 2.0 says it stored (rule N-1). A count is -1
// when its header is absent or no number.
type written struct{ samples, histograms, exemplars int64 }

func (w written) any() bool { return w.samples >= 0 || w.histograms >= 0 || w.exemplars >= 0 }

// nothing says whether all three are there and 0.
func (w written) nothing() bool { return w.samples == 0 && w.histograms == 0 && w.exemplars == 0 }

// renew gives up all connections, those in use after the request that is on its
// way: the next requests look the name up anew. What answered behind it may have
// moved, and the old place may still be there.
func (c *client) renew() {
	c.renewed.Add(1)
	c.http.CloseIdleConnections()
}

// post sends body, compressed already, and waits for the answer (rules H-1 to
// H-6). attempt is how many tries were answered before.
func (c *client) post(ctx context.Context, body *buffer, p Protocol, attempt int) answer {
	renewed := c.renewed.Load()
	d := &departure{note: body.leave, may: c.may}
	a := c.exchange(d.watch(ctx), body, p, attempt)
	a.left = d.left()
	if c.renewed.Load() != renewed {
		c.http.CloseIdleConnections()
	}
	return a
}

func (c *client) exchange(ctx context.Context, body *buffer, p Protocol, attempt int) answer {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, body.reader())
	if err != nil {
		return answer{err: withoutURL(err)}
	}
	req.ContentLength = int64(len(body.bytes))
	req.GetBody = func() (io.ReadCloser, error) { return body.reader(), nil } // for 307 and 308
	c.setHeaders(req, p, attempt)
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{err: withoutURL(err)}
	}
	defer func() {
		_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
		_ = resp.Body.Close()
	}()
	return c.read(resp)
}

func (c *client) setHeaders(req *http.Request, p Protocol, attempt int) {
	maps.Copy(req.Header, c.headers)
	if p == Protocol1 {
		req.Header.Set("Content-Type", contentType1)
		req.Header.Set("X-Prometheus-Remote-Write-Version", version1)
	} else {
		req.Header.Set("Content-Type", contentType2)
		req.Header.Set("X-Prometheus-Remote-Write-Version", version2)
	}
	if attempt > 0 {
		req.Header.Set("Retry-Attempt", strconv.Itoa(attempt))
	}
}

func (c *client) read(resp *http.Response) answer {
	a := answer{
		status:     resp.StatusCode,
		retryAfter: retryAfter(resp.Header.Get("Retry-After"), c.now()),
		written: written{
			samples:    countHeader(resp.Header, "Samples"),
			histograms: countHeader(resp.Header, "Histograms"),
			exemplars:  countHeader(resp.Header, "Exemplars"),
		},
	}
	if a.status/100 == 2 {
		return a // the body of a success says nothing
	}
	if a.status/100 == 3 {
		a.location = brief(redactString(resp.Header.Get("Location")))
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorText))
	a.text = strings.ToValidUTF8(strings.TrimSpace(string(text)), "�")
	if a.status == http.StatusBadRequest && resp.Request.URL.Scheme == "http" && fromTLSPort(a.text) {
		return answer{err: fmt.Errorf("the receiver's port wants https: %s", a.text)}
	}
	return a
}

// brief cuts text that may quote a receiver: an answer that is no HTTP is quoted
// whole, and headers may be long.
func brief(text string) string {
	if len(text) > maxErrorText {
		text = text[:maxErrorText] + "…"
	}
	return strings.ToValidUTF8(text, "�")
}

// fromTLSPort says whether text is what servers answer to plain HTTP on a port for
// TLS. Most send bytes that are no HTTP at all; Go and nginx send this with a 400,
// which says nothing about samples.
func fromTLSPort(text string) bool {
	return strings.Contains(text, "HTTP request to an HTTPS server") || strings.Contains(text, "plain HTTP request was sent to HTTPS port")
}

// countHeader returns -1 for a header that is absent or not a count.
func countHeader(h http.Header, what string) int64 {
	v := h.Get("X-Prometheus-Remote-Write-" + what + "-Written")
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// withoutURL drops the url that net/http puts in front of its errors: it says
// where, which the log line says too, and its query may hold a secret. Of a url
// further inside, as that of a token, the query is hidden.
func withoutURL(err error) error {
	u, ok := errors.AsType[*url.Error](err)
	if !ok {
		return err
	}
	if inner, ok := errors.AsType[*url.Error](u.Err); ok {
		inner.URL = redactString(inner.URL)
	}
	return u.Err
}

func redactString(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return redacted
	}
	return RedactURL(u)
}
