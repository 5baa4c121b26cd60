package e2e

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// written is one series of a request.
type written struct {
	metric string   // its name; empty: m
	labels []string // pairs of name and value, beside job
	ages   []time.Duration
	value  float64
	native bool // a native histogram in place of plain samples
}

// sampleOf is one sample, as old as age, of a series with these labels.
func sampleOf(age time.Duration, v float64, labels ...string) written {
	return written{labels: labels, ages: []time.Duration{age}, value: v}
}

// fact is one row of docs/backends.md: what is sent, and what each receiver
// answers to the last request and holds afterwards.
type fact struct {
	name     string
	version  int // of the protocol
	requests [][]written
	headers  []string
	match    string // further matchers of what counts as held

	current, old, victoria string // status, written headers; samples held
}

// TestReceiverFacts holds docs/backends.md to the receivers that can run here:
// the write handler of Prometheus 3.14, and Debian's Prometheus 2.42 and
// VictoriaMetrics 1.79.5.
func TestReceiverFacts(t *testing.T) {
	current, old, victoria := newInProcess(t, bothProtocols, nil), startPrometheus(t, ""), startVictoriaMetrics(t)
	now := time.Now().Truncate(time.Second)
	for _, f := range receiverFacts() {
		t.Run(f.name, func(t *testing.T) {
			for _, r := range []struct {
				name string
				backend
				want string
			}{{"Prometheus 3.14", current, f.current}, {"Prometheus 2.42", old, f.old}, {"VictoriaMetrics 1.79", victoria, f.victoria}} {
				if got := f.on(t, r.backend, now); got != r.want {
					t.Errorf("%s: got %q, want %q", r.name, got, r.want)
				}
			}
		})
	}
}

// on sends what the fact says and tells what came of it.
func (f fact) on(t *testing.T, b backend, now time.Time) string {
	t.Helper()
	var answer string
	for _, all := range f.requests {
		r := version1(f.name, now, all)
		if f.version == 2 {
			r = version2(f.name, now, all)
		}
		answer = r.post(t, b.writeURL(), f.headers)
	}
	held, err := b.queryAt(fmt.Sprintf(`sum(count_over_time({job=%q%s}[4h])) or vector(0)`, f.name, f.match), now.Add(30*time.Minute))
	if err != nil || len(held) != 1 {
		t.Fatalf("%v %v", held, err)
	}
	return answer + "; " + strings.TrimPrefix(held[0], "{} ")
}

func receiverFacts() []fact {
	const blank = "application/x-protobuf; proto=io.prometheus.write.v2.Request"
	one := func(w ...written) [][]written { return [][]written{w} }
	plain := sampleOf(0, 1)
	// The series s="0" has a newer sample already when the second request comes.
	oneOlder := [][]written{{sampleOf(0, 1, "s", "0")}, {sampleOf(0, 1, "s", "1"), sampleOf(time.Minute, 1, "s", "0"), sampleOf(0, 1, "s", "2")}}
	many := written{ages: plain.ages}
	for i := range 41 {
		many.labels = append(many.labels, fmt.Sprintf("l%02d", i), "v")
	}
	long, huge := strings.Repeat("n", 300), strings.Repeat("v", 5000)
	return []fact{
		{name: "1.0", requests: one(plain), current: "204; 1", old: "204; 1", victoria: "204; 1"},
		{name: "2.0", version: 2, requests: one(plain), current: "204 S1 H0 E0; 1", old: "204; 0", victoria: "204; 0"},
		{name: "2.0, blank in the content type", version: 2, requests: one(plain), headers: []string{"Content-Type", blank}, current: "204; 0", old: "204; 0", victoria: "204; 0"},
		{name: "no series in 2.0", version: 2, requests: one(), current: "204 S0 H0 E0; 0", old: "204; 0", victoria: "204; 0"},
		{name: "zstd named, snappy sent", requests: one(plain), headers: []string{"Content-Encoding", "zstd"}, current: "415; 0", old: "204; 1", victoria: "204; 1"},
		{name: "one of three too old in 1.0", requests: oneOlder, current: "400; 1", old: "400; 1", victoria: "204; 4"},
		{name: "one of three too old in 2.0", version: 2, requests: oneOlder, current: "400 S2 H0 E0; 3", old: "204; 0", victoria: "204; 0"},
		{name: "exact repeat", requests: [][]written{{plain}, {plain}}, current: "204; 1", old: "204; 1", victoria: "204; 2"},
		{name: "another value at the same time", requests: [][]written{{plain}, {sampleOf(0, 2)}}, current: "400; 1", old: "400; 1", victoria: "204; 2"},
		{name: "newest first in one request", requests: one(written{ages: []time.Duration{0, time.Minute}}), current: "204; 1", old: "204; 1", victoria: "204; 2"},
		{name: "two hours old", requests: one(sampleOf(2*time.Hour, 1)), current: "400; 0", old: "400; 0", victoria: "204; 1"},
		{name: "eleven minutes ahead", requests: one(sampleOf(-11*time.Minute, 1)), current: "400; 0", old: "204; 1", victoria: "204; 1"},
		{name: "stale marker of an unknown series", requests: one(sampleOf(0, math.Float64frombits(value.StaleNaN))), current: "204; 0", old: "204; 0", victoria: "204; 0"},
		{name: "native histogram in 1.0", requests: one(written{ages: plain.ages, native: true}), current: "204; 1", old: "500; 0", victoria: "204; 0"},
		{name: "native histogram in 2.0", version: 2, requests: one(written{ages: plain.ages, native: true}), current: "204 S0 H1 E0; 1", old: "204; 0", victoria: "204; 0"},
		{name: "empty label value", requests: one(sampleOf(0, 1, "z", "")), current: "204; 1", old: "204; 1", victoria: "204; 1"},
		{name: "unsorted labels", requests: one(sampleOf(0, 1, "a", "b")), current: "204; 1", old: "204; 1", victoria: "204; 1"},
		{name: "label twice", requests: one(sampleOf(0, 1, "z", "1", "z", "2")), current: "204; 0", old: "500; 0", victoria: "204; 1"},
		{name: "UTF-8 name", requests: one(written{metric: "ü.m", ages: plain.ages}), match: `,__name__="ü.m"`, current: "204; 1", old: "204; 1", victoria: "204; 1"},
		{name: "label name of 300 bytes", requests: one(sampleOf(0, 1, long, "x")), match: "," + long + `="x"`, current: "204; 1", old: "204; 1", victoria: "204; 0"},
		{name: "label value of 5,000 bytes", requests: one(sampleOf(0, 1, "z", huge)), match: `,z="` + huge + `"`, current: "204; 1", old: "204; 1", victoria: "204; 1"},
		{name: "41 labels", requests: one(many), match: `,l40="v"`, current: "204; 1", old: "204; 1", victoria: "204; 0"},
		// The last one: 2.42 is of no use after it.
		{name: "after one three hours ahead", requests: [][]written{{sampleOf(-3*time.Hour, 1, "s", "0")}, {plain}}, current: "204; 1", old: "400; 0", victoria: "204; 1"},
	}
}

// wire is a request as it goes over the wire.
type wire struct {
	contentType, version string
	body                 []byte
}

func version1(job string, now time.Time, all []written) wire {
	var req prompb.WriteRequest
	for _, w := range all {
		var ts prompb.TimeSeries
		for pair := range slices.Chunk(w.pairs(job), 2) {
			ts.Labels = append(ts.Labels, prompb.Label{Name: pair[0], Value: pair[1]})
		}
		for _, age := range w.ages {
			ms := now.Add(-age).UnixMilli()
			if w.native {
				ts.Histograms = append(ts.Histograms, nativeAt(ms))
			} else {
				ts.Samples = append(ts.Samples, prompb.Sample{Timestamp: ms, Value: w.value})
			}
		}
		req.Timeseries = append(req.Timeseries, ts)
	}
	return wire{"application/x-protobuf", "0.1.0", compressed(req.Marshal())}
}

func version2(job string, now time.Time, all []written) wire {
	symbols := writev2.NewSymbolTable()
	var req writev2.Request
	for _, w := range all {
		var ts writev2.TimeSeries
		for _, s := range w.pairs(job) {
			ts.LabelsRefs = append(ts.LabelsRefs, symbols.Symbolize(s))
		}
		for _, age := range w.ages {
			ms := now.Add(-age).UnixMilli()
			if w.native {
				ts.Histograms = append(ts.Histograms, nativeAt2(ms))
			} else {
				ts.Samples = append(ts.Samples, writev2.Sample{Timestamp: ms, Value: w.value})
			}
		}
		req.Timeseries = append(req.Timeseries, ts)
	}
	req.Symbols = symbols.Symbols()
	return wire{"application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0", compressed(req.Marshal())}
}

func compressed(message []byte, err error) []byte {
	if err != nil {
		panic("e2e: " + err.Error())
	}
	return snappy.Encode(nil, message)
}

func (w written) pairs(job string) []string {
	return append([]string{"__name__", cmp.Or(w.metric, "m"), "job", job}, w.labels...)
}

func nativeAt(ms int64) prompb.Histogram {
	return prompb.Histogram{
		Count: &prompb.Histogram_CountInt{CountInt: 2}, Sum: 3, ZeroThreshold: 0.001,
		ZeroCount:     &prompb.Histogram_ZeroCountInt{},
		PositiveSpans: []prompb.BucketSpan{{Length: 2}}, PositiveDeltas: []int64{1, 0}, Timestamp: ms,
	}
}

func nativeAt2(ms int64) writev2.Histogram {
	return writev2.Histogram{
		Count: &writev2.Histogram_CountInt{CountInt: 2}, Sum: 3, ZeroThreshold: 0.001,
		ZeroCount:     &writev2.Histogram_ZeroCountInt{},
		PositiveSpans: []writev2.BucketSpan{{Length: 2}}, PositiveDeltas: []int64{1, 0}, Timestamp: ms,
	}
}

// post sends the request and returns the status and the written headers, if any.
func (r wire) post(t *testing.T, url string, headers []string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	all := append([]string{
		"Content-Type", r.contentType, "Content-Encoding", "snappy", "X-Prometheus-Remote-Write-Version", r.version,
	}, headers...)
	for pair := range slices.Chunk(all, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	answer := strconv.Itoa(resp.StatusCode)
	for _, kind := range []string{"Samples", "Histograms", "Exemplars"} {
		if v := resp.Header.Get("X-Prometheus-Remote-Write-" + kind + "-Written"); v != "" {
			answer += " " + kind[:1] + v
		}
	}
	return answer
}
