package e2e

import (
	"fmt"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
)

// TestIdentitiesEnd changes one metric from form to form and deletes it: whatever a
// receiver makes of the forms, nothing of an earlier one stays visible.
func TestIdentitiesEnd(t *testing.T) {
	const native1 = "    protobuf_message: prometheus.WriteRequest\n    send_native_histograms: true\n"
	const value = `m{job="j"} 1`
	for _, tt := range []struct {
		name          string
		start         func(testing.TB) backend
		config        string
		native        bool     // the backend holds native histograms
		gauge, totals []string // how the plain metric looks as a gauge and as a counter; nil: as it is
	}{
		{name: "current Prometheus", start: func(t testing.TB) backend { return newInProcess(t, bothProtocols, nil) }, native: true},
		{name: "current Prometheus, 1.0", start: func(t testing.TB) backend { return newInProcess(t, onlyV1, nil) }, config: native1, native: true},
		{
			name:   "type and unit are labels",
			start:  func(t testing.TB) backend { return newInProcessWith(t, features{typeAndUnit: true}, onlyV2, nil) },
			native: true, gauge: []string{`m{__type__="gauge",job="j"} 1`}, totals: []string{`m{__type__="counter",job="j"} 1`},
		},
		{name: "native histograms are dropped", start: func(t testing.TB) backend { return startVictoriaMetrics(t) }, config: native1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.start(t)
			g := startPushbridge(t, "--config.file="+remoteWrite(t, b, tt.config))
			gauge, totals, count := []string{value}, []string{value}, `{job="j"} 10`
			if tt.gauge != nil {
				gauge, totals, count = tt.gauge, tt.totals, `{__type__="histogram",job="j"} 10`
			}
			everything := fmt.Sprintf(exactly, "m")
			isNative := func() {
				g.put(t, "j", nativeM(), "Content-Type", protobufType)
				waitQuery(t, b, "count(marker)", "{} 1")
				if !tt.native {
					waitQuery(t, b, everything)
					return
				}
				waitQuery(t, b, "histogram_count(m)", count)
				waitQuery(t, b, "count("+everything+")", "{} 1")
			}
			g.put(t, "j", "# TYPE m gauge\nm 1\n")
			waitQuery(t, b, everything, gauge...)
			g.put(t, "j", "# TYPE m counter\nm 1\n")
			waitQuery(t, b, everything, totals...)
			isNative()
			g.put(t, "j", "# TYPE m gauge\nm 1\n")
			waitQuery(t, b, everything, gauge...)
			isNative()
			g.delete(t, "j")
			waitQuery(t, b, `{job="j"}`)
		})
	}
}

// nativeM is a native histogram of the name m, beside a gauge that tells that the
// push has arrived.
func nativeM() string {
	h := &dto.Histogram{
		SampleCount: proto.Uint64(10), SampleSum: proto.Float64(20), Schema: proto.Int32(0), ZeroThreshold: new(0.001),
		ZeroCount: proto.Uint64(2), PositiveSpan: []*dto.BucketSpan{span(0, 2)}, PositiveDelta: []int64{4, 0},
	}
	family := func(name string, kind dto.MetricType, m *dto.Metric) string {
		return delimited(&dto.MetricFamily{Name: &name, Type: &kind, Metric: []*dto.Metric{m}})
	}
	return family("m", dto.MetricType_HISTOGRAM, &dto.Metric{Histogram: h}) +
		family("marker", dto.MetricType_GAUGE, &dto.Metric{Gauge: &dto.Gauge{Value: proto.Float64(1)}})
}
