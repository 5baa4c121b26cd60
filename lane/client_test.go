package lane

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// script is a server that answers each request with bytes as they are.
type script struct {
	net.Listener
	heard chan string // each request, as "CONNECTION REQUEST-LINE BODY"
}

// newScript answers requests in turn: with the answers of the connection they come on. An empty answer
// ends the connection; "..." keeps silent.
func newScript(t *testing.T, connections ...[]string) *script {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{Listener: l, heard: make(chan string, 100)}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for i, answers := range connections {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			go s.serve(c, i, answers)
		}
	}()
	return s
}

func (s *script) serve(c net.Conn, i int, answers []string) {
	in := bufio.NewReader(c)
	for _, a := range answers {
		q, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(q.Body)
		s.heard <- fmt.Sprintf("%d %s %s %s", i, q.Method, q.RequestURI, body)
		if a == "..." {
			return
		}
		_, _ = io.WriteString(c, a)
		if a == "" {
			_ = c.Close()
			return
		}
	}
	_ = c.Close()
}

func request(body string) *Request {
	return &Request{
		Method: http.MethodPut, Target: "/metrics/job/a", Host: "gateway:9091", Body: []byte(body),
		Fields: []Field{{"Content-Type", "text/plain"}, {"X-Some", "thing"}},
	}
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Said: yes\r\n\r\nyes"

// TestClient: an answer is that of its request, whatever came before it on the connection, and what
// may have been carried out is never asked for again.
func TestClient(t *testing.T) {
	large := strings.Repeat("x 1\n", maxOut/4)
	long := strings.Repeat("y", 3*answerSize)
	for _, tt := range []struct {
		name        string
		connections [][]string
		bodies      []string
		want        []string // STATUS BODY, or whether it was sent
		heard       []string // connections
	}{
		{"kept", [][]string{{ok, ok}}, []string{"x 1\n", "x 2\n"}, []string{"200 yes", "200 yes"}, []string{"0", "0"}},
		{"large request", [][]string{{ok, ok}}, []string{large, "x 1\n"}, []string{"200 yes", "200 yes"}, []string{"0", "0"}},
		{"closed by the answer", [][]string{{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na"}, {ok}}, []string{"1", "2"}, []string{"200 a", "200 yes"}, []string{"0", "1"}},
		{"closed afterwards", [][]string{{ok}, {ok}}, []string{"1", "2"}, []string{"200 yes", "200 yes"}, []string{"0", "1"}},
		{"chunks", [][]string{{"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"}, {ok}}, []string{"1", "2"}, []string{"400 no", "200 yes"}, []string{"0", "1"}},
		{"no length", [][]string{{"HTTP/1.1 204 No Content\r\n\r\n"}, {ok}}, []string{"1", "2"}, []string{"204 ", "200 yes"}, []string{"0", "1"}},
		{"interim", [][]string{{"HTTP/1.1 103 Early Hints\r\n\r\n" + ok}, {ok}}, []string{"1", "2"}, []string{"200 yes", "200 yes"}, []string{"0", "1"}},
		{"only interim", [][]string{{strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 20)}, {ok}}, []string{"1", "2"}, []string{"sent true", "200 yes"}, []string{"0", "1"}},
		{"surplus", [][]string{{ok + ok}, {ok}}, []string{"1", "2"}, []string{"200 yes", "200 yes"}, []string{"0", "1"}},
		{"long answer", [][]string{{fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long), ok}}, []string{"1", "2"}, []string{"200 " + long, "200 yes"}, []string{"0", "0"}},
		{"long head", [][]string{{"HTTP/1.1 200 OK\r\nA: " + long + "\r\nContent-Length: 1\r\n\r\na"}, {ok}}, []string{"1", "2"}, []string{"200 a", "200 yes"}, []string{"0", "1"}},
		{"too long", [][]string{{fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n%s", strings.Repeat("z", 20_000))}, {ok}}, []string{"1", "2"}, []string{"200 " + strings.Repeat("z", 10_000), "200 yes"}, []string{"0", "1"}},
		{"cut without a word", [][]string{{ok, ""}, {ok}}, []string{"1", "2", "3"}, []string{"200 yes", "sent true", "200 yes"}, []string{"0", "0", "1"}},
		{"cut in the head", [][]string{{"HTTP/1.1 200 OK\r\nContent-"}, {ok}}, []string{"1", "2"}, []string{"sent true", "200 yes"}, []string{"0", "1"}},
		{"cut in the text", [][]string{{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nye"}, {ok}}, []string{"1", "2"}, []string{"sent true", "200 yes"}, []string{"0", "1"}},
		{"no HTTP", [][]string{{"hello\r\n\r\n"}, {ok}}, []string{"1", "2"}, []string{"sent true", "200 yes"}, []string{"0", "1"}},
		{"two lengths", [][]string{{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"}, {ok}}, []string{"1", "2"}, []string{"sent true", "200 yes"}, []string{"0", "1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t, tt.connections...)
			c := &Client{Address: s.Addr().String(), MaxAnswer: 10_000}
			defer c.Close()
			for i, body := range tt.bodies {
				if i > 0 {
					settle(c, tt.heard[i-1] != tt.heard[i])
				}
				q := request(body)
				if !q.Plain() {
					t.Fatal("the request is not plain")
				}
				a, sent, err := c.Do(new(Call), q)
				got := fmt.Sprintf("sent %v", sent)
				if err == nil {
					got = fmt.Sprintf("%d %s", a.Status, a.Body)
				}
				if got != tt.want[i] {
					t.Errorf("request %d: got %q, %v, want %q", i, got, err, tt.want[i])
				}
				if h, want := <-s.heard, tt.heard[i]+" PUT /metrics/job/a "+body; h != want {
					t.Errorf("the server heard %q, want %q", h, want)
				}
			}
		})
	}
}

// settle waits until a connection that is to end has ended.
func settle(c *Client, ends bool) {
	for ends {
		c.mu.Lock()
		ends = len(c.idle) > 0 && quiet(c.idle[0].Conn)
		for _, w := range c.idle {
			w.since = time.Time{} // so that it is looked at
		}
		c.mu.Unlock()
	}
}

// What was never begun can be asked for again.
func TestUnreachable(t *testing.T) {
	s := newScript(t)
	_ = s.Close()
	c := &Client{Address: s.Addr().String(), MaxAnswer: 10_000}
	if _, sent, err := c.Do(new(Call), request("x 1\n")); sent || err == nil {
		t.Errorf("sent %v, %v", sent, err)
	}
	var k Call
	k.Cancel()
	if _, sent, err := c.Do(&k, request("x 1\n")); sent || err == nil {
		t.Errorf("cancelled before: sent %v, %v", sent, err)
	}
}

// A request of which some was not written has not been carried out.
func TestCutWhileSending(t *testing.T) {
	a, b := net.Pipe()
	go func() {
		_, _ = io.ReadFull(b, make([]byte, 100))
		_ = b.Close()
	}()
	w := &wire{Conn: a}
	if err := w.send(request("x 1\n")); err == nil {
		t.Error("it was sent")
	}
}

// Who waits for an answer can be told to stop, and the connection goes.
func TestCancel(t *testing.T) {
	s := newScript(t, []string{ok, "..."}, []string{ok})
	c := &Client{Address: s.Addr().String(), MaxAnswer: 10_000}
	defer c.Close()
	for i, want := range []string{"200", "sent true", "200"} {
		var k Call
		if i == 1 {
			go func() {
				<-s.heard
				k.Cancel()
				k.Cancel()
			}()
		}
		a, sent, err := c.Do(&k, request("x 1\n"))
		got := fmt.Sprintf("sent %v", sent)
		if err == nil {
			got = fmt.Sprint(a.Status)
		}
		if got != want {
			t.Errorf("request %d: %s, %v", i, got, err)
		}
		if i != 1 {
			<-s.heard
		}
		k.Cancel() // touches nobody else's connection
	}
}

// Prune closes what nobody has used, Close everything.
func TestPrune(t *testing.T) {
	s := newScript(t, []string{ok, ok, ok})
	c := &Client{Address: s.Addr().String(), MaxAnswer: 10_000}
	push := func() {
		t.Helper()
		if _, _, err := c.Do(new(Call), request("x 1\n")); err != nil {
			t.Fatal(err)
		}
	}
	push()
	c.Prune(time.Hour)
	push()
	if len(c.idle) != 1 {
		t.Errorf("%d connections", len(c.idle))
	}
	c.Prune(0)
	if len(c.idle) != 0 {
		t.Errorf("%d connections", len(c.idle))
	}
	c.Close()
	c.keep(&wire{Conn: noConn{}})
	if len(c.idle) != 0 {
		t.Errorf("%d connections after the end", len(c.idle))
	}
}

func TestPlainRequests(t *testing.T) {
	for name, change := range map[string]func(*Request){
		"query":         func(q *Request) { q.Target += "?wait" },
		"fragment":      func(q *Request) { q.Target += "#a" },
		"space":         func(q *Request) { q.Target += " HTTP/1.1" },
		"line end":      func(q *Request) { q.Target += "\r\nA: b" },
		"no slash":      func(q *Request) { q.Target = "metrics" },
		"no target":     func(q *Request) { q.Target = "" },
		"method":        func(q *Request) { q.Method = http.MethodDelete },
		"host":          func(q *Request) { q.Host = "a b" },
		"no host":       func(q *Request) { q.Host = "" },
		"no body":       func(q *Request) { q.Body = nil },
		"large body":    func(q *Request) { q.Body = make([]byte, maxBody+1) },
		"name":          func(q *Request) { q.Fields[0].Name = "A:" },
		"value":         func(q *Request) { q.Fields[0].Value = "a\r\nb: c" },
		"twice":         func(q *Request) { q.Fields[0].Name = q.Fields[1].Name },
		"for a server":  func(q *Request) { q.Fields[0].Name = "Connection" },
		"two lengths":   func(q *Request) { q.Fields[0].Name = "Content-Length" },
		"in two pieces": func(q *Request) { q.Fields[0].Value = strings.Repeat("a", bufferSize) },
	} {
		q := request("x 1\n")
		if change(q); q.Plain() {
			t.Errorf("%s: plain", name)
		}
	}
}

// What is plain for a client is plain for a lane, and says the same.
func FuzzPlainRequest(f *testing.F) {
	f.Add("/metrics/job/a", "gateway:9091", "Content-Type", "text/plain", "X-Some", "x 1\n")
	f.Add("/metrics/job/a%2Fb", "[::1]", "Authorization", "Basic \ta", "Te", "x 1\n")
	f.Fuzz(func(t *testing.T, target, host, name1, value1, name2, body string) {
		q := &Request{Method: http.MethodPost, Target: target, Host: host, Body: []byte(body), Fields: []Field{
			{http.CanonicalHeaderKey(name1), value1}, {http.CanonicalHeaderKey(name2), "b"},
		}}
		if !q.Plain() {
			return
		}
		var h head
		b := q.appendHead(nil)
		if !h.parse(b, "/") {
			if h.url != nil || h.target != target { // but for escapes that are none
				t.Fatalf("a lane does not take %q", b)
			}
			return
		}
		want := http.Header{"Content-Length": {fmt.Sprint(len(body))}, q.Fields[0].Name: {strings.Trim(value1, " \t")}, q.Fields[1].Name: {"b"}}
		if diff := cmp.Diff(want, h.header); diff != "" || h.target != target || h.host != host || h.length != int64(len(body)) || h.size != len(b) {
			t.Errorf("%q: %+v\n%s", b, h, diff)
		}
	})
}

// noConn gives bytes in pieces, and then an end.
type noConn struct {
	net.Conn
	in io.Reader
}

func (c noConn) Read(p []byte) (int, error) { return c.in.Read(p[:min(len(p), 700)]) }
func (c noConn) Close() error               { return nil }

// Whatever bytes come: an answer is what net/http reads, and a connection is good for more
// only when it was read to its end, and nothing beyond.
func FuzzAnswer(f *testing.F) {
	for _, a := range []string{
		ok, ok + ok, ok[:len(ok)-1], "", "HTTP/1.1 200 OK\r\n\r\nto the end", "HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n" + ok,
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", "HTTP/1.1 421 Misdirected Request\r\nA:\r\nContent-Length: 1\r\n\r\na",
		"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na", "HTTP/1.1 200 OK\nContent-Length: 1\n\na",
		"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + strings.Repeat("a", 900),
	} {
		f.Add([]byte(a))
	}
	const most = 1000
	f.Fuzz(func(t *testing.T, b []byte) {
		rest := bytes.NewReader(b)
		w := &wire{Conn: noConn{in: rest}}
		got, again, err := w.receive(most)
		in := bytes.NewReader(b)
		r := bufio.NewReader(in)
		var want *http.Response
		var wantErr error
		for range maxInterim {
			if want, wantErr = http.ReadResponse(r, nil); wantErr != nil || want.StatusCode >= http.StatusOK {
				break
			}
			wantErr = errInterim
		}
		var text []byte
		if wantErr == nil {
			text, wantErr = io.ReadAll(io.LimitReader(want.Body, most))
			_ = want.Body.Close()
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, net/http says %v", b, err, wantErr)
		}
		if err != nil {
			if again || got != nil {
				t.Errorf("%q: %v, and %v, %v", b, err, got, again)
			}
			return
		}
		if got.Status != want.StatusCode || !bytes.Equal(got.Body, text) {
			t.Errorf("%q: %d %q, net/http says %d %q", b, got.Status, got.Body, want.StatusCode, text)
		}
		header := want.Header.Clone()
		if want.Close {
			got.Header.Del("Connection")
			header.Del("Connection")
		}
		if diff := cmp.Diff(header, got.Header); diff != "" {
			t.Errorf("%q: net/http, here:\n%s", b, diff)
		}
		if again && (want.Close || rest.Len() != in.Len()+r.Buffered()) {
			t.Errorf("%q: %d bytes were read, net/http has read %d", b, len(b)-rest.Len(), len(b)-in.Len()-r.Buffered())
		}
	})
}

// A lane takes what a Client sends, and the connection stays with it.
func TestClientAndLane(t *testing.T) {
	byLane := make(chan bool, 1)
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, ours := w.(*answer)
		byLane <- ours
		mirror(w, q)
	}), true)
	c := &Client{Address: r.addr, MaxAnswer: 10_000}
	defer c.Close()
	for _, target := range []string{"/metrics/job/a", "/metrics/job/accepted", "/metrics/job/refused", "/metrics/job/a"} {
		q := request("x 1\n")
		q.Target = target
		if _, _, err := c.Do(new(Call), q); err != nil || !<-byLane || len(c.idle) != 1 {
			t.Errorf("%s: %v, %d connections", target, err, len(c.idle))
		}
	}
}
