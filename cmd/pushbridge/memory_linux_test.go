//go:build !race

// The race detector takes memory of its own, several times what the program does.

package main_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// TestMemoryOfPushesInFlight pushes long texts from many clients at once. What
// reading, parsing and keeping them takes stays near --push.max-inflight-bytes:
// they are answered 503 until it is their turn.
func TestMemoryOfPushesInFlight(t *testing.T) {
	const limit, size, clients = 256 << 20, 16 << 20, 12
	s := startServer(t, serverBinary(t), t.TempDir(), "--storage.path=", "--log.level=error", fmt.Sprintf("--push.max-inflight-bytes=%d", limit))
	url := s.ready(t)
	body := "# HELP m " + strings.Repeat("x", size) + "\nm 1\n"
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for {
				a := put(t, &http.Client{Timeout: time.Minute}, fmt.Sprintf("%s/metrics/job/%d", url, i), body)
				if a.status == http.StatusOK {
					return
				}
				if a.status != http.StatusServiceUnavailable {
					t.Errorf("%+v", a)
					return
				}
			}
		})
	}
	all.Wait()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	kilobytes, err := strconv.Atoi(peakLine.FindStringSubmatch(string(status))[1])
	if err != nil {
		t.Fatal(err)
	}
	const most = limit*13/10 + clients*size + 64<<20 // and the state, and the program
	t.Logf("peak %d MiB, at most %d MiB", kilobytes>>10, most>>20)
	if kilobytes<<10 > most {
		t.Errorf("took %d MiB, want at most %d MiB", kilobytes>>10, most>>20)
	}
	if code := s.stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
