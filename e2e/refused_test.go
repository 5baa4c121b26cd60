package e2e

import (
	"fmt"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
)

// TestNativeHistogramsAreOff sends a native histogram to a Prometheus that has them
// switched off, and says 500 for ever: its classic form arrives, and so do all other
// jobs.
func TestNativeHistogramsAreOff(t *testing.T) {
	b := startPrometheus(t, "")
	g := startPushbridge(t, "--config.file="+remoteWrite(t, b, "    send_native_histograms: true\n    queue_config: {max_shards: 1}\n"))
	both := &dto.MetricFamily{Name: new("both"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: &dto.Histogram{
		SampleCount: proto.Uint64(10), SampleSum: proto.Float64(20), Schema: proto.Int32(0),
		ZeroThreshold: new(0.001), ZeroCount: proto.Uint64(2),
		PositiveSpan: []*dto.BucketSpan{span(0, 2), span(1, 1)}, PositiveDelta: []int64{1, 2, 1},
		Bucket: []*dto.Bucket{bucket(4, 1)},
	}}}}
	g.put(t, "a", delimited(both), "Content-Type", protobufType)
	g.put(t, "b", "fine 1\n")
	waitQuery(t, b, "fine", `fine{job="b"} 1`)
	waitQuery(t, b, "both_count", `both_count{job="a"} 10`)
	waitQuery(t, b, "both_bucket", `both_bucket{job="a",le="1.0"} 4`, `both_bucket{job="a",le="+Inf"} 10`)
	waitMetric(t, g, 1, "pushbridge_remotewrite_samples_dropped_total", "reason", "native_not_sent")
}

// TestOldSampleOfANewSeriesIsAlone pushes a sample that is too old beside good ones, to
// receivers that roll all of it back (1.0), and to one that does not (2.0).
func TestOldSampleOfANewSeriesIsAlone(t *testing.T) {
	for _, tt := range []struct {
		name, message string
		start         func(testing.TB) backend
	}{
		{"Debian's Prometheus 2.42", "prometheus.WriteRequest", func(t testing.TB) backend { return startPrometheus(t, "") }},
		{"current Prometheus, 1.0", "prometheus.WriteRequest", func(t testing.TB) backend { return newInProcess(t, bothProtocols, nil) }},
		{"current Prometheus, 2.0", "io.prometheus.write.v2.Request", func(t testing.TB) backend { return newInProcess(t, bothProtocols, nil) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.start(t)
			g := startPushbridge(t, "--push.accept-timestamps", "--push.max-age=24h",
				"--config.file="+remoteWrite(t, b, "    protobuf_message: "+tt.message+"\n"))
			g.put(t, "first", "first 1\n") // what the age is measured by
			waitQuery(t, b, "first", `first{job="first"} 1`)
			g.put(t, "mixed", fmt.Sprintf("a 1\nold 2 %d\nb 3\nc 4\n", time.Now().Add(-3*time.Hour).UnixMilli()))
			waitQuery(t, b, `{__name__=~"a|b|c"}`, `a{job="mixed"} 1`, `b{job="mixed"} 3`, `c{job="mixed"} 4`)
			waitQuery(t, b, `push_time_seconds{job="mixed"} > bool 0`, `{job="mixed"} 1`)
			waitMetric(t, g, 1, "pushbridge_remotewrite_samples_dropped_total", "reason", "refused")
			waitMetric(t, g, 3+5, "pushbridge_remotewrite_samples_delivered_total")
		})
	}
}

func waitMetric(t *testing.T, g *gateway, want float64, name string, with ...string) {
	t.Helper()
	eventually(t, name, func() error {
		if got := g.metric(t, name, with...); got != want {
			return fmt.Errorf("got %v, want %v", got, want)
		}
		return nil
	})
}
