package main_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	typeLine     = regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`)
	reservedLine = regexp.MustCompile(`(?m)^\t\tgroup\.(\w+): \{|^\t\t\t"(\w+)",$`)
)

// TestReservedNames compares the list of names that no push may take with what the
// binary shows: of each configuration nothing is missing, and none is in it in vain.
func TestReservedNames(t *testing.T) {
	reserved := readReserved(t)
	left := maps.Clone(reserved)
	for name, args := range map[string][]string{
		"bare":      {"--storage.path="},
		"on disk":   {"--storage.path=data"},
		"sending":   {"--storage.path=data", "--remote-write.url=http://127.0.0.1:1/write"},
		"in memory": {"--storage.path=", "--remote-write.url=http://127.0.0.1:1/write"},
		"all":       everythingOn(t),
	} {
		for shown, typ := range shownTypes(t, name == "sending" || name == "all" || name == "in memory", name == "all", args...) {
			if strings.HasPrefix(shown, "go_") || strings.HasPrefix(shown, "process_") || strings.HasPrefix(shown, "push_") {
				continue // always there, or everybody's
			}
			if reserved[shown] != typ {
				t.Errorf("%s: reserved.go does not have %s of type %s", name, shown, typ)
			}
			delete(left, shown)
		}
	}
	for name := range left {
		t.Errorf("%s is reserved, and no configuration shows it", name)
	}
}

// everythingOn are the flags of a gateway that shows every metric there is.
func everythingOn(t *testing.T) []string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config.yml")
	err := os.WriteFile(config, []byte(`remote_write:
- {name: one, url: "http://127.0.0.1:1/write"}
- {name: two, url: "http://127.0.0.1:1/write", protobuf_message: io.prometheus.write.v2.Request, send_native_histograms: true, send_exemplars: true}
pushbridge:
  rules:
  - match: ['{job="x"}']
    expect_every: 1h
  jobs:
  - {labels: {job: y}, every: 1h, started: y_start_time_seconds}
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--storage.path=data", "--config.file=" + config, "--persistence.file=pushed", "--push.accept-timestamps", "--web.enable-lifecycle"}
}

// readReserved reads the list from the source: the test looks at the binary from outside.
func readReserved(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile("reserved.go")
	if err != nil {
		t.Fatal(err)
	}
	out, typ := map[string]string{}, ""
	for _, m := range reservedLine.FindAllStringSubmatch(string(b), -1) {
		if m[1] != "" {
			typ = strings.ToLower(m[1])
		} else {
			out[m[2]] = typ
		}
	}
	if len(out) < 80 {
		t.Fatalf("only %d names are reserved", len(out))
	}
	return out
}

// shownTypes are the types of what a gateway shows, by name.
func shownTypes(t *testing.T, sends, expects bool, args ...string) map[string]string {
	t.Helper()
	shown := map[string]string{}
	for _, m := range typeLine.FindAllStringSubmatch(shownMetrics(t, sends, expects, args...), -1) {
		shown[m[1]] = m[2]
	}
	return shown
}

// shownMetrics runs a gateway and returns its /metrics after a push and a refusal.
func shownMetrics(t *testing.T, sends, expects bool, args ...string) string {
	t.Helper()
	s := startServer(t, serverBinary(t), t.TempDir(), args...)
	url := s.ready(t)
	put(t, http.DefaultClient, url+"/metrics/job/x", "push_test 1\n")
	put(t, http.DefaultClient, url+"/metrics/job/x", "push_test 1\n1")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		shown := string(fetch(t, url+"/metrics"))
		sending := strings.Contains(shown, "# TYPE pushbridge_remotewrite_samples_pending ")
		expecting := strings.Contains(shown, "# TYPE pushbridge_job_overdue ")
		if sending == sends && expecting == expects {
			return shown
		}
		if time.Now().After(deadline) {
			t.Fatal("the metrics of destinations, or of jobs, do not come")
		}
	}
}

// TestReservedFromTheStart pushes each name that is not ours yet, with a type that ours
// does not have, to a gateway without destinations: each is refused.
func TestReservedFromTheStart(t *testing.T) {
	s := startServer(t, serverBinary(t), t.TempDir(), "--storage.path=")
	url := s.ready(t)
	var accepted []string
	for name := range readReserved(t) {
		body := fmt.Sprintf("# TYPE %[1]s untyped\n%[1]s 1\n", name)
		if a := put(t, http.DefaultClient, url+"/metrics/job/x", body); a.status != http.StatusBadRequest {
			accepted = append(accepted, name)
		}
	}
	slices.Sort(accepted)
	if len(accepted) > 0 {
		t.Errorf("accepted: %q", accepted)
	}
}
