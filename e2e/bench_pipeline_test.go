package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// subject is a gateway that is measured.
type subject struct {
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

// startVmagent starts Debian's vmagent, 1.79, which sends on what it takes.
func startVmagent(t testing.TB, write string) *gateway {
	t.Helper()
	return startVmagentAt(t, need(t, "/usr/bin/vmagent", "victoria-metrics"), write)
}

// startCurrentVmagent does so with the release that tools/vmagent pins, and the
// protocol that every receiver knows.
func startCurrentVmagent(t testing.TB, write string) *gateway {
	t.Helper()
	path, err := currentVmagent()
	if err != nil {
		t.Fatal(err)
	}
	return startVmagentAt(t, path, write, "-remoteWrite.forcePromProto")
}

var currentVmagent = sync.OnceValues(func() (string, error) {
	return buildPinned("vmagent", "github.com/VictoriaMetrics/VictoriaMetrics/app/vmagent")
})

func startVmagentAt(t testing.TB, path, write string, args ...string) *gateway {
	t.Helper()
	dir := t.TempDir()
	p, url := startOnPort(t, "vmagent", path, "/health", func(addr string) []string {
		return append([]string{"-httpListenAddr=" + addr, "-remoteWrite.url=" + write, "-remoteWrite.tmpDataPath=" + dir, "-loggerLevel=WARN"}, args...)
	})
	return &gateway{process: p, url: url}
}

// load is what a pipeline is measured with: so many pushes of so many samples, by
// so many pushers, to groups in turn.
type load struct {
	samples, pushers, groups, pushes int
	protobuf                         bool
}

func (l load) String() string {
	format := "text"
	if l.protobuf {
		format = "protobuf"
	}
	return fmt.Sprintf("samples=%d/pushers=%d/groups=%d/format=%s", l.samples, l.pushers, l.groups, format)
}

// body returns push number i and its headers. Values change from push to push, the
// series do not.
func (l load) body(t testing.TB, i int) (string, []string) {
	text := benchBody(l.samples, i)
	if !l.protobuf {
		return text, nil
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(bytes.NewReader([]byte(text)))
	if err != nil {
		t.Error(err)
		return "", nil
	}
	var b bytes.Buffer
	format := expfmt.NewFormat(expfmt.TypeProtoDelim)
	enc := expfmt.NewEncoder(&b, format)
	for n := range (l.samples + 9) / 10 { // in order, as clients have them
		if err := enc.Encode(families[benchFamily(n)]); err != nil {
			t.Error(err)
		}
	}
	return b.String(), []string{"Content-Type", string(format)}
}

// pipelines are the gateways that BenchmarkPipeline measures.
var pipelines = []struct {
	name     string
	protobuf bool // takes it
	most     int  // groups; 0: any number. A check that reads all of them takes minutes with a thousand
	start    func(b *testing.B, write string) subject
}{
	{"pushbridge", true, 0, func(b *testing.B, write string) subject {
		return subject{gateway: *startPushbridge(b, "--remote-write.url="+write), sends: true, target: pushPath}
	}},
	{"pushbridge-1.0", false, 0, func(b *testing.B, write string) subject {
		section := fmt.Sprintf("{url: %q, protobuf_message: prometheus.WriteRequest}", write)
		return subject{gateway: *startPushbridge(b, "--config.file="+configWith(b, section)), sends: true, target: pushPath}
	}},
	{"pushgateway", true, 100, func(b *testing.B, _ string) subject {
		return subject{gateway: *startCurrentPushgateway(b), target: pushPath}
	}},
	{"pushgateway-unchecked", true, 0, func(b *testing.B, _ string) subject {
		return subject{gateway: *startCurrentPushgateway(b, "--push.disable-consistency-check"), target: pushPath}
	}},
	{"vmagent", false, 0, func(b *testing.B, write string) subject {
		return subject{gateway: *startCurrentVmagent(b, write), sends: true, target: importPath}
	}},
	{"vmagent-1.79", false, 0, func(b *testing.B, write string) subject {
		return subject{gateway: *startVmagent(b, write), sends: true, target: importPath}
	}},
	{"floor", true, 0, func(b *testing.B, _ string) subject {
		return subject{gateway: *startFloor(b), target: pushPath}
	}},
}

// configWith writes a configuration file with one remote_write section.
func configWith(t testing.TB, section string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pushbridge.yml")
	if err := os.WriteFile(file, []byte("remote_write: ["+section+"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// BenchmarkPipeline measures what it costs to bring pushed samples to the
// receiver's answer: CPU of the gateway's process, user and system, for each
// pushed sample. Pushgateway stores only, and vmagent keeps nothing on disk
// that it could send at once. The receiver takes remote write 2.0, which pushbridge
// finds out; pushbridge-1.0 and vmagent speak 1.0. Bytes on the wire are those for
// everything that is sent, push times included. Run it with -count to have the
// gateways in turn.
func BenchmarkPipeline(b *testing.B) {
	for _, l := range []load{ // enough that the first push to each group is a hundredth of them, or little more
		{samples: 21, pushers: 4, groups: 1_000, pushes: 60_000},
		{samples: 21, pushers: 64, groups: 1_000, pushes: 120_000},
		{samples: 100, pushers: 4, groups: 100, pushes: 12_000},
		{samples: 100, pushers: 64, groups: 100, pushes: 24_000},
		{samples: 3_000, pushers: 4, groups: 8, pushes: 1_000},
		{samples: 10_000, pushers: 2, groups: 2, pushes: 400},
		{samples: 21, pushers: 64, groups: 1_000, pushes: 60_000, protobuf: true},
		{samples: 3_000, pushers: 4, groups: 8, pushes: 600, protobuf: true},
	} {
		for _, s := range pipelines {
			if l.protobuf && !s.protobuf || s.most > 0 && l.groups > s.most {
				continue
			}
			b.Run(fmt.Sprintf("%s/gateway=%s", l, s.name), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					count := newCounter(b, "bench_")
					measurePipeline(b, s.start(b, count.url), count, l)
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
					g := startPushbridge(b, "--config.file="+configWith(b, fmt.Sprintf("{url: %q, queue_config: {batch_send_deadline: %s}}", count.url, deadline)))
					l := load{samples: 21, pushers: 64, groups: 1_000, pushes: 6_000}
					measurePipeline(b, subject{gateway: *g, sends: true, target: pushPath}, count, l)
					b.StartTimer()
				}
			})
		}
	}
}

func measurePipeline(b *testing.B, s subject, count *counter, l load) {
	defer s.kill()
	request := func(_, i int) (string, string, []string) {
		body, headers := l.body(b, i)
		return s.url + s.target(i%l.groups), body, headers
	}
	drive(b, l.pushers, max(l.pushes/20, 3*l.groups), request) // warm up
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
	took := drive(b, l.pushers, l.pushes, request)
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
