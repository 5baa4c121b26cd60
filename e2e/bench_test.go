package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// subject is a gateway that is measured.
type subject struct {
	name string
	gateway
	sends bool // it sends on what is pushed
	// target is the path that a push of a pusher goes to.
	target func(pusher int) string
}

func pushPath(pusher int) string { return fmt.Sprintf("/metrics/job/bench/pusher/%d", pusher) }

// importPath is how vmagent takes pushes: its Debian version does not know
// Pushgateway's path.
func importPath(pusher int) string {
	return fmt.Sprintf("/api/v1/import/prometheus?extra_label=job=bench&extra_label=pusher=%d", pusher)
}

// startVmagent starts Debian's vmagent, which sends on what it takes.
func startVmagent(t testing.TB, write string) *gateway {
	t.Helper()
	path, dir := need(t, "/usr/bin/vmagent", "victoria-metrics"), t.TempDir()
	p, url := startOnPort(t, "vmagent", path, "/health", func(addr string) []string {
		return []string{"-httpListenAddr=" + addr, "-remoteWrite.url=" + write, "-remoteWrite.tmpDataPath=" + dir, "-loggerLevel=WARN"}
	})
	return &gateway{process: p, url: url}
}

// benchBody makes a push of gauges with realistic names and labels.
func benchBody(samples, value int) string {
	var b strings.Builder
	for i := 0; i < samples; {
		fmt.Fprintf(&b, "# HELP bench_step_%d_seconds How long the step took.\n# TYPE bench_step_%d_seconds gauge\n", i/10, i/10)
		for range min(10, samples-i) {
			fmt.Fprintf(&b, "bench_step_%d_seconds{step=\"part-%d\",region=\"eu-west-1\"} %d.%d\n", i/10, i, value, i)
			i++
		}
	}
	return b.String()
}

// load is what a pipeline is measured with: so many pushes of so many samples, by
// so many pushers, to groups in turn.
type load struct{ samples, pushers, groups, pushes int }

func (l load) String() string {
	return fmt.Sprintf("samples=%d/pushers=%d/groups=%d", l.samples, l.pushers, l.groups)
}

// BenchmarkPipeline measures what it costs to bring pushed samples to the
// receiver's answer: CPU of the gateway's process, user and system, for each
// pushed sample. Pushgateway stores only, and vmagent keeps nothing on disk
// that it could send at once. Run it with -count to have the gateways in turn.
func BenchmarkPipeline(b *testing.B) {
	for _, l := range []load{
		{6, 8, 8, 20_000}, {21, 4, 1_000, 10_000}, {21, 64, 1_000, 20_000}, {100, 8, 8, 4_000}, {3_000, 8, 8, 200}, {10_000, 2, 2, 60},
	} {
		for _, name := range []string{"pushbridge", "pushgateway", "pushgateway-unchecked", "vmagent"} {
			b.Run(fmt.Sprintf("%s/gateway=%s", l, name), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					count := newCounter(b, "bench_")
					measurePipeline(b, pick(b, name, count.url), count, l)
					b.StartTimer()
				}
			})
		}
	}
}

// BenchmarkBatchSendDeadline measures what waiting for company saves, and what it
// costs on the way, at receivers that are near and far.
func BenchmarkBatchSendDeadline(b *testing.B) {
	for _, delay := range []time.Duration{0, 5 * time.Millisecond, 50 * time.Millisecond} {
		for _, deadline := range []string{"1ms", "5ms", "10ms", "20ms"} {
			b.Run(fmt.Sprintf("delay=%s/deadline=%s", delay, deadline), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					count := newCounter(b, "bench_")
					count.delay = delay
					file := filepath.Join(b.TempDir(), "pushbridge.yml")
					text := fmt.Sprintf("remote_write: [{url: %q, queue_config: {batch_send_deadline: %s}}]", count.url, deadline)
					if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
						b.Fatal(err)
					}
					g := startPushbridge(b, "--config.file="+file)
					measurePipeline(b, subject{name: "pushbridge", gateway: *g, sends: true, target: pushPath}, count, load{21, 64, 1_000, 6_000})
					b.StartTimer()
				}
			})
		}
	}
}

func measurePipeline(b *testing.B, s subject, count *counter, l load) {
	defer s.kill()
	request := func(_, i int) (string, string) { return s.url + s.target(i%l.groups), benchBody(l.samples, i) }
	driveTo(b, l.pushers, max(l.pushes/20, 3*l.groups), request) // warm up
	delivered := int64(max(l.pushes/20, 3*l.groups) * l.samples)
	wait := func(what string) {
		if s.sends {
			eventually(b, what, func() error {
				if n := count.samples.Load(); n < delivered {
					return fmt.Errorf("%d of %d samples", n, delivered)
				}
				return nil
			})
		}
	}
	wait("warm up arrives")
	cpu, calls := s.cpu(b), count.calls.Load()
	b.StartTimer()
	begin := time.Now()
	took := driveTo(b, l.pushers, l.pushes, request)
	delivered += int64(l.pushes * l.samples)
	wait("everything arrives")
	b.StopTimer()
	wall, used := time.Since(begin), s.cpu(b)-cpu
	total := float64(l.pushes * l.samples)
	b.ReportMetric(used.Seconds()*1e6/total, "cpu-s/Msample")
	b.ReportMetric(total/wall.Seconds(), "samples/s")
	b.ReportMetric(float64(l.pushes)/wall.Seconds(), "pushes/s")
	b.ReportMetric(float64(quantile(took, 0.5))/1e6, "p50-ms")
	b.ReportMetric(float64(quantile(took, 0.99))/1e6, "p99-ms")
	b.ReportMetric(0, "ns/op")
	if s.sends {
		b.ReportMetric(float64(count.bytes.Load())/float64(count.samples.Load()), "wire-B/sample")
		b.ReportMetric(float64(count.calls.Load()-calls)/float64(l.pushes), "requests/push")
	}
}

// pick starts one of the gateways.
func pick(b *testing.B, name, write string) subject {
	switch name {
	case "pushbridge":
		return subject{name: name, gateway: *startPushbridge(b, "--remote-write.url="+write), sends: true, target: pushPath}
	case "pushgateway":
		return subject{name: name, gateway: *startPushgateway(b), target: pushPath}
	case "pushgateway-unchecked":
		return subject{name: name, gateway: *startPushgateway(b, "--push.disable-consistency-check"), target: pushPath}
	}
	return subject{name: name, gateway: *startVmagent(b, write), sends: true, target: importPath}
}

// driveTo makes pushes from several pushers: request i, of a pusher, is what
// the function makes it.
func driveTo(t testing.TB, pushers, pushes int, request func(pusher, i int) (url, body string)) []time.Duration {
	t.Helper()
	took := make([]time.Duration, pushes)
	var next atomic.Int64
	var wg sync.WaitGroup
	for p := range pushers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= pushes {
					return
				}
				url, body := request(p, i)
				begin := time.Now()
				code, answer, err := send(context.Background(), http.MethodPost, url, body, nil)
				took[i] = time.Since(begin)
				if err != nil || code/100 != 2 {
					t.Errorf("POST %s: %d %v %s", url, code, err, answer)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return took
}

// BenchmarkStoredGroups measures the p50 of a push of ten series, one after the
// other, against the number of groups of ten series each that are stored.
func BenchmarkStoredGroups(b *testing.B) {
	for _, groups := range []int{10, 1_000, 100_000} {
		for _, name := range []string{"pushbridge", "pushgateway"} {
			b.Run("groups="+strconv.Itoa(groups)+"/gateway="+name, func(b *testing.B) {
				for b.Loop() {
					measureStored(b, name, groups)
				}
			})
		}
	}
}

func measureStored(b *testing.B, name string, groups int) {
	b.StopTimer()
	var g *gateway
	pushes := 2_000
	if name == "pushbridge" {
		count := newCounter(b, "bench_")
		g = startPushbridge(b, "--remote-write.url="+count.url)
		fill(b, g, groups)
		eventuallyWithin(b, 5*time.Minute, "the stored groups arrive", func() error {
			if n := count.samples.Load(); n < int64(10*groups) {
				return fmt.Errorf("%d samples", n)
			}
			return nil
		})
	} else {
		g = filledPushgateway(b, groups)
		pushes = max(5, min(pushes, 2_000_000/groups))
	}
	defer g.kill()
	b.StartTimer()
	took := driveTo(b, 1, pushes, func(_, i int) (string, string) {
		return fmt.Sprintf("%s/metrics/job/stored/group/%d", g.url, i%min(groups, 1000)), benchBody(10, i)
	})
	b.StopTimer()
	b.ReportMetric(float64(quantile(took, 0.5))/1e6, "p50-ms")
	b.ReportMetric(float64(quantile(took, 0.99))/1e6, "p99-ms")
	b.ReportMetric(float64(g.memory(b, "VmRSS")>>20), "RSS-MiB")
	b.ReportMetric(0, "ns/op")
	if groups >= 100_000 {
		begin := time.Now()
		mustGetWithin(b, g.url+"/metrics", time.Minute)
		b.ReportMetric(time.Since(begin).Seconds(), "scrape-s")
	}
	b.StartTimer()
}

func fill(b *testing.B, g *gateway, groups int) {
	b.Helper()
	driveTo(b, 32, groups, func(_, i int) (string, string) {
		return fmt.Sprintf("%s/metrics/job/stored/group/%d", g.url, i), benchBody(10, i)
	})
}

// filledPushgateway returns a Pushgateway with stored groups. Its check makes
// every push read all of them, so they are stored unchecked first.
func filledPushgateway(b *testing.B, groups int) *gateway {
	b.Helper()
	file := b.TempDir() + "/pushgateway.data"
	g := startPushgateway(b, "--persistence.file="+file, "--push.disable-consistency-check")
	fill(b, g, groups)
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.Fatal(err)
	}
	<-g.done // it writes all groups first, which may take minutes
	if code := g.cmd.ProcessState.ExitCode(); code != 0 {
		b.Fatalf("pushgateway ended with %d", code)
	}
	return startPushgateway(b, "--persistence.file="+file)
}

// BenchmarkFewAndMany pushes alternately to a gateway with ten groups and to one
// with a hundred thousand, so that whatever else the machine does slows down both.
// It reports the p50 of each and how much the larger one is.
func BenchmarkFewAndMany(b *testing.B) {
	for _, name := range []string{"pushbridge", "pushgateway"} {
		b.Run("gateway="+name, func(b *testing.B) {
			for b.Loop() {
				measureFewAndMany(b, name, 10, 100_000)
			}
		})
	}
}

func measureFewAndMany(b *testing.B, name string, few, many int) {
	b.StopTimer()
	pushes, start := 4_000, func(groups int) *gateway { return filledPushgateway(b, groups) }
	if name == "pushbridge" {
		start = func(groups int) *gateway {
			g := startPushbridge(b, "--remote-write.url="+newCounter(b, "bench_").url)
			fill(b, g, groups)
			eventuallyWithin(b, 5*time.Minute, "the stored groups are sent", func() error {
				if n := g.metric(b, "pushbridge_remotewrite_samples_pending"); n > 0 {
					return fmt.Errorf("%v samples", n)
				}
				return nil
			})
			return g
		}
	} else {
		pushes = 40 // of which the larger one needs seconds each
	}
	gateways := [2]*gateway{start(few), start(many)}
	groups := [2]int{few, min(many, 1000)}
	b.StartTimer()
	took := driveTo(b, 1, pushes, func(_, i int) (string, string) {
		return fmt.Sprintf("%s/metrics/job/stored/group/%d", gateways[i%2].url, i/2%groups[i%2]), benchBody(10, i)
	})
	b.StopTimer()
	var each [2][]time.Duration
	for i, d := range took {
		each[i%2] = append(each[i%2], d)
	}
	small, large := quantile(each[0], 0.5), quantile(each[1], 0.5)
	b.ReportMetric(float64(small)/1e6, "few-p50-ms")
	b.ReportMetric(float64(large)/1e6, "many-p50-ms")
	b.ReportMetric(100*(float64(large)/float64(small)-1), "more-%")
	b.ReportMetric(0, "ns/op")
	for _, g := range gateways {
		g.kill()
	}
	b.StartTimer()
}

// mustGetWithin reads a large answer.
func mustGetWithin(b *testing.B, url string, d time.Duration) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), d)
	defer cancel()
	slow := *client
	slow.Timeout = d
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := slow.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	buf := make([]byte, 1<<20)
	for {
		if _, err := resp.Body.Read(buf); err != nil {
			return
		}
	}
}
