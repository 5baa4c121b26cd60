package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestMemoryBoundOfLongTexts pushes help texts and label values of 1 MiB, while
// the destination is down. What is kept in memory for destinations is bounded in
// bytes, not in records: it fills, and does not grow on.
func TestMemoryBoundOfLongTexts(t *testing.T) {
	const limit = 64 << 20
	s := startServer(t, serverBinary(t), t.TempDir(), "--storage.path=data", "--remote-write.url=http://127.0.0.1:1/",
		"--storage.fsync=off", "--refresh.interval=0", "--log.level=error")
	url := s.ready(t)
	client := &http.Client{Timeout: time.Minute}
	for i := range 50 {
		long := strings.Repeat("x", 1<<20) + fmt.Sprint(i)
		for _, body := range []string{"# HELP m " + long + "\nm 1\n", "m{l=\"" + long + "\"} 1\n"} {
			if a := put(t, client, url+"/metrics/job/x", body); a.status != http.StatusOK {
				t.Fatalf("%+v", a)
			}
		}
	}
	if n := readMetrics(t, url)["pushbridge_queue_ring_bytes{}"]; n < limit/2 || n > limit {
		t.Errorf("%.0f bytes of records are in memory, want up to %d", n, limit)
	}
	if code := s.stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
