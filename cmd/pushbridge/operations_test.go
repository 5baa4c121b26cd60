package main_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	metricName = regexp.MustCompile(`\b(pushbridge|prometheus_remote_storage|pushgateway|process)_[a-z0-9_]+`)
	recorded   = regexp.MustCompile(`\bjob_[a-z_]+:[a-z0-9_:]+`) // names of recording rules
	ofFamily   = regexp.MustCompile(`_(bucket|count|sum)$`)
	reasonList = regexp.MustCompile(`reason[!=]~\\?"([^"\\]+)\\?"`)
	stateList  = regexp.MustCompile(`state=~?\\?"([^"\\]+)\\?"`)
	flagName   = regexp.MustCompile("(?:`|: |')--([a-z-]+\\.[a-z-]+)")
)

// operations are what an operator sees: metrics, reasons, states and flags that any of
// these names must be there.
var operations = []string{"docs/operations.md", "deploy/mixin/alerts.yml", "deploy/mixin/rules.yml", "deploy/mixin/dashboards/*.json"}

// TestOperationsMetrics holds what operators read and load to a running gateway: every
// metric, reason, state and flag that it names exists.
func TestOperationsMetrics(t *testing.T) {
	srv := httptest.NewServer(newStrictReceiver(*crashSeed, false))
	defer srv.Close()
	dir := t.TempDir()
	config := "remote_write: [{url: " + srv.URL + "}]\n" + `
pushbridge:
  rules: [{match: job="x", expect_every: 1h}]
  jobs: [{labels: {job: x}, every: 1h, started: m}]
`
	if err := os.WriteFile(filepath.Join(dir, "config.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, serverBinary(t), dir, "--storage.path=data", "--config.file=config.yml")
	url := s.ready(t)
	if a := put(t, http.DefaultClient, url+"/metrics/job/x", "m 1\n"); a.status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	shown := ""
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		// A destination shows its metrics when it runs, a job when it is known.
		shown = string(fetch(t, url+"/metrics"))
		if strings.Contains(shown, "pushbridge_remotewrite_samples_pending{") && strings.Contains(shown, "pushbridge_job_runtime_seconds{") {
			break
		}
	}
	status := string(fetch(t, url+"/api/v1/status"))
	named := 0
	for _, pattern := range operations {
		files, err := filepath.Glob("../../" + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v %v", pattern, files, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			named += checkNames(t, file, string(b), shown, status)
		}
	}
	if named < 150 {
		t.Errorf("only %d names were found", named)
	}
}

// checkNames returns how many names it found in text.
func checkNames(t *testing.T, file, text, shown, status string) (found int) {
	t.Helper()
	text = recorded.ReplaceAllString(text, "")
	for _, name := range metricName.FindAllString(text, -1) {
		if found++; !strings.Contains(shown, "# TYPE "+name+" ") && !strings.Contains(shown, "# TYPE "+ofFamily.ReplaceAllString(name, "")+" ") {
			t.Errorf("%s names %s, and /metrics does not have it", file, name)
		}
	}
	for label, list := range map[string]*regexp.Regexp{"reason": reasonList, "state": stateList} {
		for _, m := range list.FindAllStringSubmatch(text, -1) {
			for value := range strings.SplitSeq(m[1], "|") {
				if found++; !strings.Contains(shown, label+`="`+value+`"`) {
					t.Errorf("%s names %s %s, and /metrics does not have it", file, label, value)
				}
			}
		}
	}
	for _, name := range flagName.FindAllStringSubmatch(text, -1) {
		if found++; !strings.Contains(status, `"`+name[1]+`"`) {
			t.Errorf("%s names --%s, and there is no such flag", file, name[1])
		}
	}
	return found
}
