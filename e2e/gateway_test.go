package e2e

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// gateway is a running pushbridge, or a running Pushgateway.
type gateway struct {
	*process
	url  string
	base string // url with the route prefix
}

// startPushbridge starts pushbridge with an empty storage directory.
func startPushbridge(t testing.TB, args ...string) *gateway {
	t.Helper()
	return startPushbridgeIn(t, t.TempDir(), args...)
}

// startPushbridgeIn starts pushbridge on a storage directory and waits until it
// is ready.
func startPushbridgeIn(t testing.TB, storage string, args ...string) *gateway {
	t.Helper()
	return startPushbridgeAt(t, "", storage, args...)
}

// startPushbridgeAt does so with another binary than the one under test, if path names one.
func startPushbridgeAt(t testing.TB, path, storage string, args ...string) *gateway {
	t.Helper()
	file := filepath.Join(t.TempDir(), "address")
	args = append([]string{
		"--web.listen-address=127.0.0.1:0", "--web.listen-address-file=" + file, "--storage.path=" + storage,
	}, args...)
	g := &gateway{process: start(t, "pushbridge", cmp.Or(path, pushbridgePath), args...)}
	eventually(t, "address of pushbridge", func() error {
		if g.ended() {
			t.Fatalf("pushbridge ended:\n%s", g.tail())
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		addr := strings.TrimSpace(string(b))
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("address file holds %q: %w", addr, err)
		}
		g.url = "http://" + addr
		g.base = g.url + routePrefix(args)
		return nil
	})
	if err := g.waitReady(g.base + "/-/ready"); err != nil {
		t.Fatal(err)
	}
	return g
}

// startPushgateway starts Debian's Pushgateway, 1.5.1. Without a persistence
// file it keeps its state in memory.
func startPushgateway(t testing.TB, args ...string) *gateway {
	t.Helper()
	return startPushgatewayAt(t, need(t, "/usr/bin/prometheus-pushgateway", "prometheus-pushgateway"), args...)
}

// startCurrentPushgateway does so with the release that tools/pushgateway pins.
func startCurrentPushgateway(t testing.TB, args ...string) *gateway {
	t.Helper()
	path, err := currentPushgateway()
	if err != nil {
		t.Fatal(err)
	}
	return startPushgatewayAt(t, path, args...)
}

var currentPushgateway = sync.OnceValues(func() (string, error) {
	return buildPinned("pushgateway", "github.com/prometheus/pushgateway")
})

// buildPinned builds what tools/name pins. The build cache keeps what takes long.
func buildPinned(name, pkg string) (string, error) {
	dir, err := os.MkdirTemp(buildDir, name+"-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	build := exec.CommandContext(context.Background(), "go", "build", "-o", path, pkg)
	build.Dir = "../tools/" + name
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return path, nil
}

func startPushgatewayAt(t testing.TB, path string, args ...string) *gateway {
	t.Helper()
	if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--persistence.file=") }) {
		args = append(args, "--persistence.file=")
	}
	p, url := startOnPort(t, "pushgateway", path, routePrefix(args)+"/-/ready", func(addr string) []string {
		return append([]string{"--web.listen-address=" + addr, "--log.level=warn"}, args...)
	})
	return &gateway{process: p, url: url, base: url + routePrefix(args)}
}

func routePrefix(args []string) string {
	for _, a := range args {
		if v, ok := strings.CutPrefix(a, "--web.route-prefix="); ok {
			return v
		}
	}
	return ""
}

// put and its siblings make a change under /metrics/job/ that must be accepted.
func (g *gateway) put(t testing.TB, path, body string, headers ...string) {
	t.Helper()
	must(t, http.MethodPut, g.base+"/metrics/job/"+path, body, headers...)
}

func (g *gateway) post(t testing.TB, path, body string, headers ...string) {
	t.Helper()
	must(t, http.MethodPost, g.base+"/metrics/job/"+path, body, headers...)
}

func (g *gateway) delete(t testing.TB, path string) {
	t.Helper()
	must(t, http.MethodDelete, g.base+"/metrics/job/"+path, "")
}

// families returns what /metrics shows, by name.
func (g *gateway) families(t testing.TB) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	mfs, err := p.TextToMetricFamilies(bytes.NewReader([]byte(mustGet(t, g.base+"/metrics"))))
	if err != nil {
		t.Fatalf("parse /metrics: %v", err)
	}
	return mfs
}

// metric returns the sum of one of the gateway's own metrics over its label sets
// that have these labels, pairs of name and value; 0 when there is none.
func (g *gateway) metric(t testing.TB, name string, with ...string) float64 {
	t.Helper()
	var sum float64
	for _, m := range g.families(t)[name].GetMetric() {
		found := 0
		for _, l := range m.GetLabel() {
			for pair := range slices.Chunk(with, 2) {
				if l.GetName() == pair[0] && l.GetValue() == pair[1] {
					found += 2
				}
			}
		}
		if found < len(with) {
			continue
		}
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
	}
	return sum
}
