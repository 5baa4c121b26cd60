//go:build unix

package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pushbridge/pushbridge/pgfile"
)

// TestStopCutsOffWhatHangs stops the server while something hangs in it that only
// a client or a file could end. It stops all the same, as if nothing hung: exit
// code 0, with its snapshot and the persistence file.
func TestStopCutsOffWhatHangs(t *testing.T) {
	for _, tt := range []struct {
		name string
		hang func(t *testing.T, s *server, url, config string)
	}{
		{"a push whose body does not come", func(t *testing.T, _ *server, url, _ string) {
			r := dial(t, url, "PUT /metrics/job/y HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
			if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
				t.Fatalf("%q %v", line, err)
			}
		}},
		{"a reader of /metrics that does not read on", func(t *testing.T, _ *server, url, _ string) {
			long := strings.Repeat("x", 1<<20)
			for i := range 30 { // more than the buffers of a connection take
				body := fmt.Sprintf("# HELP m%d %s\nm%d 1\n", i, long, i)
				if a := put(t, http.DefaultClient, fmt.Sprintf("%s/metrics/job/%d", url, i), body); a.status != http.StatusOK {
					t.Fatalf("%+v", a)
				}
			}
			r := dial(t, url, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
			if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}},
		{"a profile that takes its time", func(t *testing.T, _ *server, url, _ string) {
			dial(t, url, "GET /debug/pprof/profile?seconds=3600 HTTP/1.1\r\nHost: x\r\n\r\n")
			waitForGoroutine(t, url, "net/http/pprof.Profile")
		}},
		{"a reload that reads a pipe, at a signal", func(t *testing.T, s *server, url, config string) {
			makePipe(t, config)
			if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			waitForGoroutine(t, url, "config.readFile")
		}},
		{"a reload that reads a pipe, at a request", func(t *testing.T, _ *server, url, config string) {
			makePipe(t, config)
			dial(t, url, "POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
			waitForGoroutine(t, url, "config.readFile")
		}},
		{"a reload that reads a certificate from a pipe", func(t *testing.T, s *server, url, config string) {
			ca := filepath.Join(filepath.Dir(config), "ca")
			makePipe(t, ca)
			text := "remote_write:\n- url: https://127.0.0.1:1/\n  tls_config: {ca_file: ca}\n"
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			waitForGoroutine(t, url, "remotewrite.Check")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			config, file := filepath.Join(dir, "pushbridge.yml"), filepath.Join(dir, "metrics.data")
			if err := os.WriteFile(config, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			s := startServer(t, serverBinary(t), dir, "--storage.path=data", "--config.file="+config, "--persistence.file="+file,
				"--web.enable-lifecycle", "--shutdown.timeout=1s", "--storage.fsync=off")
			url := s.ready(t)
			if a := put(t, http.DefaultClient, url+"/metrics/job/x", "m 1\n"); a.status != http.StatusOK {
				t.Fatalf("%+v", a)
			}
			tt.hang(t, s, url, config)
			if code := s.stop(t); code != 0 {
				t.Errorf("exit code %d\n%s", code, s.out)
			}
			checkLeft(t, file, filepath.Join(dir, "data"))
		})
	}
}

// checkLeft checks for what a proper stop leaves behind.
func checkLeft(t *testing.T, file, data string) {
	t.Helper()
	if found, err := filepath.Glob(filepath.Join(data, "*.snap*")); len(found) == 0 {
		t.Errorf("no snapshot was written: %v", err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	groups, err := pgfile.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		if g.Labels.Job() == "x" {
			return
		}
	}
	t.Errorf("the persistence file has %d groups, and not the one that was pushed", len(groups))
}

// dial sends request on a connection that stays open, and returns what comes back.
func dial(t *testing.T, url, request string) *bufio.Reader {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(conn)
}

// waitForGoroutine waits until the server is in the function.
func waitForGoroutine(t *testing.T, url, function string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if strings.Contains(string(fetch(t, url+"/debug/pprof/goroutine?debug=2")), function) {
			return
		}
	}
	t.Fatalf("nothing runs in %s", function)
}

// makePipe puts a pipe that nobody writes to in a file's place.
func makePipe(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
}
