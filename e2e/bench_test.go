package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func benchFamily(n int) string { return fmt.Sprintf("bench_step_%d_seconds", n) }

// benchBody makes a push of gauges with realistic names and labels.
func benchBody(samples, value int) string {
	b := make([]byte, 0, 100*samples)
	number := func(text string, n int) { b = strconv.AppendInt(append(b, text...), int64(n), 10) }
	for i := range samples {
		if i%10 == 0 {
			number("# HELP bench_step_", i/10)
			number("_seconds How long the step took.\n# TYPE bench_step_", i/10)
			b = append(b, "_seconds gauge\n"...)
		}
		number("bench_step_", i/10)
		number("_seconds{step=\"part-", i)
		number("\",region=\"eu-west-1\"} ", value)
		number(".", i)
		b = append(b, '\n')
	}
	return string(b)
}

// driveTo makes pushes from several pushers: request i, of a pusher, is what
// the function makes it.
func driveTo(t testing.TB, pushers, pushes int, request func(pusher, i int) (url, body string)) []time.Duration {
	t.Helper()
	return drive(t, pushers, pushes, func(pusher, i int) (string, string, []string) {
		url, body := request(pusher, i)
		return url, body, nil
	})
}

// drive is driveTo for pushes with headers, name and value by turns.
func drive(t testing.TB, pushers, pushes int, request func(pusher, i int) (url, body string, headers []string)) []time.Duration {
	t.Helper()
	took := make([]time.Duration, pushes)
	var next atomic.Int64
	var wg sync.WaitGroup
	for n := range pushers {
		wg.Go(func() {
			var d driver
			defer d.close()
			for {
				i := int(next.Add(1)) - 1
				if i >= pushes {
					return
				}
				url, body, headers := request(n, i)
				begin := time.Now()
				code, answer, err := d.push(url, body, headers)
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
		start = func(groups int) *gateway { return filledPushbridge(b, b.TempDir(), groups) }
	} else {
		pushes = 40 // of which the larger one needs seconds each
	}
	gateways := [2]*gateway{start(few), start(many)}
	pushByTurns(b, gateways, [2]int{few, min(many, 1000)}, 1, pushes)
	for _, g := range gateways {
		g.kill()
	}
	b.StartTimer()
}

// filledPushbridge returns a gateway with stored groups, which its receiver has.
func filledPushbridge(b *testing.B, storage string, groups int) *gateway {
	b.Helper()
	g := startPushbridgeIn(b, storage, "--remote-write.url="+newCounter(b, "bench_").url)
	fill(b, g, groups)
	eventuallyWithin(b, 10*time.Minute, "the stored groups are sent", func() error {
		if n := g.pending(b); n > 0 {
			return fmt.Errorf("%d samples", n)
		}
		return nil
	})
	return g
}

// pending returns how many samples wait for the gateway's destinations. Unlike
// /metrics, the API does not list what is stored beside them.
func (g *gateway) pending(b *testing.B) (samples uint64) {
	b.Helper()
	var answer struct {
		Data []struct {
			Books struct{ Pending uint64 }
		}
	}
	if err := json.Unmarshal([]byte(mustGet(b, g.base+"/api/v1/destinations")), &answer); err != nil {
		b.Fatal(err)
	}
	for _, d := range answer.Data {
		samples += d.Books.Pending
	}
	return samples
}

// pushByTurns pushes to two gateways, to each stride-th of their groups, and reports the p50 of
// each and how much the second is.
func pushByTurns(b *testing.B, gateways [2]*gateway, groups [2]int, stride, pushes int) {
	b.Helper()
	b.StartTimer()
	took := driveTo(b, 1, pushes, func(_, i int) (string, string) {
		return fmt.Sprintf("%s/metrics/job/stored/group/%d", gateways[i%2].url, i/2*stride%groups[i%2]), benchBody(10, i)
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
}

// BenchmarkMillionGroups is BenchmarkFewAndMany with ten groups and a million, ten million
// series, and pushes to groups from all over. Then the larger one is killed and started again.
func BenchmarkMillionGroups(b *testing.B) {
	const groups, pushes = 1_000_000, 20_000
	for b.Loop() {
		b.StopTimer()
		storage := b.TempDir()
		gateways := [2]*gateway{filledPushbridge(b, b.TempDir(), 10), filledPushbridge(b, storage, groups)}
		pushByTurns(b, gateways, [2]int{10, groups}, groups/pushes, 2*pushes)
		b.ReportMetric(float64(gateways[1].memory(b, "VmRSS")>>20), "RSS-MiB")
		for _, g := range gateways {
			g.kill()
		}
		begin := time.Now()
		g := startPushbridgeIn(b, storage)
		b.ReportMetric(time.Since(begin).Seconds(), "restart-s")
		b.ReportMetric(float64(g.memory(b, "VmRSS")>>20), "restarted-RSS-MiB")
		g.kill()
		b.StartTimer()
	}
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
