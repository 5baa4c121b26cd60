package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
	"github.com/prometheus/common/expfmt"
)

// pusher makes one step (push, add or delete) of a batch job with a real client.
type pusher func(t *testing.T, url, job, step string)

// TestRealClients lets unmodified clients push, push more and delete. What they
// did must be seen in the API and at a receiver.
func TestRealClients(t *testing.T) {
	b := newInProcess(t, bothProtocols, nil)
	g := startPushbridge(t, "--remote-write.url="+b.writeURL())
	node := nodeClient(t)
	for name, run := range map[string]pusher{
		"go-protobuf": goClient(expfmt.NewFormat(expfmt.TypeProtoDelim)),
		"go-text":     goClient(expfmt.NewFormat(expfmt.TypeTextPlain)),
		"python":      script("/usr/bin/python3", "python3-prometheus-client", "testdata/python/push.py"),
		"python-gzip": script("/usr/bin/python3", "python3-prometheus-client", "testdata/python/push.py", "gzip"),
		"node":        node,
		"ruby":        script("/usr/bin/ruby", "ruby", "testdata/ruby/push.rb"),
		"perl":        script("/usr/bin/perl", "libnet-prometheus-perl", "testdata/perl/push.pl"),
		"cpp":         cppClient(t),
		"curl-gzip":   script("/bin/sh", "dash", "testdata/shell/gzip.sh"),
		"shell-crlf":  script("/bin/sh", "dash", "testdata/shell/crlf.sh"),
	} {
		t.Run(name, func(t *testing.T) {
			run(t, g.url, name, "push")
			checkClient(t, g, b, name, clientSeries(name)...)
			run(t, g.url, name, "add")
			checkClient(t, g, b, name, append(clientSeries(name), fmt.Sprintf(`client_extra{instance=%q,job=%q} 1`, instanceOf(name), name))...)
			run(t, g.url, name, "delete")
			checkClient(t, g, b, name)
		})
	}
}

// instanceOf is the instance of the grouping key: one with a slash, unless the
// client cannot encode that.
func instanceOf(job string) string {
	switch job {
	case "node", "ruby":
		return "host 1"
	case "cpp":
		return "host1"
	}
	return "host/1"
}

// clientSeries is what every client pushes, as far as it can.
func clientSeries(job string) []string {
	var got []string
	for _, s := range []string{
		`client_runs_total{instance=%q,job=%q} 3`,
		`client_room_celsius{instance=%q,job=%q,room="a \"b\" \\ c"} 21.5`,
		`client_seconds_bucket{instance=%q,job=%q,le="1.0"} 1`,
		`client_seconds_bucket{instance=%q,job=%q,le="5.0"} 2`,
		`client_seconds_bucket{instance=%q,job=%q,le="+Inf"} 2`,
		`client_seconds_sum{instance=%q,job=%q} 3.5`,
		`client_seconds_count{instance=%q,job=%q} 2`,
	} {
		if job != "ruby" || !strings.HasPrefix(s, "client_seconds") {
			got = append(got, fmt.Sprintf(s, instanceOf(job), job))
		}
	}
	return got
}

// checkClient compares the receiver and the API with the wanted series. Python
// adds a _created series of its own.
func checkClient(t *testing.T, g *gateway, b backend, job string, want ...string) {
	t.Helper()
	waitQuery(t, b, fmt.Sprintf(`{job=%q,__name__=~"client_.*",__name__!~".*_created"}`, job), want...)
	group, ok := apiGroups(t, g)[fmt.Sprintf(`{"instance":%q,"job":%q}`, instanceOf(job), job)].(map[string]any)
	if ok != (len(want) > 0) {
		t.Fatalf("the API knows the group: %t", ok)
	}
	for _, s := range want {
		name, _, _ := strings.Cut(s, "{")
		family := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		if group[family] == nil {
			t.Errorf("the API does not show %s", family)
		}
	}
}

func goClient(format expfmt.Format) pusher {
	return func(t *testing.T, url, job, step string) {
		registry := prometheus.NewRegistry()
		p := push.New(url, job).Grouping("instance", "host/1").Gatherer(registry).Format(format)
		var err error
		switch step {
		case "push":
			runs := prometheus.NewCounter(prometheus.CounterOpts{Name: "client_runs_total", Help: "Runs."})
			rooms := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "client_room_celsius", Help: "Rooms."}, []string{"room"})
			seconds := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "client_seconds", Help: "Duration.", Buckets: []float64{1, 5}})
			registry.MustRegister(runs, rooms, seconds)
			runs.Add(3)
			rooms.WithLabelValues(`a "b" \ c`).Set(21.5)
			seconds.Observe(0.5)
			seconds.Observe(3)
			err = p.PushContext(t.Context())
		case "add":
			extra := prometheus.NewGauge(prometheus.GaugeOpts{Name: "client_extra", Help: "More."})
			registry.MustRegister(extra)
			extra.Set(1)
			err = p.AddContext(t.Context())
		default:
			err = p.Delete()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// script runs a script for each step.
func script(interpreter, pkg, file string, more ...string) pusher {
	return func(t *testing.T, url, job, step string) {
		path, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		args := append([]string{path, url, job, step}, more...)
		command(t, pkg, "", need(t, interpreter, pkg), args...)
	}
}

// nodeClient installs prom-client as its lock file says, and returns a client
// that uses it.
func nodeClient(t *testing.T) pusher {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "push.js"} {
		b, err := os.ReadFile(filepath.Join("testdata/node", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command(t, "npm", dir, onPath(t, "npm", "npm"), "ci", "--omit-lockfile-registry-resolved", "--no-audit", "--no-fund")
	node := onPath(t, "node", "nodejs")
	return func(t *testing.T, url, job, step string) {
		command(t, "nodejs", dir, node, "push.js", url, job, step)
	}
}

// cppClient builds a client that uses prometheus-cpp, and returns it.
func cppClient(t *testing.T) pusher {
	t.Helper()
	path := filepath.Join(t.TempDir(), "push")
	command(t, "prometheus-cpp-dev", "", onPath(t, "g++", "g++"), "-o", path, "testdata/cpp/push.cpp", "-lprometheus-cpp-push", "-lprometheus-cpp-core")
	return func(t *testing.T, url, job, step string) {
		host, port, _ := strings.Cut(strings.TrimPrefix(url, "http://"), ":")
		command(t, "prometheus-cpp-dev", "", path, host, port, job, step)
	}
}

func onPath(t *testing.T, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not there: apt-get install %s", name, pkg)
	}
	return path
}

// command runs a program to its end, which must be a good one.
func command(t *testing.T, pkg, dir, path string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v (is %s installed?)\n%s", strings.Join(slices.Insert(args, 0, path), " "), err, pkg, out)
	}
}
