//go:build unix

package main_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// waiting starts a server whose receiver is down, with a push that waits for its
// delivery.
func waiting(t *testing.T) (s *server, url, config string, up *atomic.Bool, answered chan answer) {
	t.Helper()
	up = new(atomic.Bool)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(receiver.Close)
	config = filepath.Join(t.TempDir(), "pushbridge.yml")
	text := "remote_write:\n- url: " + receiver.URL + "\n  name: main\n  protobuf_message: prometheus.WriteRequest\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s = startServer(t, serverBinary(t), t.TempDir(), "--storage.path=data", "--config.file="+config, "--shutdown.timeout=20s")
	url = s.ready(t)
	answered = make(chan answer)
	go func() {
		answered <- put(t, http.DefaultClient, url+"/metrics/job/x?wait=delivered&timeout=10m", "m 1\n")
	}()
	awaitMetric(t, url, "pushbridge_ingest_waiting_pushes 1")
	return s, url, config, up, answered
}

func awaitMetric(t *testing.T, url, line string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if strings.Contains(string(fetch(t, url+"/metrics")), "\n"+line+"\n") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("/metrics never shows %s", line)
		}
	}
}

// Pushes that wait for their delivery do not hold up a stop: they hear where they are.
func TestStopEndsWaiting(t *testing.T) {
	s, _, _, _, answered := waiting(t)
	stopped := make(chan int)
	go func() { stopped <- s.stop(t) }()
	if a := <-answered; a.status != http.StatusAccepted || !strings.Contains(a.text, `"state":"pending"`) {
		t.Errorf("got %+v", a)
	}
	if code := <-stopped; code != 0 {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(s.tail(), "cut off") {
		t.Errorf("it was cut off: %s", s.tail())
	}
}

// A reload that exchanges the destination does not end the waiting for it.
func TestReloadKeepsWaiting(t *testing.T) {
	s, url, config, up, answered := waiting(t)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "  remote_timeout: 7s\n- url: http://127.0.0.1:1/\n  name: added\n"...)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	awaitMetric(t, url, `pushbridge_remotewrite_samples_pending{destination="added"} 0`)
	up.Store(true)
	// The one that was added began later, and has nothing of this push to get.
	if a := <-answered; a.status != http.StatusOK || !strings.Contains(a.text, `{"destination":"main","state":"delivered","time":`) ||
		!strings.Contains(a.text, `{"destination":"added","state":"before"}`) {
		t.Errorf("got %+v", a)
	}
	if code := s.stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
