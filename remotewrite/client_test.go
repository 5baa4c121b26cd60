package remotewrite

import (
	"bufio"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// post sends "body" once to a client of c.
func post(t *testing.T, c Config, p Protocol, attempt int) answer {
	t.Helper()
	cl, err := newClient(&c, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return cl.post(t.Context(), bufferOf("body"), p, attempt)
}

func bufferOf(s string) *buffer {
	b := &buffer{}
	b.fill(func([]byte) []byte { return []byte(s) })
	return b
}

// recorder is a server that keeps the latest request and answers as told.
type recorder struct {
	*httptest.Server
	header http.Header
	method string
	body   string
	seen   int
	answer http.HandlerFunc
}

func newRecorder(t *testing.T, answer http.HandlerFunc) *recorder {
	r := &recorder{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.header, r.method, r.body = req.Header, req.Method, string(body)
		r.seen++
		if r.answer != nil {
			r.answer(w, req)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func TestRequestHeaders(t *testing.T) {
	r := newRecorder(t, nil)
	c := configFor(t, r.URL)
	c.Headers = map[string]string{"x-scope-orgid": "tenant-1", "Retry-Please": "no"}
	for _, row := range []struct {
		name    string
		p       Protocol
		attempt int
		want    map[string]string
	}{
		{"1.0", Protocol1, 0, map[string]string{
			"Content-Type": "application/x-protobuf", "X-Prometheus-Remote-Write-Version": "0.1.0", "Retry-Attempt": "",
		}},
		{"2.0", Protocol2, 0, map[string]string{
			"Content-Type":                      "application/x-protobuf;proto=io.prometheus.write.v2.Request",
			"X-Prometheus-Remote-Write-Version": "2.0.0", "Retry-Attempt": "",
		}},
		{"second retry", Protocol1, 2, map[string]string{"Retry-Attempt": "2"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := post(t, c, row.p, row.attempt)
			if a.err != nil || a.status != 200 || r.method != "POST" || r.body != "body" {
				t.Fatalf("answer %+v, method %s, body %q", a, r.method, r.body)
			}
			row.want["Content-Encoding"] = "snappy"
			row.want["Content-Length"] = "4"
			row.want["X-Scope-Orgid"] = "tenant-1"
			row.want["Retry-Please"] = "no"
			row.want["User-Agent"] = userAgent()
			for k, want := range row.want {
				if got := r.header.Get(k); got != want {
					t.Errorf("%s: got %q, want %q", k, got, want)
				}
			}
		})
	}
}

// Go's client turns a POST into a GET without a body on 301, 302 and 303, and the
// 2xx to that would look like success.
func TestRedirects(t *testing.T) {
	for _, row := range []struct {
		status int
		follow bool
		want   int
	}{
		{301, true, 301},
		{302, true, 302},
		{303, true, 303},
		{307, true, 204},
		{308, true, 204},
		{301, false, 301},
		{307, false, 307},
		{308, false, 308},
	} {
		t.Run(http.StatusText(row.status), func(t *testing.T) {
			end := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
			r := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", strings.Replace(end.URL, "http://", "http://u:secret@", 1)+"/there")
				w.WriteHeader(row.status)
			})
			c := configFor(t, r.URL)
			c.HTTPClient.FollowRedirects = row.follow
			a := post(t, c, Protocol2, 0)
			if a.err != nil || a.status != row.want {
				t.Fatalf("got %+v", a)
			}
			if a.status == 204 {
				if end.method != "POST" || end.body != "body" || end.header.Get("Content-Encoding") != "snappy" {
					t.Errorf("arrived: %s %q %v", end.method, end.body, end.header)
				}
				return
			}
			if end.seen > 0 {
				t.Error("was followed")
			}
			if !strings.HasSuffix(a.location, "/there") || strings.Contains(a.location, "secret") {
				t.Errorf("location %q", a.location)
			}
		})
	}
}

func TestRedirectsEnd(t *testing.T) {
	r := newRecorder(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Location", "http://"+req.Host+"/again")
		w.WriteHeader(308)
	})
	if a := post(t, configFor(t, r.URL), Protocol1, 0); a.status != 308 || r.seen != maxRedirects {
		t.Errorf("after %d requests: %+v", r.seen, a)
	}
}

func TestErrorTextIsBounded(t *testing.T) {
	r := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400)
		_, _ = w.Write([]byte("  out of \xff bounds\n" + strings.Repeat("x", 1<<20)))
	})
	a := post(t, configFor(t, r.URL), Protocol1, 0)
	if !strings.HasPrefix(a.text, "out of � bounds\nxxx") || len(a.text) > maxErrorText {
		t.Errorf("%d bytes: %.40q", len(a.text), a.text)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	var conns atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		if req.Header.Get("Retry-Attempt") == "" {
			w.WriteHeader(500)
			_, _ = w.Write(make([]byte, 8<<10))
		}
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	c := configFor(t, srv.URL)
	cl, err := newClient(&c, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		cl.post(t.Context(), bufferOf("body"), Protocol1, i%2)
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestTimeoutBoundsTheExchange(t *testing.T) {
	release := make(chan struct{})
	r := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400)
		_ = http.NewResponseController(w).Flush()
		<-release // the body never comes
	})
	c := configFor(t, r.URL)
	defer close(release)
	// Each of these ends. On a slow machine the first ones may end before the status comes.
	for c.RemoteTimeout = model.Duration(50 * time.Millisecond); post(t, c, Protocol1, 0).status != 400; c.RemoteTimeout *= 4 {
		if time.Duration(c.RemoteTimeout) > time.Minute {
			t.Fatal("the status never came")
		}
	}
	silent := newRecorder(t, func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
	c = configFor(t, silent.URL)
	c.RemoteTimeout = model.Duration(20 * time.Millisecond)
	if a := post(t, c, Protocol1, 0); a.err == nil || judge(a, terms{}) != again {
		t.Errorf("got %+v", a)
	}
}

func TestAnswerThatIsNotHTTP(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.Copy(io.Discard, req.Body)
			}
			_, _ = conn.Write([]byte("SSH-2.0-OpenSSH_9.2\r\n"))
			_ = conn.Close()
		}
	}()
	a := post(t, configFor(t, "http://"+l.Addr().String()), Protocol1, 0)
	if v := judge(a, terms{protocol: Protocol1}); v != again {
		t.Errorf("verdict %d for %+v", v, a)
	}
}

// Plain HTTP to a port for TLS, and the reverse: something to be put right, not an
// answer about samples.
func TestWrongScheme(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	secure, plain := httptest.NewUnstartedServer(ok), httptest.NewServer(ok)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	defer plain.Close()
	for _, u := range []string{
		strings.Replace(secure.URL, "https:", "http:", 1),
		strings.Replace(plain.URL, "http:", "https:", 1),
	} {
		a := post(t, configFor(t, u), Protocol2, 0)
		if v := judge(a, terms{protocol: Protocol2, negotiate: true}); v != again || a.status != 0 {
			t.Errorf("%s: verdict %d for %+v", u, v, a)
		}
	}
}

func TestErrorsDoNotShowTheURL(t *testing.T) {
	a := post(t, configFor(t, "http://user:secret@127.0.0.1:1/?token=secret"), Protocol1, 0)
	if a.err == nil || strings.Contains(a.err.Error(), "secret") {
		t.Errorf("got %v", a.err)
	}
}

func TestSecretFilesAreReadOnUse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := newRecorder(t, nil)
	c := configFor(t, r.URL)
	c.HTTPClient.Authorization = &promconfig.Authorization{Type: "Bearer", CredentialsFile: file}
	cl, err := newClient(&c, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"one", "two"} {
		write(token)
		cl.post(t.Context(), bufferOf(""), Protocol1, 0)
		if got := r.header.Get("Authorization"); got != "Bearer "+token {
			t.Errorf("got %q", got)
		}
	}
}

func TestRoundRobinDNSConnects(t *testing.T) {
	r := newRecorder(t, nil)
	c := configFor(t, strings.Replace(r.URL, "127.0.0.1", "localhost", 1))
	c.RoundRobinDNS = true
	if a := post(t, c, Protocol1, 0); a.err != nil && !strings.Contains(a.err.Error(), "[::1]") {
		t.Errorf("got %+v", a)
	}
}

func TestWrittenHeaders(t *testing.T) {
	for _, row := range []struct {
		name   string
		header map[string]string
		want   written
	}{
		{"none", nil, written{-1, -1, -1}},
		{"all", map[string]string{"Samples": "3", "Histograms": "2", "Exemplars": "0"}, written{3, 2, 0}},
		{"not a number", map[string]string{"Samples": "3.0", "Histograms": "", "Exemplars": "many"}, written{-1, -1, -1}},
		{"negative", map[string]string{"Samples": "-3"}, written{-1, -1, -1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range row.header {
					w.Header().Set("X-Prometheus-Remote-Write-"+k+"-Written", v)
				}
			})
			a := post(t, configFor(t, r.URL), Protocol2, 0)
			if diff := cmp.Diff(row.want, a.written, cmp.AllowUnexported(written{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A transport may go on reading a body after the answer: its memory must not be
// written to until it has closed it.
func TestBufferWaitsForItsReaders(t *testing.T) {
	b := bufferOf("first")
	r := b.reader()
	b.fill(func(dst []byte) []byte { return append(dst[:0], "second"...) })
	got, err := io.ReadAll(r)
	if err != nil || string(got) != "first" {
		t.Errorf("read %q, %v", got, err)
	}
	again := b.reader()
	_ = again.Close()
	_ = again.Close() // closing twice gives back once
	before := &b.bytes[0]
	b.fill(func(dst []byte) []byte { return append(dst[:0], "third"...) })
	if &b.bytes[0] != before {
		t.Error("memory was not used again")
	}
}
