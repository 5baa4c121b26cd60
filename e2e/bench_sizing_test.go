package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// BenchmarkSizing measures what docs/sizing.md calculates with: the disk that a push
// takes while its destination is down, and the memory of 200,000 series. Neither depends
// on how busy the machine is. Groups have the same series but for their grouping labels,
// or each has a label of its own in them.
func BenchmarkSizing(b *testing.B) {
	for _, series := range []string{"alike", "own"} {
		for _, samples := range []int{5, 20, 100, 1000} {
			b.Run(fmt.Sprintf("series=%s/samples=%d", series, samples), func(b *testing.B) {
				for b.Loop() {
					measureSize(b, samples, 200_000/samples, series == "own")
				}
			})
		}
	}
}

// rest is longer than it takes until what a burst has left behind is given back.
const rest = 150 * time.Second

// BenchmarkResident tells the memory of 10,000 groups of 21 series, five pushes to each by 64
// pushers: when the receiver has the last sample, and the least of it at rest.
func BenchmarkResident(b *testing.B) {
	const groups, pushes = 10_000, 50_000
	for b.Loop() {
		b.StopTimer()
		count := newCounter(b, "bench_")
		g := startPushbridge(b, "--remote-write.url="+count.url)
		driveTo(b, 64, pushes, func(_, i int) (string, string) {
			return fmt.Sprintf("%s/metrics/job/nightly/instance/host-%d", g.url, i%groups), benchBody(21, i)
		})
		waitCount(b, count, 21*pushes)
		resident := func() float64 { return float64(g.memory(b, "VmRSS")) / (1 << 20) }
		b.ReportMetric(resident(), "RSS-MiB")
		least := resident()
		for end := time.Now().Add(rest); time.Now().Before(end); time.Sleep(time.Second) {
			least = min(least, resident())
		}
		b.ReportMetric(least, "RSS-at-rest-MiB")
		b.ReportMetric(float64(g.memory(b, "RssFile"))/(1<<20), "file-MiB")
		b.ReportMetric(0, "ns/op")
		g.kill()
		b.StartTimer()
	}
}

// sizingBody is benchBody with values of six digits that nothing tells beforehand, and a
// further label unless it is empty.
func sizingBody(samples int, rng *rand.Rand, label string) string {
	var b strings.Builder
	for line := range strings.Lines(benchBody(samples, 0)) {
		if !strings.HasPrefix(line, "#") {
			line = fmt.Sprintf("%s %.6g\n", line[:strings.LastIndexByte(line, ' ')], rng.ExpFloat64()*100)
			line = strings.Replace(line, "{", "{"+label, 1)
		}
		b.WriteString(line)
	}
	return b.String()
}

func measureSize(b *testing.B, samples, groups int, own bool) {
	b.StopTimer()
	down := reserve(b)
	g := startPushbridge(b, "--remote-write.url=http://"+down.addr+"/api/v1/write")
	defer g.kill()
	round := func(n int) float64 {
		before := g.metric(b, "pushbridge_queue_segment_bytes")
		driveTo(b, 8, groups, func(_, i int) (string, string) {
			label := ""
			if own {
				label = fmt.Sprintf("commit=%q,", fmt.Sprintf("%08x", i))
			}
			return fmt.Sprintf("%s/metrics/job/nightly/instance/host-%d", g.url, i), sizingBody(samples, rand.New(rand.NewPCG(uint64(n), uint64(i))), label)
		})
		return (g.metric(b, "pushbridge_queue_segment_bytes") - before) / float64(groups)
	}
	first := round(0)
	later := round(1)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(first, "first-B/push")
	b.ReportMetric(later, "B/push")
	b.ReportMetric(later/float64(samples), "B/sample")
	b.ReportMetric(float64(g.memory(b, "VmRSS"))/(1<<20), "RSS-MiB")
	b.StartTimer()
}
