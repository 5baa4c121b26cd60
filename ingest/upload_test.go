package ingest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// dial connects to a server of h.
func dial(t *testing.T, h http.Handler) *net.TCPConn {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // before the server waits for its connections
	return conn.(*net.TCPConn)
}

// hear reads an answer; last says that the connection ends with it.
func hear(t *testing.T, conn net.Conn) (code int, last bool, text string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Close, string(b)
}

// TestClientStopsSending has clients that end their half of the connection, or
// all of it, while their request waits for the disk. It is carried out, and the
// answer is the one that it would have been.
func TestClientStopsSending(t *testing.T) {
	for _, tc := range []struct {
		request string // method and path
		body    string
		code    int
		handler string
	}{
		{"PUT /metrics/job/a", "m 1\n", 200, "push"},
		{"POST /metrics/job/a", "m 1\n", 200, "push"},
		{"POST /metrics/job/a", "m 1 1\n", 400, "push"},
		{"DELETE /metrics/job/there", "", 202, "delete"},
		{"PUT /api/v1/admin/wipe", "", 202, "wipe"},
		{"DELETE /api/v1/groups?match[]={job=\"there\"}", "", 202, "groups"},
	} {
		for _, gone := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %d gone %t", tc.request, tc.code, gone), func(t *testing.T) {
				reg := prometheus.NewRegistry()
				g := newIdleRig(t, Options{AdminAPI: true, Registerer: reg})
				noticed, done := make(chan struct{}), make(chan struct{})
				conn := dial(t, Uploads(0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(done)
					context.AfterFunc(r.Context(), func() { close(noticed) })
					if strings.HasPrefix(r.URL.Path, GroupsPath) {
						g.ServeGroups(w, r)
						return
					}
					g.ServeHTTP(w, r)
				})))
				fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", tc.request, len(tc.body), tc.body)
				if gone {
					_ = conn.Close()
				} else if err := conn.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				<-noticed
				g.run()
				if !gone {
					if code, _, text := hear(t, conn); code != tc.code {
						t.Errorf("heard %d %q", code, text)
					}
				}
				<-done
				method, _, _ := strings.Cut(tc.request, " ")
				counted := RequestCounter(reg).WithLabelValues(tc.handler, fmt.Sprint(tc.code), strings.ToLower(method))
				if n := testutil.ToFloat64(counted); n != 1 {
					t.Errorf("counted %g requests of code %d", n, tc.code)
				}
				if got := len(g.keys()); (got == 1) != (tc.handler == "push") {
					t.Errorf("%d groups", got)
				}
			})
		}
	}
}

// TestExpect has a client that sends no body before it is asked to, and is
// refused before that.
func TestExpect(t *testing.T) {
	for _, tc := range []struct {
		name, path, encoding string
		length, code         int
		tell                 string // part of the answer
	}{
		{"bad path", "/metrics/job/a/b", "", 1000, 400, "odd number"},
		{"bad path, long body", "/metrics/job/a/b", "", 1 << 20, 400, "odd number"},
		{"too large", "/metrics/job/a", "", 1 << 30, 413, "--push.max-body-bytes"},
		{"too large, gzip", "/metrics/job/a", "gzip", 1 << 30, 413, "--push.max-body-bytes"},
		{"no route", "/metrics/jobs", "", 1000, 404, "not found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conn := dial(t, Uploads(0, newRig(t, Options{})))
			fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n", tc.path, tc.length)
			if tc.encoding != "" {
				fmt.Fprintf(conn, "Content-Encoding: %s\r\n", tc.encoding)
			}
			_, _ = io.WriteString(conn, "\r\n") // reading tells
			code, last, text := hear(t, conn)
			if code != tc.code || !strings.Contains(text, tc.tell) || !last {
				t.Errorf("heard %d %t %q, want %d %q", code, last, text, tc.code, tc.tell)
			}
		})
	}
	t.Run("taken", func(t *testing.T) {
		conn := dial(t, Uploads(0, newRig(t, Options{})))
		_, _ = io.WriteString(conn, "PUT /metrics/job/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		in := bufio.NewReader(conn)
		if line, err := in.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("%q, %v", line, err)
		}
		_, _ = io.WriteString(conn, "m 1\n")
		_, _ = in.ReadString('\n')
		if line, err := in.ReadString('\n'); err != nil || line != "HTTP/1.1 200 OK\r\n" {
			t.Errorf("%q, %v", line, err)
		}
	})
}

// TestRefusedUploadIsHeard has a client that listens only when it has sent
// everything, and one that listens at once.
func TestRefusedUploadIsHeard(t *testing.T) {
	body := bytes.Repeat([]byte("some_metric 1\n"), 2<<20)
	for _, tc := range []struct {
		name, path, tell string
		code             int
	}{
		{"too large", "/metrics/job/a", "--push.max-body-bytes", 413},
		{"bad path", "/metrics/job/a/b", "odd number", 400},
		{"no route", "/metrics/jobs", "not found", 404},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, chunked %t", tc.name, chunked), func(t *testing.T) {
				g := newRig(t, Options{Limits: Limits{MaxBodyBytes: 1 << 20}})
				conn := dial(t, Uploads(0, g))
				w := bufio.NewWriter(conn)
				fmt.Fprintf(w, "PUT %s HTTP/1.1\r\nHost: x\r\n", tc.path)
				if chunked {
					fmt.Fprintf(w, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
				} else {
					fmt.Fprintf(w, "Content-Length: %d\r\n\r\n%s", len(body), body)
				}
				if err := w.Flush(); err != nil {
					t.Fatalf("cut off while sending: %v", err)
				}
				if code, _, text := hear(t, conn); code != tc.code || !strings.Contains(text, tc.tell) {
					t.Errorf("heard %d %q", code, text)
				}
			})
		}
		t.Run(tc.name+", listening at once", func(t *testing.T) {
			conn := dial(t, Uploads(0, newRig(t, Options{Limits: Limits{MaxBodyBytes: 1 << 20}})))
			fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", tc.path, len(body))
			if code, _, text := hear(t, conn); code != tc.code || !strings.Contains(text, tc.tell) {
				t.Errorf("heard %d %q", code, text)
			}
		})
	}
}

// TestConnectionIsKept has a short body that is not read: the next request on the
// connection is understood.
func TestConnectionIsKept(t *testing.T) {
	conn := dial(t, Uploads(0, newRig(t, Options{})))
	for range 3 {
		_, _ = io.WriteString(conn, "PUT /metrics/job/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nm 1\n")
		if code, last, text := hear(t, conn); code != 400 || last {
			t.Errorf("heard %d %t %q", code, last, text)
		}
	}
}

// TestStalledUpload has a client that announces much and sends little.
func TestStalledUpload(t *testing.T) {
	for _, head := range []string{"Content-Length: 1000000\r\n\r\nm ", "Content-Length: 1000\r\n\r\nm ", "Transfer-Encoding: chunked\r\n\r\n2\r\nm "} {
		g := newRig(t, Options{})
		conn := dial(t, Uploads(time.Millisecond, g))
		_, _ = io.WriteString(conn, "PUT /metrics/job/a HTTP/1.1\r\nHost: x\r\n"+head)
		code, last, text := hear(t, conn)
		if code != 408 || !last || !strings.Contains(text, "stood still: 2 bytes came in") {
			t.Errorf("heard %d %t %q", code, last, text)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is still there")
		}
		g.idle()
	}
}

// stalled is a body that has run out of time.
type stalled struct{}

func (stalled) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

// TestStalledUploadGetsNoMoreTime holds that nobody waits for the rest of a body
// that stood still, which would keep its connection, and a stop, for a minute.
func TestStalledUploadGetsNoMoreTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &patientWriter{}
		r := httptest.NewRequestWithContext(t.Context(), "PUT", "/", stalled{})
		Uploads(10*time.Second, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			http.Error(w, fmt.Sprint(err), http.StatusRequestTimeout)
		})).ServeHTTP(w, r)
		if got, want := fmt.Sprint(w.deadlines), "[10s]"; got != want {
			t.Errorf("deadlines %s, want %s", got, want)
		}
	})
}

// TestStalledUploadsHoldLittle has more announced than all pushes together may
// take, and little sent: others are taken.
func TestStalledUploadsHoldLittle(t *testing.T) {
	const stalled = 100
	g := newRig(t, Options{Limits: Limits{MaxInFlightBytes: 4 << 20}})
	srv := httptest.NewServer(Uploads(0, g))
	defer srv.Close()
	for range stalled {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "PUT /metrics/job/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\nm ")
	}
	for g.bodies.budget.used.Load() < stalled*firstBuffer {
		runtime.Gosched()
	}
	if w := g.do("PUT", "/metrics/job/a", "m 1\n"); w.Code != 200 {
		t.Errorf("got %d %q with %d bytes in flight", w.Code, w.Body, g.bodies.budget.used.Load())
	}
}

// patientWriter notes read deadlines.
type patientWriter struct {
	httptest.ResponseRecorder
	deadlines []time.Duration // from now on; -1 is none
}

func (p *patientWriter) SetReadDeadline(t time.Time) error {
	d := time.Duration(-1)
	if !t.IsZero() {
		d = time.Until(t)
	}
	p.deadlines = append(p.deadlines, d)
	return nil
}

// slowReader brings its parts one a second.
type slowReader []int

func (s *slowReader) Read([]byte) (int, error) {
	if len(*s) == 0 {
		return 0, io.EOF
	}
	time.Sleep(time.Second)
	n := (*s)[0]
	*s = (*s)[1:]
	return n, nil
}

// TestUploadProgress holds that a body may take any time while it comes on.
func TestUploadProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &patientWriter{}
		r := httptest.NewRequestWithContext(t.Context(), "PUT", "/", &slowReader{1000, 0, 500})
		Uploads(10*time.Second, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				t.Error(err)
			}
		})).ServeHTTP(w, r)
		const s = time.Second
		if got, want := fmt.Sprint(w.deadlines), fmt.Sprint([]time.Duration{10 * s, 11 * s, 10 * s, 10 * s, -1}); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// keepingBody is a ResponseWriter of a server that keeps the body for itself.
type keepingBody struct{ http.ResponseWriter }

func (keepingBody) KeepsBody() {}

// TestUploadsLeaveTheServersBody: a server that asks its request for the body still finds its own there.
func TestUploadsLeaveTheServersBody(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		sent := io.NopCloser(strings.NewReader("m 1\n"))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/metrics/job/a", sent)
		var w http.ResponseWriter = httptest.NewRecorder()
		if keeps {
			w = keepingBody{w}
		}
		Uploads(0, http.HandlerFunc(func(_ http.ResponseWriter, seen *http.Request) {
			if got, _ := io.ReadAll(seen.Body); string(got) != "m 1\n" {
				t.Errorf("keeps=%v: the handler read %q", keeps, got)
			}
			if (seen == r) != keeps || !keeps && r.Body != sent {
				t.Errorf("keeps=%v: the handler has the server's request: %v", keeps, seen == r)
			}
		})).ServeHTTP(w, r)
	}
}
