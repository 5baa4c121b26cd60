package remotewrite

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	promconfig "github.com/prometheus/common/config"
)

// Only what a byte of may have left the process can be stored, however a try
// fails.
func TestWhatMayHaveLeft(t *testing.T) {
	closed := closedAddress(t)
	hangUp := func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }
	plain := newRecorder(t, nil)
	tls := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(tls.Close)
	proxy := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	resets := newRecorder(t, hangUp)
	away := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://"+closed)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	for _, row := range []failedTry{
		{"refused", "http://" + closed, nil, false, "refused"},
		{"TLS handshake", tls.URL, nil, false, "certificate"},
		{"TLS to a plain port", strings.Replace(plain.URL, "http:", "https:", 1), nil, false, "HTTPS"},
		{"proxy refuses", "https://receiver.invalid/", func(c *Config) { c.HTTPClient.ProxyURL = proxyURL(t, proxy.URL) }, false, "Forbidden"},
		{"proxy is down", "http://receiver.invalid/", func(c *Config) { c.HTTPClient.ProxyURL = proxyURL(t, "http://"+closed) }, false, "refused"},
		{"redirected to nobody", away.URL, nil, false, "refused"},
		{"reset", resets.URL, nil, true, "EOF"},
	} {
		t.Run(row.name, row.check)
	}
}

// failedTry is a request that gets no answer, and whether a byte of it may have left.
type failedTry struct {
	name, url string
	change    func(*Config)
	left      bool
	err       string
}

func (f failedTry) check(t *testing.T) {
	c := configFor(t, f.url)
	if f.change != nil {
		f.change(&c)
	}
	a := post(t, c, Protocol1, 0)
	if a.err == nil || !strings.Contains(a.err.Error(), f.err) || a.left != f.left {
		t.Errorf("answer %+v, want %q, left %t", a, f.err, f.left)
	}
}

// TestNothingLeavesWithoutLeave: what may not be sent is not, also the rest of a request
// that began while it might, and a try that never began is no departure.
func TestNothingLeavesWithoutLeave(t *testing.T) {
	errNo := errors.New("somebody else may lead")
	for _, row := range []struct {
		name  string
		after int64 // how often it may
		left  bool
	}{{"at first", 0, false}, {"once that it leaves was written down", 1, true}, {"in the middle", 2, true}} {
		t.Run(row.name, func(t *testing.T) {
			got := newRecorder(t, nil)
			cl, err := newClient(new(configFor(t, got.URL)), nil, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			var asked atomic.Int64
			cl.may = func() error {
				if asked.Add(1) > row.after {
					return errNo
				}
				return nil
			}
			body := &buffer{leave: func() {}}
			body.fill(func([]byte) []byte { return bytes.Repeat([]byte("x"), 1<<20) })
			a := cl.post(t.Context(), body, Protocol1, 0)
			if !errors.Is(a.err, errNo) || a.left != row.left {
				t.Errorf("answer %+v", a)
			}
		})
	}
}

// closedAddress returns an address where nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func proxyURL(t *testing.T, s string) promconfig.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return promconfig.URL{URL: u}
}

// A request that was given up does not leave after that, and nothing is noted.
func TestWithdrawnRequestsDoNotLeave(t *testing.T) {
	noted := false
	d := &departure{note: func() { noted = true }}
	body := d.body(io.NopCloser(strings.NewReader("body")))
	if d.left() {
		t.Error("left before it was read")
	}
	if got, err := io.ReadAll(body); err == nil || len(got) > 0 || noted {
		t.Errorf("read %q, %v, noted %t", got, err, noted)
	}
}

// unreachable fails before anything is read while down is set.
type unreachable struct {
	http.RoundTripper
	down atomic.Bool
}

func (u *unreachable) RoundTrip(r *http.Request) (*http.Response, error) {
	if u.down.Load() {
		_ = r.Body.Close()
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	}
	return u.RoundTripper.RoundTrip(r)
}

// A push that was made while nothing listened, and is refused then, is dropped
// with the reason: nobody can have stored it. Also when the process was killed
// meanwhile: no request has left.
func TestWhatNeverLeftIsNotInDoubt(t *testing.T) {
	for name, restart := range map[string]bool{"one life": false, "killed": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{}
				net := &unreachable{RoundTripper: r}
				l := newLife(t, filepath.Join(dir, "a"), net, nil)
				settled(t, l.d)
				net.down.Store(true)
				l.put("a 1", "job", "j")
				time.Sleep(time.Minute)
				if restart {
					l = newLife(t, l.killed(t), net, nil)
				}
				r.answer = func(*request, int) reply { return reply{status: 400, body: "out of bounds"} }
				net.down.Store(false)
				books := settled(t, l.d)
				if books.InDoubt != 0 || books.Dropped["refused"] != 3 {
					t.Errorf("books %+v", books)
				}
				l.end()
			})
		})
	}
}

// Receivers compute Retry-After from Retry-Attempt: tries that nobody answered do
// not count.
func TestRetryAttemptCountsAnsweredTries(t *testing.T) {
	s := setup{answer: func(_ *request, n int) reply {
		return []reply{{err: errors.New("reset")}, {status: 503}, {lost: true}, {status: 503}, {}}[n]
	}}
	bubble(t, s, func(t *testing.T, b *bench) {
		b.put("a 1", "job", "j")
		settled(t, b.d)
		var got []string
		for _, q := range b.r.all() {
			got = append(got, q.header.Get("Retry-Attempt"))
		}
		same(t, []string{"", "", "1", "1", "2"}, got)
	})
}

// moving is a name that is looked up with every connection, and leads to another
// server once it has moved.
type moving struct {
	*http.Transport
	old, now *httptest.Server
	moved    atomic.Bool
}

func newMoving(t *testing.T, old, now http.HandlerFunc) *moving {
	m := &moving{old: httptest.NewServer(old), now: httptest.NewServer(now)}
	t.Cleanup(m.old.Close)
	t.Cleanup(m.now.Close)
	m.Transport = &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		to := m.old
		if m.moved.Load() {
			to = m.now
		}
		var d net.Dialer
		return d.DialContext(ctx, network, to.Listener.Addr().String())
	}}
	return m
}

// A name that moves while the old place answers 503, or goes on taking samples
// until a reload.
func TestNamesAreLookedUpAnew(t *testing.T) {
	for _, row := range []struct {
		name   string
		old    int
		reload bool
	}{{"after a failed try", http.StatusServiceUnavailable, false}, {"after a reload", http.StatusNoContent, true}} {
		t.Run(row.name, func(t *testing.T) {
			var before, after atomic.Int32
			count := func(n *atomic.Int32, status func() int) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					n.Add(1)
					w.WriteHeader(status())
				}
			}
			var m *moving
			m = newMoving(t,
				count(&before, func() int {
					if !m.moved.Load() {
						return http.StatusNoContent
					}
					return row.old
				}),
				count(&after, func() int { return http.StatusNoContent }))
			c := configFor(t, "http://receiver/")
			c.ProtobufMessage, c.Metadata.Send, c.Queue.MaxShards = Message1, false, 1
			g := newRig(t, rigOptions{})
			d := g.destination(c, Options{Transport: m})
			g.start()
			defer running(t, d)()
			g.put("a 1", "job", "j")
			settled(t, d)
			taken := before.Load()
			m.moved.Store(true)
			if row.reload {
				d.Renew()
			}
			g.put("a 2", "job", "j")
			settled(t, d)
			if after.Load() == 0 || row.reload && before.Load() != taken {
				t.Errorf("%d requests at the old place, %d at the new one", before.Load(), after.Load())
			}
		})
	}
}

// Connections are given up behind every way to authenticate, and one in use when
// its request has ended.
func TestRenewedConnections(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"plain": func(*Config) {},
		"basic_auth": func(c *Config) {
			c.HTTPClient.BasicAuth = &promconfig.BasicAuth{Username: "u", Password: "p"}
		},
		"authorization": func(c *Config) {
			c.HTTPClient.Authorization = &promconfig.Authorization{Type: "Bearer", Credentials: "t"}
		},
		"http_headers": func(c *Config) {
			c.HTTPClient.HTTPHeaders = &promconfig.Headers{Headers: map[string]promconfig.Header{"X-A": {Values: []string{"b"}}}}
		},
	} {
		t.Run(name, func(t *testing.T) { checkRenewed(t, change) })
	}
}

func checkRenewed(t *testing.T, change func(*Config)) {
	t.Helper()
	addresses := make(chan string, 3)
	var cl *client
	renew := false
	r := newRecorder(t, func(_ http.ResponseWriter, r *http.Request) {
		addresses <- r.RemoteAddr
		if renew {
			cl.renew()
		}
	})
	c := configFor(t, r.URL)
	change(&c)
	var err error
	if cl, err = newClient(&c, nil, time.Now); err != nil {
		t.Fatal(err)
	}
	cl.post(t.Context(), bufferOf("body"), Protocol1, 0)
	cl.renew()
	renew = true
	cl.post(t.Context(), bufferOf("body"), Protocol1, 0)
	cl.post(t.Context(), bufferOf("body"), Protocol1, 0)
	seen := map[string]bool{<-addresses: true, <-addresses: true, <-addresses: true}
	if len(seen) != 3 {
		t.Errorf("connections from %v", seen)
	}
}
