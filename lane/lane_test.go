package lane

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const path = "/metrics/job"

// rig is a server behind a lane, or one without.
type rig struct {
	addr   string
	lane   *Listener // nil: none
	server *http.Server
}

func newRig(t testing.TB, h http.Handler, fast bool) *rig {
	t.Helper()
	return newRigWith(t, fast, Options{Handler: h, HeaderTimeout: time.Minute, IdleTimeout: time.Minute})
}

func newRigWith(t testing.TB, fast bool, o Options) *rig {
	t.Helper()
	inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{addr: inner.Addr().String()}
	o.Path, o.ErrorLog = path, log.New(io.Discard, "", 0)
	r.server = &http.Server{Handler: o.Handler, ReadHeaderTimeout: time.Minute, ErrorLog: o.ErrorLog}
	l := inner
	if fast {
		r.lane = New(inner, o)
		l = r.lane
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = r.server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = r.server.Close()
		if fast {
			r.lane.Cut()
		}
		<-served
	})
	return r
}

func (r *rig) dial(t testing.TB) *net.TCPConn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// talk sends bytes as they are, ends its half of the connection, and returns what comes.
func (r *rig) talk(t testing.TB, pieces ...string) string {
	t.Helper()
	c := r.dial(t)
	for _, p := range pieces {
		if _, err := io.WriteString(c, p); err != nil {
			break // the server has said what it had to say
		}
	}
	_ = c.CloseWrite()
	b, err := io.ReadAll(c)
	if err != nil && len(b) == 0 {
		return err.Error()
	}
	return withoutDates(b)
}

// withoutDates returns the answers with their fields in order, and without what depends
// on the time.
func withoutDates(b []byte) string {
	var out strings.Builder
	in := bufio.NewReader(bytes.NewReader(b))
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
				fmt.Fprintf(&out, "%v\n", err)
			}
			return out.String()
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.Header.Get("Date") != "" {
			resp.Header.Set("Date", "*")
		}
		fmt.Fprintf(&out, "%s %s close=%v length=%d\n%s%s\n", resp.Proto, resp.Status, resp.Close, resp.ContentLength, fields(resp.Header), text)
	}
}

func fields(h http.Header) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h)) {
		fmt.Fprintf(&b, "%s: %q\n", name, h[name])
	}
	return b.String()
}

// mirror answers what it was asked, as the path wants it.
func mirror(w http.ResponseWriter, r *http.Request) {
	var body []byte
	var err error
	if !strings.HasSuffix(r.URL.Path, "/unread") {
		body, err = io.ReadAll(r.Body)
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/nothing"):
		return
	case strings.HasSuffix(r.URL.Path, "/accepted"):
		w.WriteHeader(http.StatusAccepted)
		return
	case strings.HasSuffix(r.URL.Path, "/none"):
		w.WriteHeader(http.StatusNoContent)
		return
	case strings.HasSuffix(r.URL.Path, "/close"):
		w.Header().Set("Connection", "close")
	case strings.HasSuffix(r.URL.Path, "/refused"):
		http.Error(w, "no\nindeed", http.StatusBadRequest)
		return
	case strings.HasSuffix(r.URL.Path, "/panic"):
		panic("as asked")
	case strings.HasSuffix(r.URL.Path, "/abort"):
		panic(http.ErrAbortHandler)
	case strings.HasSuffix(r.URL.Path, "/json"):
		w.Header().Set("Content-Type", "application/json")
		w.Header().Add("X-Twice", "a")
		w.Header().Add("X-Twice", "b\r\nX-Evil: c")
	}
	_, _ = fmt.Fprintf(w, "%s %s %q raw %q query %q %s %q %d close %v from %v\n%s%d bytes %.300q %v\n", r.Method, r.RequestURI, r.URL.Path,
		r.URL.RawPath, r.URL.RawQuery, r.Proto, r.Host, r.ContentLength, r.Close, r.RemoteAddr != "", fields(r.Header), len(body), body, err)
}

func push(target, more, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: gateway:9091\r\n%sContent-Length: %d\r\n\r\n%s", target, more, len(body), body)
}

// requests are what clients may send. The answers to each are those of net/http, promise 1,
// whoever gives them.
var requests = []struct {
	name   string
	pieces []string
	fast   bool // the lane gives them
}{
	{"plain", []string{push("/metrics/job/a/instance/b", "", "x 1\n")}, true},
	{"put", []string{strings.Replace(push("/metrics/job/a", "User-Agent: x\r\nContent-Encoding: gzip\r\n", "x 1\n"), "POST", "PUT", 1)}, true},
	{"twice", []string{push("/metrics/job/a", "", "x 1\n"), push("/metrics/job/a", "", "x 2\n")}, true},
	{"at once", []string{push("/metrics/job/a", "", "x 1\n") + push("/metrics/job/b", "A: b\r\n", "x 22\n") + push("/metrics/job/b", "A: c\r\n", "x 22\n")}, true},
	{"line end behind a POST", []string{push("/metrics/job/a", "", "x 1\n") + "\r\n", push("/metrics/job/a", "", "x 2\n") + "\r", "\n", "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"}, true},
	{"two behind a POST", []string{push("/metrics/job/a", "", "x 1\n") + "\r\n\r\n" + push("/metrics/job/a", "", "x 2\n") + "\r\n\r\n"}, true},
	{"three behind a POST", []string{push("/metrics/job/a", "", "x 1\n") + "\r\n\r\n\r\n" + push("/metrics/job/a", "", "x 2\n")}, true},
	{"line end behind a PUT", []string{strings.Replace(push("/metrics/job/a", "", "x 1\n"), "POST", "PUT", 1) + "\r\n" + push("/metrics/job/a", "", "x 2\n")}, true},
	{"too little behind a POST", []string{push("/metrics/job/a", "", "x 1\n") + "GE"}, true},
	{"line end first", []string{"\r\n" + push("/metrics/job/a", "", "x 1\n")}, false},
	{"some fields change", []string{
		push("/metrics/job/a", "A: 1\r\nB: 2\r\n", "x 1\n") + push("/metrics/job/a", "A: 1\r\nB: 3\r\n", "x 1\n") + push("/metrics/job/a", "B: 3\r\n", "x 22\n") +
			push("/metrics/job/a", "A: 1\r\nB: 3\r\nC: 1\r\nConnection: keep-alive\r\n", "x 1\n") + push("/metrics/job/a", "A: 1\r\nB: 3\r\nC: 1\r\nConnection: close\r\n", "x 1\n"),
	}, true},
	{"a field comes twice later", []string{push("/metrics/job/a", "A: 1\r\nB: 2\r\n", "x 1\n") + push("/metrics/job/a", "A: 1\r\nA: 1\r\n", "x 1\n")}, true},
	{"body later", []string{strings.TrimSuffix(push("/metrics/job/a", "", "x 1\n"), "x 1\n"), "x", " 1\n"}, true},
	{"larger than the buffer", []string{push("/metrics/job/a", "", strings.Repeat("x 1\n", 20_000)) + push("/metrics/job/b", "", "x 1\n")}, true},
	{"base64", []string{push("/metrics/job@base64/YQ==", "", "x 1\n")}, true},
	{"escapes", []string{push("/metrics/job/a%2Fb%20c/d/%C3%A4", "", "x 1\n")}, true},
	{"odd path", []string{push("/metrics/job//a/../b;c,d=:@&$!'()*", "", "x 1\n")}, true},
	{"bad escape", []string{push("/metrics/job/a%2", "", "x 1\n")}, false},
	{"answered with nothing", []string{push("/metrics/job/nothing", "", "x 1\n")}, true},
	{"accepted", []string{push("/metrics/job/accepted", "", "x 1\n")}, true},
	{"no content", []string{push("/metrics/job/none", "", "x 1\n")}, true},
	{"refused", []string{push("/metrics/job/refused", "", "x 1\n")}, true},
	{"json", []string{push("/metrics/job/json", "", "x 1\n")}, true},
	{"handler closes", []string{push("/metrics/job/close", "", "x 1\n") + push("/metrics/job/a", "", "x 1\n")}, true},
	{"panic", []string{push("/metrics/job/panic", "", "x 1\n") + push("/metrics/job/a", "", "x 1\n")}, true},
	{"abort", []string{push("/metrics/job/abort", "", "x 1\n")}, true},
	{"client closes", []string{push("/metrics/job/a", "Connection: close\r\n", "x 1\n") + push("/metrics/job/a", "", "x 1\n")}, true},
	{"keep-alive", []string{push("/metrics/job/a", "Connection: Keep-Alive\r\n", "x 1\n")}, true},
	{"unread", []string{push("/metrics/job/unread", "", strings.Repeat("x 1\n", 20_000)) + push("/metrics/job/b", "", "x 1\n")}, true},
	{"cut off and unread", []string{"POST /metrics/job/unread HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx 1\n"}, true},
	{"cut off", []string{"POST /metrics/job/a HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx 1\n"}, true},
	{"odd names", []string{push("/metrics/job/a", "x-lower_case: \t a b \t\r\nACCEPT: */*\r\nX-Empty:\r\n", "x 1\n")}, true},
	{"utf-8 value", []string{push("/metrics/job/a", "X-Name: \u00e4\r\n", "x 1\n")}, false},
	{"odd name", []string{push("/metrics/job/a", "X!Name: a\r\n", "x 1\n")}, false},
	{"bad name", []string{push("/metrics/job/a", "X Name: a\r\n", "x 1\n")}, false},
	{"space before the colon", []string{push("/metrics/job/a", "Name : a\r\n", "x 1\n")}, false},
	{"folded", []string{push("/metrics/job/a", "Name: a\r\n b\r\n", "x 1\n")}, false},
	{"no colon", []string{push("/metrics/job/a", "Name\r\n", "x 1\n")}, false},
	{"zero byte", []string{push("/metrics/job/a", "Name: a\x00\r\n", "x 1\n")}, false},
	{"bare line feeds", []string{strings.ReplaceAll(push("/metrics/job/a", "", "x 1\n"), "\r\n", "\n")}, false},
	{"bare carriage return", []string{push("/metrics/job/a", "Name: a\rb\r\n", "x 1\n")}, false},
	{"repeated field", []string{push("/metrics/job/a", "Accept: a\r\nAccept: b\r\n", "x 1\n")}, false},
	{"two lengths", []string{push("/metrics/job/a", "Content-Length: 4\r\n", "x 1\n")}, false},
	{"two other lengths", []string{push("/metrics/job/a", "Content-Length: 3\r\n", "x 1\n")}, false},
	{"two hosts", []string{push("/metrics/job/a", "Host: b\r\n", "x 1\n")}, false},
	{"no host", []string{"POST /metrics/job/a HTTP/1.1\r\nContent-Length: 4\r\n\r\nx 1\n"}, false},
	{"empty host", []string{"POST /metrics/job/a HTTP/1.1\r\nHost:\r\nContent-Length: 4\r\n\r\nx 1\n"}, false},
	{"bad host", []string{"POST /metrics/job/a HTTP/1.1\r\nHost: a b\r\nContent-Length: 4\r\n\r\nx 1\n"}, false},
	{"no length", []string{"POST /metrics/job/a HTTP/1.1\r\nHost: a\r\n\r\n"}, false},
	{"signed length", []string{"POST /metrics/job/a HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nx 1\n"}, false},
	{"empty body", []string{push("/metrics/job/a", "", "")}, false},
	{"chunked", []string{"POST /metrics/job/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nx 1\n\r\n0\r\n\r\n"}, false},
	{"length and chunks", []string{push("/metrics/job/a", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n")}, false},
	{"expects", []string{push("/metrics/job/a", "Expect: 100-continue\r\n", "x 1\n")}, false},
	{"upgrade", []string{push("/metrics/job/a", "Connection: upgrade\r\nUpgrade: h2c\r\n", "x 1\n")}, false},
	{"query", []string{push("/metrics/job/a?wait=delivered", "", "x 1\n")}, false},
	{"fragment", []string{push("/metrics/job/a#b", "", "x 1\n")}, false},
	{"elsewhere", []string{push("/-/reload", "", "x 1\n")}, false},
	{"absolute", []string{push("http://gateway:9091/metrics/job/a", "", "x 1\n")}, false},
	{"get", []string{"GET /metrics/job/a HTTP/1.1\r\nHost: a\r\n\r\n"}, false},
	{"push behind get", []string{"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", push("/metrics/job/a", "", "x 1\n")}, false},
	{"get behind push", []string{push("/metrics/job/a", "", "x 1\n"), "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"}, true},
	{"1.0", []string{strings.Replace(push("/metrics/job/a", "", "x 1\n"), "HTTP/1.1", "HTTP/1.0", 1)}, false},
	{"1.1 in lower case", []string{strings.Replace(push("/metrics/job/a", "", "x 1\n"), "HTTP/1.1", "http/1.1", 1)}, false},
	{"space in the path", []string{push("/metrics/job/a b", "", "x 1\n")}, false},
	{"2", []string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}, false},
	{"no HTTP", []string{"hello\r\n\r\n"}, false},
	{"nothing", nil, false},
	{"head in pieces", []string{"POST /metrics/job/a HT", "TP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nx 1\n"}, false},
	{"long head", []string{push("/metrics/job/a", "Name: "+strings.Repeat("a", 2*bufferSize)+"\r\n", "x 1\n")}, false},
}

func TestSameAsServer(t *testing.T) {
	var fast *rig
	byLane := make(chan bool, 10)
	plain := newRig(t, http.HandlerFunc(mirror), false)
	fast = newRig(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, ours := w.(*answer)
		byLane <- ours
		mirror(w, r)
	}), true)
	for _, tt := range requests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(plain.talk(t, tt.pieces...), fast.talk(t, tt.pieces...)); diff != "" {
				t.Errorf("without the lane, with it:\n%s", diff)
			}
			ours := false
			for len(byLane) > 0 {
				ours = <-byLane || ours
			}
			if ours != tt.fast && tt.name != "head in pieces" {
				t.Errorf("by the lane: %v", ours)
			}
		})
	}
}

// Whatever bytes come: the answers are those of net/http.
func FuzzSameAsServer(f *testing.F) {
	plain, fast := newRig(f, http.HandlerFunc(mirror), false), newRig(f, http.HandlerFunc(mirror), true)
	for _, tt := range requests {
		f.Add(strings.Join(tt.pieces, ""))
	}
	f.Fuzz(func(t *testing.T, request string) {
		if diff := cmp.Diff(plain.talk(t, request), fast.talk(t, request)); diff != "" {
			t.Errorf("without the lane, with it:\n%s", diff)
		}
	})
}

// Promise 3: what runs is answered, what is idle is closed.
func TestShutdown(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/slow") {
			close(begun)
			<-end
		}
		mirror(w, r)
	}), true)
	idle, busy := r.dial(t), r.dial(t)
	read := bufio.NewReader(idle)
	if _, err := io.WriteString(idle, push("/metrics/job/a", "", "x 1\n")); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(read, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if _, err := io.WriteString(busy, push("/metrics/job/slow", "", "x 1\n")); err != nil {
		t.Fatal(err)
	}
	<-begun
	_ = r.lane.Close()
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := r.lane.Shutdown(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a request that runs: %v", err)
	}
	if _, err := read.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("idle connection: %v", err)
	}
	close(end)
	if err := r.lane.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	b, err := io.ReadAll(busy)
	if answer := withoutDates(b); err != nil || !strings.Contains(answer, "200 OK close=true") {
		t.Errorf("got %q, %v", answer, err)
	}
	if _, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.addr); err == nil {
		t.Error("takes connections")
	}
}

// A connection that says nothing goes, before its first request and behind it.
func TestTimeouts(t *testing.T) {
	for _, tt := range []struct {
		name         string
		header, idle time.Duration
		before       string
	}{
		{"header", time.Millisecond, time.Minute, ""},
		{"idle", time.Minute, time.Millisecond, push("/metrics/job/nothing", "", "x 1\n")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRigWith(t, true, Options{Handler: http.HandlerFunc(mirror), HeaderTimeout: tt.header, IdleTimeout: tt.idle})
			c := r.dial(t)
			if _, err := io.WriteString(c, tt.before); err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(c); err != nil || (len(b) == 0) != (tt.before == "") {
				t.Errorf("got %q, %v", b, err)
			}
		})
	}
}

// The deadline of a body that does not come holds, though it is set late.
func TestReadDeadline(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Error(err)
		}
		_, err := io.ReadAll(r.Body)
		http.Error(w, fmt.Sprint(err), http.StatusRequestTimeout)
	}), true)
	c := r.dial(t)
	if _, err := io.WriteString(c, "POST /metrics/job/a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if answer := withoutDates(b); err != nil || !strings.Contains(answer, "408") || !strings.Contains(answer, "i/o timeout") {
		t.Errorf("got %q, %v", answer, err)
	}
}

func BenchmarkPush(b *testing.B) {
	for _, fast := range []bool{false, true} {
		b.Run(fmt.Sprintf("lane=%v", fast), func(b *testing.B) {
			r := newRig(b, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
			}), fast)
			c := r.dial(b)
			in, request := bufio.NewReader(c), []byte(push("/metrics/job/a", "User-Agent: x\r\nAccept-Encoding: gzip\r\n", strings.Repeat("x 1\n", 500)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(request); err != nil {
					b.Fatal(err)
				}
				for line := []byte(nil); string(line) != "\r\n"; {
					var err error
					if line, err = in.ReadSlice('\n'); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// repeating is a connection whose client sends the same requests again and again, and ignores the answers.
type repeating struct {
	net.Conn
	requests [][]byte
	left     int
}

func (c *repeating) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	c.left--
	return copy(p, c.requests[c.left%len(c.requests)]), nil
}

func (c *repeating) Write(p []byte) (int, error)     { return len(p), nil }
func (c *repeating) SetReadDeadline(time.Time) error { return nil }
func (c *repeating) Close() error                    { return nil }
func (c *repeating) RemoteAddr() net.Addr            { return &net.TCPAddr{} }

// BenchmarkServe is what a push costs in the lane, without the system.
func BenchmarkServe(b *testing.B) {
	l := New(nil, Options{Path: path, IdleTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header()["X-Pushbridge-Push-Id"] = []string{"0123456789abcdef-123456-89abcdef"}
	})})
	var requests [][]byte
	for i := range 2 {
		target := fmt.Sprintf("/metrics/job/a/instance/%d", i)
		requests = append(requests, []byte(push(target, "User-Agent: x\r\nAccept-Encoding: gzip\r\n", strings.Repeat("x 1\n", 500))))
	}
	b.ReportAllocs()
	newConn(l, &repeating{requests: requests, left: b.N}).serve()
}
