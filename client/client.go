package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/pushbridge/pushbridge/lane"
)

// IDHeader names the id of a push in a request.
const IDHeader = "Idempotency-Key"

// maxAnswer is how much of an answer is read: all of what a gateway says.
const maxAnswer = 16 << 10

// Options are the settings of a Client.
type Options struct {
	URL            string        // of the gateway, with its route prefix
	HTTPConfigFile string        // as promtool's --http.config.file; empty for none
	AttemptTimeout time.Duration // of one request, but for the time that its body takes; 10s by default
	UserAgent      string
}

// Client pushes to one gateway. It is safe for concurrent use.
type Client struct {
	base    string
	http    *http.Client
	timeout time.Duration
	agent   string
}

// New returns a client. It connects to nothing.
func New(o Options) (*Client, error) {
	base, err := baseURL(o.URL)
	if err != nil {
		return nil, err
	}
	c := &Client{base: base, timeout: o.AttemptTimeout, agent: o.UserAgent}
	if c.timeout == 0 {
		c.timeout = 10 * time.Second
	}
	if c.http, err = newHTTP(o.HTTPConfigFile); err != nil {
		return nil, fmt.Errorf("%s: %w", o.HTTPConfigFile, err)
	}
	return c, nil
}

// newHTTP makes what sends, as the file says if there is one.
func newHTTP(file string) (*http.Client, error) {
	if file == "" {
		return &http.Client{CheckRedirect: checkRedirect, Transport: newTransport()}, nil
	}
	config, _, err := promconfig.LoadHTTPConfigFile(file)
	if err != nil {
		return nil, err
	}
	c, err := promconfig.NewClientFromConfig(*config, "push")
	if err == nil && config.FollowRedirects {
		c.CheckRedirect = checkRedirect
	}
	return c, err
}

// newTransport is what http.DefaultTransport is, but for posts over plain HTTP, which is what jobs
// push: they need none of its goroutines, and read a megabyte less of the program's file.
func newTransport() http.RoundTripper {
	dial := (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	return &lane.Transport{Dial: dial, Next: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dial,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          100,
		MaxIdleConnsPerHost:   http.DefaultMaxIdleConnsPerHost,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}}
}

// maxRedirects is http.Client's own bound.
const maxRedirects = 10

// checkRedirect follows what repeats the request. Elsewhere a push becomes a GET, as of a
// page to log in at, and its answer would say nothing of the push.
func checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= maxRedirects:
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	case req.Method != via[0].Method:
		return http.ErrUseLastResponse
	}
	return nil
}

// baseURL checks the URL of a gateway; host:port alone will do, as for other clients. Its
// errors repeat no password.
func baseURL(raw string) (string, error) {
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", errors.New("not a URL")
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q must be of the form http://host:port/prefix", u.Redacted())
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// RefusedError is an answer that will be the same next time.
type RefusedError struct {
	Status int
	Text   string // what the gateway says
}

func (e *RefusedError) Error() string {
	text := e.Text
	if text == "" {
		text = http.StatusText(e.Status)
	}
	return fmt.Sprintf("refused with %d: %s", e.Status, text)
}

// UnreachableError says that nobody has answered for the push: it may be kept or not.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return e.Err.Error() }
func (e *UnreachableError) Unwrap() error { return e.Err }

// busyError is an answer that asks to come again.
type busyError struct {
	status int
	text   string
	after  time.Duration // what Retry-After says; 0: nothing
}

func (e *busyError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("answered %d: %s", e.status, e.text), ": ")
}

// Request is one request below the gateway's URL.
type Request struct {
	Method string
	Path   string // escaped, with the query
	Header http.Header
	Body   []byte

	waits bool // for the delivery
}

// Once makes one request and waits for the answer. Its error is a *RefusedError if the answer
// would be the same again.
func (c *Client) Once(ctx context.Context, r Request) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout+onTheLine(r.Body))
	defer cancel()
	resp, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text := textOf(resp)
	err = meaning(resp, text)
	if err == nil && r.waits {
		return delivery(resp, r.Method, text)
	}
	return err
}

// slowestLine is how many bytes of a body a line must take in a second. What is tried again
// from its begin each time would never get through a slower one.
const slowestLine = 100_000

// onTheLine is how long a body may take to be sent.
func onTheLine(body []byte) time.Duration {
	return time.Duration(len(body)) * time.Second / slowestLine
}

// Ask makes one request and returns the body of an answer of 2xx, which is to be closed. It
// waits as long as ctx does.
func (c *Client) Ask(ctx context.Context, r Request) (io.ReadCloser, error) {
	resp, err := c.send(ctx, r)
	if _, ok := errors.AsType[*RefusedError](err); err != nil && !ok {
		err = &UnreachableError{err}
	}
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode/100 == 2:
		return resp.Body, nil
	}
	defer resp.Body.Close()
	return nil, &RefusedError{resp.StatusCode, textOf(resp)}
}

// send makes a request. Its error does not have the URL.
func (c *Client) send(ctx context.Context, r Request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, c.base+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return nil, &RefusedError{Text: err.Error()}
	}
	if r.Header != nil {
		req.Header = r.Header
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", c.agent)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	return resp, nil
}

// textOf is what an answer says: a part of it says something too.
func textOf(resp *http.Response) string {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return strings.TrimSpace(string(text))
}

// delivery is what the answer to a push that is kept says of its delivery. A gateway that
// knows nothing of that gives the push no id, and a DELETE of nothing has none to give.
func delivery(resp *http.Response, method, text string) error {
	named := resp.Header.Get(pushIDHeader) != ""
	switch {
	case named && resp.StatusCode == http.StatusOK, !named && method == http.MethodDelete:
		return nil
	case !named:
		return &UndeliveredError{"the gateway does not tell: it is no pushbridge, or an old one"}
	}
	return &UndeliveredError{text}
}

// pushIDHeader names a push that is kept.
const pushIDHeader = "X-Pushbridge-Push-Id"

// UndeliveredError says that a push is kept, and is not known to have come to all
// destinations in time.
type UndeliveredError struct{ Text string }

func (e *UndeliveredError) Error() string { return "kept, not delivered: " + e.Text }

// request is one attempt to push p.
func (p *Push) request() Request {
	h := http.Header{}
	h.Set(IDHeader, p.ID)
	if p.ContentType != "" && p.Method != http.MethodDelete {
		h.Set("Content-Type", p.ContentType)
	}
	if p.Encoding != "" {
		h.Set("Content-Encoding", p.Encoding)
	}
	r := Request{Method: p.Method, Path: path(p.Grouping), Header: h, Body: p.Body}
	if p.Wait > 0 {
		r.Path += "?wait=delivered&timeout=" + model.Duration(p.Wait).String()
		r.waits = true
	}
	return r
}

// meaning is what an answer says of the push.
func meaning(resp *http.Response, text string) error {
	switch s := resp.StatusCode; {
	case s/100 == 2:
		return nil
	case s/100 == 5 || s == http.StatusTooManyRequests || s == http.StatusRequestTimeout:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return &busyError{s, text, time.Duration(max(0, seconds)) * time.Second}
	default:
		return &RefusedError{s, text}
	}
}

// withoutURL leaves the URL, which may hold a password, out of an error.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
