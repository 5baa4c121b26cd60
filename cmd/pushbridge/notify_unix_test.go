//go:build unix

package main_test

import (
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// TestTellsSystemd starts the gateway as systemd starts a unit of Type=notify: it says
// when it answers, and that it stops.
func TestTellsSystemd(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	s := startServer(t, serverBinary(t), t.TempDir(), "--storage.path=data")
	told := func(want string) {
		t.Helper()
		b := make([]byte, 1000)
		if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(b)
		if err != nil || string(b[:n]) != want {
			t.Fatalf("systemd was told %q, %v, want %q\n%s", b[:n], err, want, s.out)
		}
	}
	told("READY=1")
	url := s.ready(t)
	if a := put(t, http.DefaultClient, url+"/metrics/job/x", "m 1\n"); a.status != http.StatusOK {
		t.Errorf("%+v", a)
	}
	if code := s.stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, s.out)
	}
	told("STOPPING=1")
}
