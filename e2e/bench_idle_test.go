package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

const (
	idleGroups   = 100_000 // of ten series each
	idleRefresh  = 10 * time.Second
	idleRefreshs = 10
)

// BenchmarkIdleSeries keeps a million series that nobody pushes alive for ten
// refresh intervals, with one destination that takes them and one that is down,
// then lets the other one come back, and at last deletes everything.
func BenchmarkIdleSeries(b *testing.B) {
	for b.Loop() {
		measureIdle(b)
	}
}

func measureIdle(b *testing.B) {
	b.StopTimer()
	up, late, address := newCounter(b, "bench_"), newCounter(b, "bench_"), reserve(b)
	up.judge, late.judge = newJudge(), newJudge()
	g := startPushbridge(b, "--web.enable-admin-api", "--refresh.interval="+idleRefresh.String(),
		"--remote-write.url="+up.url, "--remote-write.url=http://"+address.addr+"/api/v1/write")
	defer g.kill()
	fill(b, g, idleGroups)
	waitCount(b, up, 10*idleGroups)

	before, seen, cpu, disk := time.Now(), up.samples.Load(), g.cpu(b), g.metric(b, "pushbridge_queue_segment_bytes")
	b.StartTimer()
	time.Sleep(idleRefreshs * idleRefresh) // how long nobody pushes
	b.StopTimer()
	wall, used, sent := time.Since(before), g.cpu(b)-cpu, up.samples.Load()-seen
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(sent)/(10*idleGroups), "refreshes")
	b.ReportMetric(100*used.Seconds()/wall.Seconds(), "%CPU")
	b.ReportMetric(used.Seconds()*1e6/float64(sent), "cpu-s/Msample")
	b.ReportMetric((g.metric(b, "pushbridge_queue_segment_bytes")-disk)/(idleRefreshs*1024), "queue-KiB/interval")
	b.ReportMetric(float64(g.memory(b, "VmRSS")>>20), "RSS-MiB")

	b.ReportMetric(float64(up.judge.longestGap())/1000, "longest-gap-s")
	if gap := up.judge.longestGap(); gap > 3*idleRefresh.Milliseconds() {
		b.Errorf("a series of the destination that was up had nothing for %d ms", gap)
	}

	begin := time.Now()
	address.serve(b, late)
	waitCount(b, late, 10*idleGroups)
	b.ReportMetric(time.Since(begin).Seconds(), "catch-up-s")

	seen = up.markers.Load()
	begin = time.Now()
	must(b, http.MethodPut, g.url+"/api/v1/admin/wipe", "")
	b.ReportMetric(time.Since(begin).Seconds(), "wipe-s")
	eventuallyWithin(b, 5*time.Minute, "markers", func() error {
		if n := up.markers.Load() - seen; n < 10*idleGroups {
			return fmt.Errorf("%d markers", n)
		}
		return nil
	})
	b.ReportMetric(time.Since(begin).Seconds(), "wiped-at-receiver-s")
	eventuallyWithin(b, 5*time.Minute, "markers at the other one", func() error {
		if n := late.judge.alive(); n > 0 {
			return fmt.Errorf("%d series have not ended", n)
		}
		return nil
	})
	for name, j := range map[string]*judge{"up": up.judge, "late": late.judge} {
		if alive := j.alive(); alive+j.disordered+j.endedTwice > 0 {
			b.Errorf("%s: %d series have not ended, %d samples out of order, %d markers twice", name, alive, j.disordered, j.endedTwice)
		}
	}
	b.StartTimer()
}

func waitCount(b *testing.B, c *counter, n int64) {
	b.Helper()
	eventuallyWithin(b, 5*time.Minute, "samples arrive", func() error {
		if got := c.samples.Load(); got < n {
			return fmt.Errorf("%d samples", got)
		}
		return nil
	})
}
