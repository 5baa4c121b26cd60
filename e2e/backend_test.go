package e2e

import (
	stdcmp "cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// backend is a place that takes remote write and answers PromQL.
type backend interface {
	writeURL() string
	// queryAt evaluates an instant query and returns one line per series,
	// sorted, as name{label="value"} 1. The zero time is the backend's now.
	queryAt(expr string, at time.Time) ([]string, error)
}

// query evaluates an instant query now.
func query(t testing.TB, b backend, expr string) []string {
	t.Helper()
	got, err := b.queryAt(expr, time.Time{})
	if err != nil {
		t.Fatalf("query %s: %v", expr, err)
	}
	return got
}

// waitQuery waits until an instant query has the wanted answer.
func waitQuery(t testing.TB, b backend, expr string, want ...string) {
	t.Helper()
	slices.Sort(want)
	eventually(t, "query "+expr, func() error {
		got, err := b.queryAt(expr, time.Time{})
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("(-want +got):\n%s", diff)
		}
		return nil
	})
}

// line prints a series and its value as the queries return them.
func line(l labels.Labels, value string) string {
	name := l.Get(model.MetricNameLabel)
	rest := labels.NewBuilder(l).Del(model.MetricNameLabel).Labels()
	if rest.IsEmpty() && name != "" {
		return name + " " + value
	}
	return name + strings.ReplaceAll(rest.String(), `", `, `",`) + " " + value
}

func formatFloat(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// server is a backend that runs as a process of its own and has Prometheus'
// HTTP API.
type server struct {
	*process
	url   string
	flush string   // path that makes it show what it was just sent, empty when it does so anyway
	write string   // where it takes samples, unless at the path of Prometheus
	api   string   // what stands before the path of queries
	adds  []string // labels that it adds to what it was sent
}

// startPrometheus starts Debian's Prometheus 2.42 with its remote-write
// receiver, which scrapes nothing unless config says so.
func startPrometheus(t testing.TB, config string, args ...string) *server {
	t.Helper()
	return startPrometheusIn(t, t.TempDir(), config, append(args, enableReceiver)...)
}

// enableReceiver is the flag that is forgotten first.
const enableReceiver = "--web.enable-remote-write-receiver"

// startPrometheusIn starts it in a directory, with these flags alone.
func startPrometheusIn(t testing.TB, dir, config string, args ...string) *server {
	t.Helper()
	path := need(t, "/usr/bin/prometheus", "prometheus")
	p, u := startOnPort(t, "prometheus", path, "/-/ready", func(addr string) []string {
		return prometheusArgs(t, dir, config, addr, args)
	})
	return &server{process: p, url: u}
}

func prometheusArgs(t testing.TB, dir, config, addr string, more []string) []string {
	t.Helper()
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return append([]string{
		"--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(dir, "tsdb"), "--log.level=warn",
		"--web.listen-address=" + addr,
	}, more...)
}

// restart ends a Prometheus and starts it at the same place with other flags.
func (s *server) restart(t testing.TB, dir, config string, args ...string) {
	t.Helper()
	s.stop(t)
	addr := strings.TrimPrefix(s.url, "http://")
	s.process = start(t, "prometheus", need(t, "/usr/bin/prometheus", "prometheus"), prometheusArgs(t, dir, config, addr, args)...)
	if err := s.waitReady(s.url + "/-/ready"); err != nil {
		t.Fatal(err)
	}
}

// startVictoriaMetrics starts Debian's VictoriaMetrics, without the delays that
// hide the newest samples from its queries.
func startVictoriaMetrics(t testing.TB) *server {
	t.Helper()
	path := need(t, "/usr/bin/victoria-metrics", "victoria-metrics")
	dir := t.TempDir()
	p, u := startOnPort(t, "victoria-metrics", path, "/health", func(addr string) []string {
		return []string{
			"-storageDataPath=" + dir, "-httpListenAddr=" + addr, "-search.latencyOffset=0s",
			"-search.disableCache", "-loggerLevel=WARN", "-memory.allowedPercent=10",
		}
	})
	return &server{process: p, url: u, flush: "/internal/force_flush"}
}

func (s *server) writeURL() string { return stdcmp.Or(s.write, s.url+"/api/v1/write") }

func (s *server) queryAt(expr string, at time.Time) ([]string, error) {
	if s.flush != "" {
		if code, body, err := get(s.url + s.flush); err != nil || code != http.StatusOK {
			return nil, fmt.Errorf("flush: %d %s: %w", code, body, err)
		}
	}
	form := url.Values{"query": {expr}}
	if !at.IsZero() {
		form.Set("time", strconv.FormatFloat(float64(at.UnixMilli())/1e3, 'f', 3, 64))
	}
	code, body, err := get(s.url + s.api + "/api/v1/query?" + form.Encode())
	if err != nil {
		return nil, err
	}
	if code != http.StatusOK {
		return nil, fmt.Errorf("status %d: %s", code, body)
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  []any
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return nil, err
	}
	var got []string
	for _, r := range answer.Data.Result {
		if len(r.Value) != 2 {
			return nil, fmt.Errorf("no plain value in %s", body)
		}
		v, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
		if err != nil {
			return nil, err
		}
		for _, name := range s.adds {
			delete(r.Metric, name)
		}
		got = append(got, line(labels.FromMap(r.Metric), formatFloat(v)))
	}
	slices.Sort(got)
	return got, nil
}
