package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"
)

// reserved is an address of 127.0.0.1 that refuses connections until someone
// listens: the port is bound all the time, so that nobody else can take it.
type reserved struct {
	fd   int
	addr string
}

func reserve(t testing.TB) *reserved {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	r := &reserved{fd: fd, addr: fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)}
	t.Cleanup(func() {
		if r.fd >= 0 {
			_ = syscall.Close(r.fd)
		}
	})
	return r
}

// serve listens at last, until the test ends.
func (r *reserved) serve(t testing.TB, h http.Handler) {
	t.Helper()
	if err := syscall.Listen(r.fd, 1024); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(r.fd), r.addr)
	r.fd = -1
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close() // the listener has a descriptor of its own
	srv := httptest.NewUnstartedServer(h)
	_ = srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
}

// gate stands before a handler. While it is shut a request hangs until its
// sender gives up.
type gate struct {
	next http.Handler
	open chan struct{}
}

func newGate(next http.Handler) *gate { return &gate{next: next, open: make(chan struct{})} }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-g.open:
		g.next.ServeHTTP(w, r)
	case <-r.Context().Done():
	}
}
