package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// typed is a family of each type that a push can hold, and what an instant
// query finds of it. A native histogram is asked for through functions.
type typed struct {
	name   string
	family *dto.MetricFamily
	native bool
	want   map[string][]string // by query
}

const exactly = `{__name__=~"%s(_bucket|_sum|_count)?"}`

func everyType() []typed {
	gauge, counter := func(v float64) *dto.Gauge { return &dto.Gauge{Value: &v} }, func(v float64) *dto.Counter { return &dto.Counter{Value: &v} }
	classic := &dto.Histogram{
		SampleCount: proto.Uint64(5), SampleSum: new(7.5),
		Bucket: []*dto.Bucket{bucket(2, 0.5), bucket(3, 1), bucket(4, 1e6)},
	}
	return []typed{
		plain("counter", "type_counter_total", dto.MetricType_COUNTER, &dto.Metric{Counter: counter(42)}, `%s{job="types"} 42`),
		plain("gauge", "type_gauge", dto.MetricType_GAUGE, &dto.Metric{Gauge: gauge(-1.5)}, `%s{job="types"} -1.5`),
		plain("untyped", "type_untyped", dto.MetricType_UNTYPED, &dto.Metric{Untyped: &dto.Untyped{Value: proto.Float64(3)}}, `%s{job="types"} 3`),
		plain("summary", "type_summary", dto.MetricType_SUMMARY, &dto.Metric{Summary: &dto.Summary{
			SampleCount: proto.Uint64(4), SampleSum: proto.Float64(10),
			Quantile: []*dto.Quantile{{Quantile: new(0.5), Value: proto.Float64(2)}, {Quantile: proto.Float64(1), Value: proto.Float64(4)}},
		}}, `%s{job="types",quantile="0.5"} 2`, `%s{job="types",quantile="1.0"} 4`, `%s_sum{job="types"} 10`, `%s_count{job="types"} 4`),
		plain("classic histogram", "type_classic", dto.MetricType_HISTOGRAM, &dto.Metric{Histogram: classic}, classicSeries...),
		plain("gauge histogram", "type_gaugehistogram", dto.MetricType_GAUGE_HISTOGRAM, &dto.Metric{Histogram: classic}, classicSeries...),
		native("native histogram", "type_native", dto.MetricType_HISTOGRAM, &dto.Histogram{
			SampleCount: proto.Uint64(10), SampleSum: proto.Float64(20), Schema: proto.Int32(0),
			ZeroThreshold: new(0.001), ZeroCount: proto.Uint64(2),
			PositiveSpan: []*dto.BucketSpan{span(0, 2), span(1, 1)}, PositiveDelta: []int64{1, 2, 1}, // 1, 3, 4
		}, 10, 20),
		native("native float histogram", "type_native_float", dto.MetricType_HISTOGRAM, &dto.Histogram{
			SampleCountFloat: new(10.5), SampleSum: proto.Float64(20), Schema: proto.Int32(0),
			ZeroThreshold: new(0.001), ZeroCountFloat: new(2.5),
			PositiveSpan: []*dto.BucketSpan{span(0, 2)}, PositiveCount: []float64{3.5, 4.5},
		}, 10.5, 20),
		native("native gauge histogram", "type_native_gauge", dto.MetricType_GAUGE_HISTOGRAM, &dto.Histogram{
			SampleCount: proto.Uint64(3), SampleSum: proto.Float64(-6), Schema: proto.Int32(2),
			ZeroThreshold: new(0.001), ZeroCount: proto.Uint64(1),
			NegativeSpan: []*dto.BucketSpan{span(-3, 1)}, NegativeDelta: []int64{2},
		}, 3, -6),
	}
}

var classicSeries = []string{
	`%s_bucket{job="types",le="0.5"} 2`, `%s_bucket{job="types",le="1.0"} 3`, `%s_bucket{job="types",le="1e+06"} 4`,
	`%s_bucket{job="types",le="+Inf"} 5`, `%s_sum{job="types"} 7.5`, `%s_count{job="types"} 5`,
}

func plain(what, name string, kind dto.MetricType, m *dto.Metric, want ...string) typed {
	lines := make([]string, len(want))
	for i, w := range want {
		lines[i] = fmt.Sprintf(w, name)
	}
	return typed{
		name: what, family: &dto.MetricFamily{Name: &name, Help: new("A " + what + "."), Type: &kind, Metric: []*dto.Metric{m}},
		want: map[string][]string{fmt.Sprintf(exactly, name): lines},
	}
}

func native(what, name string, kind dto.MetricType, h *dto.Histogram, count, sum float64) typed {
	t := plain(what, name, kind, &dto.Metric{Histogram: h})
	t.native = true
	t.want = map[string][]string{
		fmt.Sprintf("histogram_count(%s)", name): {fmt.Sprintf(`{job="types"} %v`, count)},
		fmt.Sprintf("histogram_sum(%s)", name):   {fmt.Sprintf(`{job="types"} %v`, sum)},
	}
	return t
}

func bucket(count uint64, le float64) *dto.Bucket {
	return &dto.Bucket{CumulativeCount: &count, UpperBound: &le}
}

func span(offset int32, length uint32) *dto.BucketSpan {
	return &dto.BucketSpan{Offset: &offset, Length: &length}
}

// TestEveryType pushes each type once to every backend, by every protocol that
// both sides know, asks for it, and asks again after DELETE. The log shows the
// table of docs/remote-write.md.
func TestEveryType(t *testing.T) {
	for _, tt := range []struct {
		name     string
		start    func(testing.TB) backend
		config   string
		native   bool    // the backend can hold native histograms
		protocol float64 // that is in use in the end
	}{
		{
			name: "current Prometheus, 1.0", start: func(t testing.TB) backend { return newInProcess(t, bothProtocols, nil) },
			config: "    protobuf_message: prometheus.WriteRequest\n    send_native_histograms: true\n", native: true, protocol: 1,
		},
		{
			name: "current Prometheus, 2.0", start: func(t testing.TB) backend { return newInProcess(t, bothProtocols, nil) },
			config: "    protobuf_message: io.prometheus.write.v2.Request\n", native: true, protocol: 2,
		},
		{
			name: "current Prometheus, negotiated", start: func(t testing.TB) backend { return newInProcess(t, bothProtocols, nil) },
			native: true, protocol: 2,
		},
		{
			name: "current Prometheus, falls back", start: func(t testing.TB) backend { return newInProcess(t, onlyV1, nil) },
			config: "    send_native_histograms: true\n", native: true, protocol: 1,
		},
		{
			name: "Debian's Prometheus 2.42, falls back", start: func(t testing.TB) backend {
				return startPrometheus(t, "", "--enable-feature=native-histograms")
			},
			config: "    send_native_histograms: true\n", native: true, protocol: 1,
		},
		{
			name: "Debian's VictoriaMetrics, falls back", start: func(t testing.TB) backend { return startVictoriaMetrics(t) },
			protocol: 1,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.start(t)
			g := startPushbridge(t, "--config.file="+remoteWrite(t, b, tt.config))
			for _, typ := range everyType() {
				t.Run(typ.name, func(t *testing.T) {
					if typ.native && !tt.native {
						t.Logf("%s: %s cannot hold it", tt.name, typ.name)
						return
					}
					checkType(t, g, b, typ)
				})
			}
			if v := g.metric(t, "pushbridge_remotewrite_protocol_version"); v != tt.protocol {
				t.Errorf("remote write version in use is %v, want %v", v, tt.protocol)
			}
		})
	}
}

func checkType(t *testing.T, g *gateway, b backend, typ typed) {
	g.put(t, "types", delimited(typ.family), "Content-Type", protobufType)
	for expr, want := range typ.want {
		waitQuery(t, b, expr, want...)
	}
	g.delete(t, "types")
	for expr := range typ.want {
		waitQuery(t, b, expr)
	}
}

// remoteWrite writes a configuration file with one section for the backend.
func remoteWrite(t testing.TB, b backend, more string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pushbridge.yml")
	text := "remote_write:\n  - url: " + b.writeURL() + "\n" + more
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestNativeHistogramsAreExact compares what the current Prometheus stores of
// native histograms bucket by bucket, also the markers that end them.
func TestNativeHistogramsAreExact(t *testing.T) {
	for _, message := range []string{"prometheus.WriteRequest", "io.prometheus.write.v2.Request"} {
		t.Run(message, func(t *testing.T) {
			b := newInProcess(t, bothProtocols, nil)
			g := startPushbridge(t, "--config.file="+remoteWrite(t, b, "    send_native_histograms: true\n    protobuf_message: "+message+"\n"))
			for _, typ := range everyType() {
				if typ.native {
					g.post(t, "types", delimited(typ.family), "Content-Type", protobufType)
				}
			}
			waitQuery(t, b, `{__name__=~"type_native.*"}`,
				`type_native{job="types"} {count:10, sum:20, [-0.001,0.001]:2, (0.5,1]:1, (1,2]:3, (4,8]:4}`,
				`type_native_float{job="types"} {count:10.5, sum:20, [-0.001,0.001]:2.5, (0.5,1]:3.5, (1,2]:4.5}`,
				`type_native_gauge{job="types"} {count:3, sum:-6, [-0.5946035575013605,-0.5):2, [-0.001,0.001]:1}`,
			)
			g.delete(t, "types")
			waitQuery(t, b, `{__name__=~"type_native.*"}`)
			for series, samples := range b.samples(t, labels.MustNewMatcher(labels.MatchRegexp, model.MetricNameLabel, "type_native.*")) {
				// Receivers that make plain series of a native histogram have its sum and
				// count to end. Here these are nothing but the marker.
				plain := strings.Contains(series, "_sum{") || strings.Contains(series, "_count{")
				if last := samples[len(samples)-1]; !last.Stale || (last.Hist == "") != plain || plain && len(samples) > 1 {
					t.Errorf("%s ends with %+v after %d samples, want a stale histogram, or just a marker for sum and count", series, last, len(samples)-1)
				}
			}
		})
	}
}

// TestExemplarsArrive pushes exemplars and reads them back.
func TestExemplarsArrive(t *testing.T) {
	for _, message := range []string{"prometheus.WriteRequest", "io.prometheus.write.v2.Request"} {
		t.Run(message, func(t *testing.T) {
			b := newInProcess(t, bothProtocols, nil)
			g := startPushbridge(t, "--config.file="+remoteWrite(t, b, "    send_exemplars: true\n    protobuf_message: "+message+"\n"))
			at := time.Now().Add(-time.Second).Truncate(time.Millisecond)
			seen := &dto.Exemplar{
				Label: []*dto.LabelPair{{Name: new("trace"), Value: new("abc")}}, Value: new(0.7), Timestamp: timestamppb.New(at),
			}
			inBucket := bucket(3, 1)
			inBucket.Exemplar = seen
			for _, typ := range []typed{
				plain("counter", "exemplar_total", dto.MetricType_COUNTER, &dto.Metric{Counter: &dto.Counter{Value: proto.Float64(1), Exemplar: seen}}),
				plain("histogram", "exemplar_seconds", dto.MetricType_HISTOGRAM, &dto.Metric{Histogram: &dto.Histogram{
					SampleCount: proto.Uint64(3), SampleSum: proto.Float64(1), Bucket: []*dto.Bucket{inBucket},
				}}),
			} {
				g.post(t, "exemplars", delimited(typ.family), "Content-Type", protobufType)
			}
			want := []string{
				fmt.Sprintf(`exemplar_seconds_bucket{job="exemplars",le="1.0"} {trace="abc"} 0.7 %d`, at.UnixMilli()),
				fmt.Sprintf(`exemplar_total{job="exemplars"} {trace="abc"} 0.7 %d`, at.UnixMilli()),
			}
			eventually(t, "exemplars", func() error {
				if got := b.exemplars(t); !slices.Equal(got, want) {
					return fmt.Errorf("got %q, want %q", got, want)
				}
				return nil
			})
		})
	}
}

// exemplars returns all that are stored.
func (p *inProcess) exemplars(t testing.TB) []string {
	t.Helper()
	q, err := p.db.ExemplarQuerier(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	any := []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, model.MetricNameLabel, ".+")}
	found, err := q.Select(0, time.Now().Add(time.Hour).UnixMilli(), any)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		for _, e := range f.Exemplars {
			got = append(got, line(f.SeriesLabels, exemplarText(e)))
		}
	}
	slices.Sort(got)
	return got
}

func exemplarText(e exemplar.Exemplar) string {
	return fmt.Sprintf("%s %v %d", e.Labels, e.Value, e.Ts)
}
