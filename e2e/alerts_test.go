package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestRules has promtool check the rules, and run their unit tests: each alert firing,
// and quiet.
func TestRules(t *testing.T) {
	promtool := need(t, "/usr/bin/promtool", "prometheus")
	for _, args := range [][]string{
		{"check", "rules", "alerts.yml", "rules.yml"},
		{"test", "rules", "tests.yml"},
	} {
		c := exec.CommandContext(t.Context(), promtool, args...)
		c.Dir = mixin
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "SUCCESS") {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestAlertsArrive runs gateways that are in trouble beside one that is not, and waits
// until an Alertmanager has sent word of each trouble, and of the end of one that was
// mended. A Prometheus scrapes them and evaluates the alerts of the mixin, all but that
// it does not wait the minutes of their for.
func TestAlertsArrive(t *testing.T) {
	told := newPager(t)
	alertmanager := startAlertmanager(t, told.URL)

	quiet := startPushbridge(t, "--remote-write.url="+startPrometheus(t, "").writeURL())
	quiet.put(t, "quiet", "m 1\n")
	damaged := startDamaged(t)
	mended := &atomic.Bool{}
	troubled := startTroubled(t, mended)
	full := startPushbridge(t, "--remote-write.url=http://"+freeAddress(t)+"/api/v1/write", "--storage.max-bytes=200KiB")
	fillUp(t, full)

	var targets []string
	for _, g := range []*gateway{quiet, damaged, troubled, full} {
		targets = append(targets, strings.TrimPrefix(g.url, "http://"))
	}
	startPrometheus(t, alertingConfig(t, alertmanager, targets))
	at := func(g *gateway) string { return strings.TrimPrefix(g.url, "http://") }
	for _, want := range []alarm{
		{"PushbridgeDamage", at(damaged), ""},
		{"PushbridgeDestinationFails", at(troubled), "unreachable"},
		{"PushbridgeDestinationRefuses", at(troubled), "locked"},
		{"PushbridgeQueueNearItsBound", at(full), ""},
		{"PushbridgeJobOverdue", "", "never"},
		{"PushbridgeJobOverdue", "", "slow"},
	} {
		told.wait(t, "firing", want)
	}
	// Increases are seen between two scrapes only.
	eventually(t, "samples lost", func() error {
		troubled.put(t, "other", "m 1\n")
		return told.has("firing", alarm{"PushbridgeLosesSamples", at(troubled), "picky"})
	})
	mended.Store(true)
	told.wait(t, "resolved", alarm{"PushbridgeDestinationRefuses", at(troubled), "locked"})
	for _, p := range told.list("firing") {
		if p.instance == at(quiet) {
			t.Errorf("nothing is wrong with the quiet one: %+v", p)
		}
	}
}

// startTroubled starts a gateway with a destination for each trouble, and overdue jobs.
func startTroubled(t *testing.T, mended *atomic.Bool) *gateway {
	t.Helper()
	answer := func(code func() int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", "1")
			w.WriteHeader(code())
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	locked := answer(func() int {
		if mended.Load() {
			return http.StatusNoContent
		}
		return http.StatusUnauthorized
	})
	picky := answer(func() int { return http.StatusBadRequest })
	config := filepath.Join(t.TempDir(), "pushbridge.yml")
	write(t, config, `
remote_write:
- {name: unreachable, url: "http://`+freeAddress(t)+`/api/v1/write"}
- {name: locked, url: "`+locked+`", protobuf_message: prometheus.WriteRequest}
- {name: picky, url: "`+picky+`"}
pushbridge:
  rules: [{match: job="slow", expect_every: 1s}]
  jobs: [{labels: {job: never}, every: 1s, grace: 1s}]
`)
	g := startPushbridge(t, "--config.file="+config)
	g.put(t, "slow", "m 1\n")
	return g
}

// startDamaged starts a gateway on a log of which a byte has changed.
func startDamaged(t *testing.T) *gateway {
	t.Helper()
	storage := t.TempDir()
	g := startPushbridgeIn(t, storage)
	for i := range 20 {
		g.put(t, fmt.Sprintf("damaged/n/%d", i), "m 1\n")
	}
	g.kill()
	segments, err := filepath.Glob(filepath.Join(storage, "*.segment"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("segments: %v %v", segments, err)
	}
	b, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(bytes.TrimRight(b, "\x00"))/2] ^= 1 // among the records: zeros are ahead of more
	if err := os.WriteFile(segments[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	return startPushbridgeIn(t, storage)
}

// fillUp pushes until the queue has nine tenths of its bound.
func fillUp(t *testing.T, g *gateway) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2)) // nothing that compresses
	eventually(t, "a full queue", func() error {
		var body strings.Builder
		for i := range 100 {
			fmt.Fprintf(&body, "m{i=\"%d\"} %d\n", i, random.Uint64())
		}
		g.put(t, "full", body.String())
		used := g.metric(t, "pushbridge_queue_segment_bytes") + g.metric(t, "pushbridge_queue_snapshot_bytes")
		if limit := g.metric(t, "pushbridge_queue_limit_bytes"); used < 0.9*limit {
			return fmt.Errorf("%v of %v", used, limit)
		}
		return nil
	})
}

// alertingConfig is for a Prometheus that scrapes the targets and sends what our alerts
// find, at once.
func alertingConfig(t *testing.T, alertmanager string, targets []string) string {
	t.Helper()
	b, err := os.ReadFile(mixin + "/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "alerts.yml")
	write(t, file, regexp.MustCompile(`(?m)^    for: .*\n`).ReplaceAllString(string(b), ""))
	return fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs:
- job_name: pushbridge
  honor_labels: true
  static_configs: [{targets: ["%s"]}]
`, file, strings.TrimPrefix(alertmanager, "http://"), strings.Join(targets, `", "`))
}

// startAlertmanager starts Debian's Alertmanager, which sends everything to a webhook at
// once.
func startAlertmanager(t *testing.T, webhook string) string {
	t.Helper()
	path := need(t, "/usr/bin/prometheus-alertmanager", "prometheus-alertmanager")
	file := filepath.Join(t.TempDir(), "alertmanager.yml")
	write(t, file, `
route: {receiver: pager, group_by: [alertname], group_wait: 0s, group_interval: 1s}
receivers: [{name: pager, webhook_configs: [{url: "`+webhook+`", send_resolved: true}]}]
`)
	_, url := startOnPort(t, "alertmanager", path, "/-/ready", func(addr string) []string {
		return []string{
			"--config.file=" + file, "--storage.path=" + t.TempDir(), "--log.level=warn",
			"--web.listen-address=" + addr, "--cluster.listen-address=",
		}
	})
	return url
}

// alarm is what somebody is told: about an instance of the gateway, or without one, and
// which destination or job.
type alarm struct{ alert, instance, about string }

// pager keeps what an Alertmanager sends.
type pager struct {
	*httptest.Server
	mu    sync.Mutex
	pages map[string][]alarm // by status
}

func newPager(t *testing.T) *pager {
	t.Helper()
	p := &pager{pages: map[string][]alarm{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var message struct {
		Alerts []struct {
			Status              string
			Labels, Annotations map[string]string
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range message.Alerts {
		if a.Labels["severity"] == "" || a.Annotations["runbook_url"] == "" || strings.Contains(a.Annotations["description"], "{{") {
			a.Labels["alertname"] += " without its texts"
		}
		about := a.Labels["destination"]
		if a.Labels["alertname"] == "PushbridgeJobOverdue" {
			about = a.Labels["job"]
		}
		p.pages[a.Status] = append(p.pages[a.Status], alarm{a.Labels["alertname"], a.Labels["instance"], about})
	}
}

func (p *pager) list(status string) []alarm {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.pages[status])
}

func (p *pager) has(status string, want alarm) error {
	if got := p.list(status); !slices.Contains(got, want) {
		return fmt.Errorf("%+v is not among %+v", want, got)
	}
	return nil
}

func (p *pager) wait(t *testing.T, status string, want alarm) {
	t.Helper()
	eventually(t, status, func() error { return p.has(status, want) })
}
