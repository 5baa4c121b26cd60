package main_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	metricName = regexp.MustCompile(`\b(pushbridge|prometheus_remote_storage)_[a-z0-9_]+`)
	reasonList = regexp.MustCompile(`reason=~"([^"]+)"`)
	flagName   = regexp.MustCompile("`--([a-z-]+\\.[a-z-]+)")
)

// TestOperationsMetrics holds docs/operations.md to a running gateway: every
// metric, reason and flag that it names exists.
func TestOperationsMetrics(t *testing.T) {
	b, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	srv := httptest.NewServer(newStrictReceiver(*crashSeed, false))
	defer srv.Close()
	s := startServer(t, serverBinary(t), t.TempDir(), "--storage.path=data", "--remote-write.url="+srv.URL)
	url := s.ready(t)
	if a := put(t, http.DefaultClient, url+"/metrics/job/x", "m 1\n"); a.status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	shown := ""
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		// A destination shows its metrics when it runs.
		if shown = string(fetch(t, url+"/metrics")); strings.Contains(shown, "pushbridge_remotewrite_samples_pending{") {
			break
		}
	}
	names := metricName.FindAllString(text, -1)
	slices.Sort(names)
	names = slices.Compact(names)
	for _, name := range names {
		if !strings.Contains(shown, "# TYPE "+name+" ") {
			t.Errorf("docs/operations.md names %s, and /metrics does not have it", name)
		}
	}
	if len(names) < 30 {
		t.Errorf("only %d metrics are named", len(names))
	}
	for _, list := range reasonList.FindAllStringSubmatch(text, -1) {
		for reason := range strings.SplitSeq(list[1], "|") {
			if !strings.Contains(shown, `reason="`+reason+`"`) {
				t.Errorf("docs/operations.md names reason %s, and /metrics does not have it", reason)
			}
		}
	}
	status := string(fetch(t, url+"/api/v1/status"))
	for _, name := range flagName.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(status, `"`+name[1]+`"`) {
			t.Errorf("docs/operations.md names --%s, and there is no such flag", name[1])
		}
	}
}
