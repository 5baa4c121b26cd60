package lane

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newTransport(t *testing.T) *Transport {
	t.Helper()
	tr := &Transport{
		Next: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Hour},
		Dial: new(net.Dialer).DialContext,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func newPost(t *testing.T, url string, body []byte) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("X-Some", "thing")
	return r
}

// settled waits until the connections without a request that their servers have ended are seen
// to be over.
func (t *Transport) settled(ended bool) {
	for ended {
		ended = false
		t.mu.Lock()
		for _, ks := range t.idle {
			for _, k := range ks {
				ended = ended || quiet(k.Conn)
			}
		}
		t.mu.Unlock()
	}
}

// TestTransport: an answer is that of its request, whatever came before it on the connection, and what was
// written is never written again.
func TestTransport(t *testing.T) {
	long := strings.Repeat("y", 20_000)
	for _, tt := range []struct {
		name        string
		connections [][]string
		want        []string // CONNECTION STATUS BODY of each request, or the begin of an error
	}{
		{"kept", [][]string{{ok, ok, ok}}, []string{"0 200 yes", "0 200 yes", "0 200 yes"}},
		{"nothing to say", [][]string{{"HTTP/1.1 204 No Content\r\n\r\n", ok}}, []string{"0 204 ", "0 200 yes"}},
		{"chunks", [][]string{{"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", ok}}, []string{"0 400 no", "0 200 yes"}},
		{"interim", [][]string{{"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + ok, ok}}, []string{"0 200 yes", "0 200 yes"}},
		{"only interim", [][]string{{strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 20)}, {ok}}, []string{"0 read the answer: lane:", "1 200 yes"}},
		{"closed by the answer", [][]string{{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na", ok}, {ok}}, []string{"0 200 a", "1 200 yes"}},
		{"no length", [][]string{{"HTTP/1.1 200 OK\r\n\r\nto the end"}, {ok}}, []string{"0 200 to the end", "1 200 yes"}},
		{"old", [][]string{{"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na"}, {ok}}, []string{"0 200 a", "1 200 yes"}},
		{"closed afterwards", [][]string{{ok}, {ok}}, []string{"0 200 yes", "1 200 yes"}},
		{"surplus", [][]string{{ok + ok}, {ok}}, []string{"0 200 yes", "1 200 yes"}},
		{"long answer", [][]string{{fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long), ok}}, []string{"0 200 " + long, "0 200 yes"}},
		{"long head", [][]string{{"HTTP/1.1 200 OK\r\nA: " + long + "\r\nContent-Length: 1\r\n\r\na", ok}}, []string{"0 200 a", "0 200 yes"}},
		{"endless head", [][]string{{"HTTP/1.1 200 OK\r\nA: " + strings.Repeat(long, 100)}, {ok}}, []string{"0 read the answer: ", "1 200 yes"}},
		{"cut without a word", [][]string{{ok, ""}, {ok}}, []string{"0 200 yes", "0 read the answer: unexpected EOF", "1 200 yes"}},
		{"cut in the head", [][]string{{"HTTP/1.1 200 OK\r\n"}, {ok}}, []string{"0 read the answer: unexpected EOF", "1 200 yes"}},
		{"cut in the text", [][]string{{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nye"}, {ok}}, []string{"0 unexpected EOF", "1 200 yes"}},
		{"no HTTP", [][]string{{"hello\r\n\r\n"}, {ok}}, []string{"0 read the answer: malformed HTTP", "1 200 yes"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t, tt.connections...)
			tr := newTransport(t)
			for i, want := range tt.want {
				if i > 0 {
					tr.settled(tt.want[i-1][0] != want[0])
				}
				got := ask(tr, newPost(t, "http://"+s.Addr().String()+"/write?x=1", []byte{byte('a' + i)}))
				connection, heard, _ := strings.Cut(<-s.heard, " ")
				if got = connection + " " + got; got != want && (!strings.HasPrefix(got, want) || !strings.Contains(want, ": ")) {
					t.Errorf("request %d: got %.100q, want %.100q", i, got, want)
				}
				if want := "POST /write?x=1 " + string(rune('a'+i)); heard != want {
					t.Errorf("the server heard %q, want %q", heard, want)
				}
			}
		})
	}
}

// ask returns STATUS BODY, or the error.
func ask(rt http.RoundTripper, r *http.Request) string {
	resp, err := rt.RoundTrip(r)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, text)
}

// A server hears from a Transport what it hears from net/http.
func TestTransportWritesAsNetHTTP(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	heard := make(chan string, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var all strings.Builder
			if q, err := http.ReadRequest(bufio.NewReader(io.TeeReader(c, &all))); err == nil {
				_, _ = io.Copy(io.Discard, q.Body)
			}
			heard <- all.String()
			_, _ = io.WriteString(c, ok)
			_ = c.Close()
		}
	}()
	for _, size := range []int{1, 5_000, 100_000, maxPosted} {
		hear := func(rt http.RoundTripper) string {
			r := newPost(t, "http://"+l.Addr().String()+"/write?x=1", bytes.Repeat([]byte{'x'}, size))
			r.Host = "receiver:9"
			if got := ask(rt, r); got != "200 yes" {
				t.Errorf("got %q", got)
			}
			return <-heard
		}
		tr := newTransport(t)
		if d := cmp.Diff(hear(tr.Next), hear(tr)); d != "" {
			t.Errorf("%d bytes (-net/http +Transport):\n%s", size, d)
		}
	}
}

// What is not plain goes by net/http.
func TestTransportLeaves(t *testing.T) {
	proxied := &url.URL{Scheme: "http", Host: "proxy:3128"}
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		proxy  *url.URL
		want   bool
	}{
		{"plain", func(*http.Request) {}, nil, true},
		{"TLS", func(r *http.Request) { r.URL.Scheme = "https" }, nil, false},
		{"another method", func(r *http.Request) { r.Method = http.MethodPut }, nil, false},
		{"a proxy", func(*http.Request) {}, proxied, false},
		{"no body", func(r *http.Request) { r.Body, r.ContentLength = nil, 0 }, nil, false},
		{"no length", func(r *http.Request) { r.ContentLength = -1 }, nil, false},
		{"long", func(r *http.Request) { r.ContentLength = maxPosted + 1 }, nil, false},
		{"close", func(r *http.Request) { r.Close = true }, nil, false},
		{"Expect", func(r *http.Request) { r.Header["expect"] = []string{"100-continue"} }, nil, false},
		{"line end", func(r *http.Request) { r.Header.Set("A", "b\r\nc: d") }, nil, false},
		{"trailer", func(r *http.Request) { r.Trailer = http.Header{"A": nil} }, nil, false},
		{"traced", func(r *http.Request) {
			*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{}))
		}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTransport(t)
			tr.Next.Proxy = func(*http.Request) (*url.URL, error) { return tt.proxy, nil }
			r := newPost(t, "http://receiver/write", []byte("x"))
			tt.change(r)
			if got := tr.takes(r); got != tt.want {
				t.Errorf("takes: %v", got)
			}
		})
	}
}

// A body that fails, or that may not leave, ends the request and its connection.
func TestTransportBodyFails(t *testing.T) {
	heard := make(chan error, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		heard <- err
	}))
	defer srv.Close()
	r := newPost(t, srv.URL, bytes.Repeat([]byte{'x'}, 100_000))
	r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, 90_000), iotest.ErrReader(errors.New("given up"))))
	if got := ask(newTransport(t), r); got != "given up" {
		t.Errorf("got %q", got)
	}
	if err := <-heard; err == nil {
		t.Error("the server has it whole")
	}
}

// A server that answers before it has read everything, and hangs up, is heard.
func TestTransportEarlyAnswer(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	answered := make(chan struct{})
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = c.Read(make([]byte, 1))
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
		_ = c.Close() // with bytes that nobody read: the client hears of that at its next write
		close(answered)
	}()
	tr := newTransport(t)
	r := newPost(t, "http://"+l.Addr().String(), bytes.Repeat([]byte{'x'}, 200_000))
	begin, rest := io.LimitReader(r.Body, 100_000), r.Body
	r.Body = io.NopCloser(io.MultiReader(begin, &after{answered, rest}))
	if got := ask(tr, r); got != "413 no" && !strings.Contains(got, "reset") {
		t.Errorf("got %q", got) // a system may forget what came before a reset
	}
	if len(tr.idle) > 0 {
		t.Error("the connection is kept")
	}
}

// after reads when c is closed.
type after struct {
	c <-chan struct{}
	io.Reader
}

func (a *after) Read(p []byte) (int, error) {
	<-a.c
	return a.Reader.Read(p)
}

// Who waits can be told to stop, with the reason, and the connection goes.
func TestTransportCancel(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
	}{
		{"before the answer", ""},
		{"in the answer", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ny"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			ctx, cancel := context.WithCancelCause(t.Context())
			enough := errors.New("enough")
			ended := make(chan struct{})
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Read(make([]byte, 1000))
				_, _ = io.WriteString(c, tt.answer)
				cancel(enough)
				_, _ = io.Copy(io.Discard, c) // ends one way or another
				close(ended)
			}()
			r := newPost(t, "http://"+l.Addr().String(), []byte("x")).WithContext(ctx)
			if got := ask(newTransport(t), r); got != "enough" {
				t.Errorf("got %q", got)
			}
			<-ended
		})
	}
}

// Connections that nobody needs go: those over the bound at once, the others in time, or when
// they are told to.
func TestTransportLetsGo(t *testing.T) {
	var open atomic.Int32
	begun, all := make(chan struct{}), make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-all
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			open.Add(1)
		}
		if s == http.StateClosed {
			open.Add(-1)
		}
	}
	srv.Start()
	defer srv.Close()
	// flood has four requests at the same time, and waits until so many connections are left.
	flood := func(tr *Transport, left int32) {
		t.Helper()
		done := make(chan string)
		for range 4 {
			go func() { done <- ask(tr, newPost(t, srv.URL, []byte("x"))) }()
		}
		for range 4 {
			<-begun
		}
		for range 4 {
			all <- struct{}{}
		}
		for range 4 {
			if got := <-done; got != "200 " {
				t.Error(got)
			}
		}
		for open.Load() != left {
			time.Sleep(time.Millisecond)
		}
	}
	tr := newTransport(t)
	flood(tr, 2)
	tr.CloseIdleConnections()
	flood(tr, 2)
	tr.CloseIdleConnections()

	tr = newTransport(t)
	tr.Next.IdleConnTimeout = 10 * time.Millisecond
	flood(tr, 0)
	flood(tr, 0)
	for tr.armed() {
		time.Sleep(time.Millisecond)
	}
}

func (t *Transport) armed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.prune != nil
}

// BenchmarkTransport posts a batch of 2,000 series, compressed, one after the other.
func BenchmarkTransport(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer srv.Close()
	body := bytes.Repeat([]byte{'x'}, 34_000)
	tr := &Transport{Next: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Hour}, Dial: new(net.Dialer).DialContext}
	defer tr.CloseIdleConnections()
	for _, way := range []struct {
		name string
		rt   http.RoundTripper
	}{{"net-http", tr.Next}, {"transport", tr}} {
		b.Run("way="+way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, srv.URL, bytes.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				if got := ask(way.rt, r); got != "204 " {
					b.Fatal(got)
				}
			}
		})
	}
}
