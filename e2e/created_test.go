package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// begun is what a job pushes that counts from created on: each type that says
// when it began, and a gauge histogram, which says so too and does not count.
func begun(created time.Time, n uint64) string {
	at := timestamppb.New(created)
	sum, threshold := float64(n), 0.001
	classic := &dto.Histogram{
		CreatedTimestamp: at, SampleCount: &n, SampleSum: &sum, Bucket: []*dto.Bucket{bucket(n, 1)},
	}
	var body string
	for _, typ := range []typed{
		plain("counter", "begun_total", dto.MetricType_COUNTER, &dto.Metric{Counter: &dto.Counter{Value: &sum, CreatedTimestamp: at}}),
		plain("summary", "begun_summary", dto.MetricType_SUMMARY, &dto.Metric{Summary: &dto.Summary{
			CreatedTimestamp: at, SampleCount: &n, SampleSum: &sum, Quantile: []*dto.Quantile{{Quantile: new(0.5), Value: &sum}},
		}}),
		plain("classic histogram", "begun_classic", dto.MetricType_HISTOGRAM, &dto.Metric{Histogram: classic}),
		plain("native histogram", "begun_native", dto.MetricType_HISTOGRAM, &dto.Metric{Histogram: &dto.Histogram{
			CreatedTimestamp: at, SampleCount: &n, SampleSum: &sum, Schema: proto.Int32(0), ZeroThreshold: &threshold, ZeroCount: &n,
		}}),
		plain("native float histogram", "begun_native_float", dto.MetricType_HISTOGRAM, &dto.Metric{Histogram: &dto.Histogram{
			CreatedTimestamp: at, SampleCountFloat: &sum, SampleSum: &sum, Schema: proto.Int32(0), ZeroThreshold: &threshold, ZeroCountFloat: &sum,
		}}),
		plain("gauge histogram", "begun_gaugehistogram", dto.MetricType_GAUGE_HISTOGRAM, &dto.Metric{Histogram: classic}),
		plain("gauge", "begun_gauge", dto.MetricType_GAUGE, &dto.Metric{Gauge: &dto.Gauge{Value: &sum}}),
	} {
		body += delimited(typ.family)
	}
	return body
}

// jobRun is one run of a job: it began, counted n, and pushed.
type jobRun struct {
	began  time.Time
	n      uint64
	pushed int64 // the timestamp of the push in ms
}

// begunSeries are the series of it, and whether they count.
var begunSeries = map[string]bool{
	`begun_total{job="begun"} `:                           true,
	`begun_summary{job="begun",quantile="0.5"} `:          true,
	`begun_summary_sum{job="begun"} `:                     true,
	`begun_summary_count{job="begun"} `:                   true,
	`begun_classic_bucket{job="begun",le="1.0"} `:         true,
	`begun_classic_bucket{job="begun",le="+Inf"} `:        true,
	`begun_classic_sum{job="begun"} `:                     true,
	`begun_classic_count{job="begun"} `:                   true,
	`begun_native{job="begun"} `:                          true,
	`begun_native_float{job="begun"} `:                    true,
	`begun_gaugehistogram_bucket{job="begun",le="1.0"} `:  false,
	`begun_gaugehistogram_bucket{job="begun",le="+Inf"} `: false,
	`begun_gaugehistogram_sum{job="begun"} `:              false,
	`begun_gaugehistogram_count{job="begun"} `:            false,
	`begun_gauge{job="begun"} `:                           false,
}

// begunStored is what a backend has of the runs. zeros says whether it knows when
// each began: then what counts begins with a zero there.
func begunStored(zeros bool, runs ...jobRun) map[string][]sample {
	want := map[string][]sample{}
	for series, counts := range begunSeries {
		for _, r := range runs {
			zero := sample{Time: r.began.UnixMilli()}
			full := sample{Time: r.pushed, Value: float64(r.n)}
			if strings.HasPrefix(series, "begun_native") {
				zero.Hist = "{count:0, sum:0}"
				full.Hist = fmt.Sprintf("{count:%d, sum:%d, [-0.001,0.001]:%d}", r.n, r.n, r.n)
			}
			if counts && zeros {
				want[series] = append(want[series], zero)
			}
			want[series] = append(want[series], full)
		}
	}
	return want
}

// TestCreatedTimestamps lets a job run twice, twenty minutes apart, and push
// what it counted since it began. A Prometheus that stores a zero where a series
// began, and is told by remote write 2.0 where that is, has the zeros at exactly
// those times, once, so that increase() misses nothing of what was counted.
// Remote write 1.0 cannot tell: 42 becoming 50 looks as if one run had gone on.
func TestCreatedTimestamps(t *testing.T) {
	for _, tt := range []struct {
		message          string
		zeros            bool
		resets, increase string
	}{
		{message: "io.prometheus.write.v2.Request", zeros: true, resets: `{job="begun"} 1`, increase: `{job="begun"} 92`},
		{message: "prometheus.WriteRequest", resets: `{job="begun"} 0`, increase: `{job="begun"} 12`},
	} {
		t.Run(tt.message, func(t *testing.T) {
			b := newInProcessWith(t, features{startAsZero: true}, bothProtocols, nil)
			file, storage := remoteWrite(t, b, "    send_native_histograms: true\n    protobuf_message: "+tt.message+"\n"), t.TempDir()
			clock := newFastClock(t, 0, 1)
			args := []string{"--config.file=" + file, "--test.clock-offset-file=" + clock.file}
			g := startPushbridgeIn(t, storage, append(args, "--refresh.interval=0")...)
			first := pushRun(t, g, b, clock, 42)
			checkRuns(t, b, tt.zeros, first)
			clock.jump(t, 20*time.Minute)
			second := pushRun(t, g, b, clock, 50)
			checkRuns(t, b, tt.zeros, first, second)

			at := time.UnixMilli(second.pushed)
			for expr, want := range map[string]string{"resets(begun_total[1h])": tt.resets, "round(increase(begun_total[1h]))": tt.increase} {
				if got, err := b.queryAt(expr, at); err != nil || len(got) != 1 || got[0] != want {
					t.Errorf("%s is %q, %v, want %s", expr, got, err, want)
				}
			}

			// What a restart finds is sent again, and does not begin again.
			if code := g.stop(t); code != 0 {
				t.Fatalf("exit code %d", code)
			}
			startPushbridgeIn(t, storage, append(args, "--refresh.interval=1s")...)
			eventually(t, "refresh", func() error {
				if last := pushTimes(t, b); last[len(last)-1].Time == second.pushed {
					return errors.New("not yet")
				}
				return nil
			})
			checkRuns(t, b, tt.zeros, first, second)
		})
	}
}

// pushRun pushes what a run of a minute counted, and waits until it is stored.
func pushRun(t *testing.T, g *gateway, b *inProcess, clock *fastClock, n uint64) jobRun {
	t.Helper()
	before := len(pushTimes(t, b))
	r := jobRun{began: clock.set(t).Add(-time.Minute).Truncate(time.Millisecond), n: n}
	g.put(t, "begun", begun(r.began, n), "Content-Type", protobufType)
	eventually(t, "push", func() error {
		times := pushTimes(t, b)
		if len(times) != before+1 {
			return fmt.Errorf("%d samples of push_time_seconds, want %d", len(times), before+1)
		}
		r.pushed = times[before].Time
		return nil
	})
	return r
}

// pushTimes returns the samples of the gateway's own series, which come with
// each push and refresh.
func pushTimes(t *testing.T, b *inProcess) []sample {
	t.Helper()
	return b.samples(t, named("push_time_seconds"))[`push_time_seconds{job="begun"} `]
}

// checkRuns compares what is stored of the runs, without what refreshes repeat.
func checkRuns(t *testing.T, b *inProcess, zeros bool, runs ...jobRun) {
	t.Helper()
	got := b.samples(t, labels.MustNewMatcher(labels.MatchRegexp, model.MetricNameLabel, "begun_.*"))
	for series, samples := range got {
		got[series] = slices.CompactFunc(samples, func(a, b sample) bool { return a.Value == b.Value && a.Hist == b.Hist })
	}
	if diff := cmp.Diff(begunStored(zeros, runs...), got); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}
