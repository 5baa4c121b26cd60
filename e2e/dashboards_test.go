package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const mixin = "../deploy/mixin"

// TestDashboardsShowSomething asks a Prometheus every query of the dashboards, and of the
// dashboard and alerts that Prometheus' own project has for remote write. It scrapes a busy
// gateway as docs/operations.md says, loads our recording rules, and is the destination too.
func TestDashboardsShowSomething(t *testing.T) {
	config := filepath.Join(t.TempDir(), "pushbridge.yml")
	write(t, config, "")
	g := startPushbridge(t, "--config.file="+config, "--refresh.interval=1s")
	rules, err := filepath.Abs(mixin + "/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	b := startPrometheus(t, "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: ["+rules+"]\n"+documentedScrape(t, g))
	write(t, config, "remote_write: [{url: "+b.writeURL()+", name: here}]\n"+`
pushbridge:
  rules: [{match: job="nightly", expect_every: 1h}]
  jobs: [{labels: {job: backup}, every: 1h, started: backup_start_time_seconds}]
`)
	if err := g.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() { defer close(ended); keepBusy(g, stop) }()
	defer func() { close(stop); <-ended }()

	files, err := filepath.Glob(mixin + "/dashboards/*.json")
	if err != nil || len(files) != 3 {
		t.Fatalf("dashboards: %v %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { showsSomething(t, b, queriesOf(t, file)) })
	}
	t.Run("Prometheus' own", func(t *testing.T) { showsSomething(t, b, remoteWriteMixin) })
}

// write makes a file for what runs beside the test.
func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// documentedScrape is the scrape job of docs/operations.md, for g.
func documentedScrape(t *testing.T, g *gateway) string {
	t.Helper()
	b, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(scrape_configs:.*?)```").FindSubmatch(b)
	if block == nil || !strings.Contains(string(block[1]), "localhost:9091") {
		t.Fatal("docs/operations.md has no scrape job with localhost:9091")
	}
	return strings.Replace(string(block[1]), "localhost:9091", strings.TrimPrefix(g.url, "http://"), 1)
}

// keepBusy pushes, is refused and says that runs begin and end, until stop.
func keepBusy(g *gateway, stop chan struct{}) {
	for i := 0; ; i++ {
		for _, c := range []struct{ method, path, body string }{
			{"PUT", "nightly/instance/db1", fmt.Sprintf("batch_rows_total %d\n", i)},
			{"POST", "nightly/instance/db1", fmt.Sprintf("batch_lag_seconds %d\n", i)},
			{"PUT", "backup", fmt.Sprintf("backup_start_time_seconds %d\n", time.Now().Unix()-1)},
			{"PUT", "backup", fmt.Sprintf("backup_bytes %d\n", i)},
			{"PUT", "nightly/instance/db2", "# TYPE batch_rows_total histogram\nbatch_rows_total_sum 1\n"},
		} {
			// What becomes of them is seen by the queries.
			_, _, _ = send(context.Background(), c.method, g.url+"/metrics/job/"+c.path, c.body, nil)
		}
		select {
		case <-stop:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

var (
	variableOf = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
	chosen     = regexp.MustCompile(`"\$\w+"`)
)

// queriesOf returns what a dashboard asks, with everything chosen.
func queriesOf(t *testing.T, file string) (all []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Templating struct {
			List []struct{ Type, Definition string }
		}
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	for _, v := range d.Templating.List {
		if m := variableOf.FindStringSubmatch(v.Definition); m != nil {
			all = append(all, fmt.Sprintf("count by (%s) (%s)", m[2], m[1]))
		} else if v.Type == "query" {
			t.Errorf("variable %s", v.Definition)
		}
	}
	for _, p := range d.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("the panel %s asks nothing", p.Title)
		}
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
	}
	for i, expr := range all {
		all[i] = strings.ReplaceAll(chosen.ReplaceAllString(expr, `".+"`), "$__rate_interval", "10s")
	}
	return all
}

// showsSomething fails for a query that has no answer, or only one that is no number.
func showsSomething(t *testing.T, b backend, queries []string) {
	t.Helper()
	for _, expr := range queries {
		eventually(t, expr, func() error {
			got, err := b.queryAt(expr, time.Time{})
			if err != nil {
				return err
			}
			for _, series := range got {
				if !strings.HasSuffix(series, " NaN") {
					return nil
				}
			}
			return fmt.Errorf("shows nothing: %q", got)
		})
	}
	t.Logf("%d queries", len(queries))
}

// remoteWriteMixin is what the mixin of the Prometheus project asks about remote write,
// in its dashboard and its alerts, as far as it is about remote write and not about a WAL;
// alerts without their bounds, since nothing is wrong here.
var remoteWriteMixin = []string{
	`(prometheus_remote_storage_highest_timestamp_in_seconds{instance=~".+"} - ignoring(remote_name, url) group_right(instance) (prometheus_remote_storage_queue_highest_sent_timestamp_seconds{instance=~".+"} != 0))`,
	`(prometheus_remote_storage_queue_highest_timestamp_seconds{instance=~".+"} - (prometheus_remote_storage_queue_highest_sent_timestamp_seconds{instance=~".+"} != 0))`,
	`clamp_min(rate(prometheus_remote_storage_highest_timestamp_in_seconds{instance=~".+"}[5m]) - ignoring (remote_name, url) group_right(instance) rate(prometheus_remote_storage_queue_highest_sent_timestamp_seconds{instance=~".+"}[5m]), 0)`,
	`rate(prometheus_remote_storage_samples_in_total{instance=~".+"}[5m]) - ignoring(remote_name, url) group_right(instance) (rate(prometheus_remote_storage_succeeded_samples_total{instance=~".+"}[5m]) or rate(prometheus_remote_storage_samples_total{instance=~".+"}[5m]))`,
	`prometheus_remote_storage_shards{instance=~".+"}`,
	`prometheus_remote_storage_shards_max{instance=~".+"}`,
	`prometheus_remote_storage_shards_min{instance=~".+"}`,
	`prometheus_remote_storage_shards_desired{instance=~".+"}`,
	`prometheus_remote_storage_shard_capacity{instance=~".+"}`,
	`prometheus_remote_storage_pending_samples{instance=~".+"} or prometheus_remote_storage_samples_pending{instance=~".+"}`,
	`rate(prometheus_remote_storage_failed_samples_total{instance=~".+"}[5m]) or rate(prometheus_remote_storage_samples_failed_total{instance=~".+"}[5m])`,
	`rate(prometheus_remote_storage_retried_samples_total{instance=~".+"}[5m]) or rate(prometheus_remote_storage_samples_retried_total{instance=~".+"}[5m])`,
	`rate(prometheus_remote_storage_enqueue_retries_total{instance=~".+"}[5m])`,
	`histogram_quantile(0.99, sum by (le, instance) (rate(prometheus_remote_storage_sent_batch_duration_seconds_bucket[5m])))`,
	`(rate(prometheus_remote_storage_failed_samples_total[5m]) or rate(prometheus_remote_storage_samples_failed_total[5m])) / ((rate(prometheus_remote_storage_failed_samples_total[5m]) or rate(prometheus_remote_storage_samples_failed_total[5m])) + (rate(prometheus_remote_storage_succeeded_samples_total[5m]) or rate(prometheus_remote_storage_samples_total[5m]))) * 100`,
	`max_over_time(prometheus_remote_storage_highest_timestamp_in_seconds[5m]) - ignoring(remote_name, url) group_right max_over_time(prometheus_remote_storage_queue_highest_sent_timestamp_seconds[5m])`,
	`max_over_time(prometheus_remote_storage_shards_max[5m]) - max_over_time(prometheus_remote_storage_shards_desired[5m])`,
}
