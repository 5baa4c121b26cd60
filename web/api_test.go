package web

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/state"
)

const apiPush = `# HELP c_total A counter & <b>.
# TYPE c_total counter
c_total{a="x<y>&z",b=""} 1e6
c_total{a="2",instance="own"} -0
# TYPE g gauge
g NaN
g{z="inf"} +Inf
g{z="ninf"} -Inf
g{z="small"} 1e-9
untyped_m 3.5
# TYPE s summary
s{quantile="0.5"} 1
s{quantile="0.99"} NaN
s_sum 12.25
s_count 20000000
# TYPE s2 summary
s2_sum 1
s2_count 2
# HELP h hist
# TYPE h histogram
h_bucket{le="1"} 1
h_bucket{le="2.50"} 2
h_bucket{le="1e6"} 3
h_bucket{le="+Inf"} 4
h_sum 12
h_count 4
# TYPE push_later gauge
push_later 1
# TYPE a_first gauge
a_first{q="line\nbreak \"quoted\" ünïcode"} 123456789
`

// TestAPI_Metrics compares with what Pushgateway answers to the same pushes
// (checked against a running one, but for the order of groups).
func TestAPI_Metrics(t *testing.T) {
	inUTC(t)
	g := newGateway()
	g.put(t, "job=j1,instance=i<1", apiPush)
	g.put(t, "job=a/b", "m{a=\"b\"} 1\n")
	g.put(t, "job=empty", "")
	g.fail(t, "job=failed", testTime.Add(12*time.Millisecond))
	resp := request(t, newTestHandler(g).APIMetrics(), http.MethodGet, "/api/v1/metrics")
	got := resp.Body
	if !json.Valid([]byte(got)) {
		t.Fatalf("not JSON: %s", got)
	}
	golden(t, "api_metrics.json", got)
	wantHeader := http.Header{
		"Access-Control-Allow-Headers":  {"Accept, Authorization, Content-Type, Origin"},
		"Access-Control-Allow-Methods":  {"GET, POST, DELETE, OPTIONS"},
		"Access-Control-Allow-Origin":   {"*"},
		"Access-Control-Expose-Headers": {"Date"},
		"Cache-Control":                 {"no-cache, no-store, must-revalidate"},
		"Content-Type":                  {"application/json"},
	}
	if diff := cmp.Diff(wantHeader, resp.Header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

// groupJSON is one group of an answer.
func groupJSON(t *testing.T, g *gateway) map[string]json.RawMessage {
	t.Helper()
	var answer struct {
		Status string
		Data   []map[string]json.RawMessage
	}
	text := request(t, newTestHandler(g).APIMetrics(), http.MethodGet, "/api/v1/metrics").Body
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if answer.Status != "success" || len(answer.Data) != 1 {
		t.Fatalf("got %s, want one group", text)
	}
	return answer.Data[0]
}

func TestAPI_NoGroups(t *testing.T) {
	got := request(t, newTestHandler(newGateway()).APIMetrics(), http.MethodGet, "/api/v1/metrics").Body
	if want := `{"status":"success","data":[]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestAPI_Metric shows metrics that the text format cannot push, or that are
// special in another way.
func TestAPI_Metric(t *testing.T) {
	span := []*dto.BucketSpan{{Offset: new(int32(0)), Length: new(uint32(2))}, {Offset: new(int32(1)), Length: new(uint32(1))}}
	classic := func(h *dto.Histogram) *dto.Histogram {
		h.SampleSum = new(99.23)
		return h
	}
	tests := []struct {
		name string
		typ  dto.MetricType
		in   *dto.Metric
		want string
	}{
		{
			"classic histogram without +Inf", dto.MetricType_HISTOGRAM,
			&dto.Metric{Histogram: classic(&dto.Histogram{SampleCount: new(uint64(20)), Bucket: []*dto.Bucket{
				{UpperBound: new(250000.0), CumulativeCount: new(uint64(3))},
				{UpperBound: new(2500000.0), CumulativeCount: new(uint64(17))},
			}})},
			`{"buckets":{"2.5e+06":"17","250000":"3"},"count":"20","labels":LABELS,"sum":"99.23"}`,
		},
		{
			"no bucket", dto.MetricType_HISTOGRAM,
			&dto.Metric{Histogram: classic(&dto.Histogram{SampleCount: new(uint64(20))})},
			`{"buckets":{},"count":"20","labels":LABELS,"sum":"99.23"}`,
		},
		{
			"float counts", dto.MetricType_HISTOGRAM,
			&dto.Metric{Histogram: classic(&dto.Histogram{SampleCountFloat: new(20.5), Bucket: []*dto.Bucket{
				{UpperBound: new(1.0), CumulativeCountFloat: new(0.0)},
				{UpperBound: new(math.Inf(1)), CumulativeCountFloat: new(20.5)},
			}})},
			`{"buckets":{"+Inf":"20.5","1":"0"},"count":"20.5","labels":LABELS,"sum":"99.23"}`,
		},
		{
			"counts that are no number", dto.MetricType_HISTOGRAM,
			&dto.Metric{Histogram: classic(&dto.Histogram{SampleCountFloat: new(math.NaN()), Bucket: []*dto.Bucket{
				{UpperBound: new(1.0), CumulativeCount: new(uint64(3))},
				{UpperBound: new(2.0), CumulativeCountFloat: new(math.NaN())},
				{UpperBound: new(3.0), CumulativeCountFloat: new(-1.0)},
			}})},
			`{"buckets":{"1":"3","2":"NaN","3":"0"},"count":"NaN","labels":LABELS,"sum":"99.23"}`,
		},
		{
			"integer native", dto.MetricType_HISTOGRAM,
			&dto.Metric{Histogram: classic(&dto.Histogram{
				SampleCount: new(uint64(15)), Schema: new(int32(1)), ZeroThreshold: new(0.001), ZeroCount: new(uint64(5)),
				PositiveSpan: span, PositiveDelta: []int64{1, 1, -2}, NegativeSpan: span, NegativeDelta: []int64{2, 0, 1},
			})},
			`{"buckets":[[1,"-2.82842712474619","-2","3"],[1,"-1.414213562373095","-1","2"],[1,"-1","-0.7071067811865475","2"],` +
				`[3,"-0.001","0.001","5"],[0,"0.7071067811865475","1","1"],[0,"1","1.414213562373095","2"]],` +
				`"count":"15","labels":LABELS,"sum":"99.23"}`,
		},
		{
			"float native", dto.MetricType_HISTOGRAM,
			&dto.Metric{Histogram: classic(&dto.Histogram{
				SampleCountFloat: new(4.5), Schema: new(int32(0)),
				PositiveSpan: span, PositiveCount: []float64{1.5, 0, 3},
			})},
			`{"buckets":[[0,"0.5","1","1.5"],[0,"4","8","3"]],"count":"4.5","labels":LABELS,"sum":"99.23"}`,
		},
		{
			"native with a zero bucket alone", dto.MetricType_HISTOGRAM,
			&dto.Metric{Histogram: classic(&dto.Histogram{SampleCount: new(uint64(2)), ZeroCount: new(uint64(2)), ZeroThreshold: new(0.1)})},
			`{"buckets":{},"count":"2","labels":LABELS,"sum":"99.23"}`,
		},
		{
			"gauge histogram", dto.MetricType_GAUGE_HISTOGRAM,
			&dto.Metric{Histogram: classic(&dto.Histogram{SampleCount: new(uint64(1)), Bucket: []*dto.Bucket{
				{UpperBound: new(1.0), CumulativeCount: new(uint64(1))},
			}})},
			`{"buckets":{"1":"1"},"count":"1","labels":LABELS,"sum":"99.23"}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newGateway()
			mf := &dto.MetricFamily{Name: new("m"), Type: tt.typ.Enum(), Metric: []*dto.Metric{tt.in}}
			g.push(t, group.Change{Kind: group.KindPut}, testTime, "job=a", mf)
			var family struct {
				Type    string
				Metrics []json.RawMessage
			}
			if err := json.Unmarshal(groupJSON(t, g)["m"], &family); err != nil {
				t.Fatal(err)
			}
			if family.Type != tt.typ.String() {
				t.Errorf("type: got %s, want %s", family.Type, tt.typ)
			}
			want := strings.Replace(tt.want, "LABELS", `{"instance":"","job":"a"}`, 1)
			if diff := cmp.Diff(want, string(family.Metrics[0])); diff != "" {
				t.Errorf("metric (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAPI_Keys has families that are called like the keys of a group.
func TestAPI_Keys(t *testing.T) {
	g := newGateway()
	g.push(t, group.Change{Kind: group.KindPut, TTL: time.Hour}, testTime, "job=a", parseText(t, `expires 1
labels 2
last_push_successful 3
a 4
zz 5
`)...)
	got := groupJSON(t, g)
	for _, name := range []string{"expires", "labels", "last_push_successful", "a", "zz", "push_time_seconds"} {
		if !strings.Contains(string(got[name]), `"type":`) {
			t.Errorf("%s: got %s, want a family", name, got[name])
		}
	}
	if len(got) != 7 {
		t.Errorf("got %d keys, want 7", len(got))
	}
}

func TestAPI_Expires(t *testing.T) {
	inUTC(t)
	g := newGateway()
	g.push(t, group.Change{Kind: group.KindPut, TTL: time.Hour}, testTime, "job=a", parseText(t, "m 1\n")...)
	if got, want := string(groupJSON(t, g)["expires"]), `"2026-11-22T15:43:16.814150788Z"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	g.push(t, group.Change{Kind: group.KindPut}, testTime, "job=a", parseText(t, "m 1\n")...)
	if got, ok := groupJSON(t, g)["expires"]; ok {
		t.Errorf("without a TTL: got %s", got)
	}
}

// What a destination did not take of a group stands with it, and the key is absent
// otherwise.
func TestAPI_LastRefused(t *testing.T) {
	inUTC(t)
	g := newGateway()
	g.put(t, "job=a", "m 1\n")
	if got, ok := groupJSON(t, g)["last_refused"]; ok {
		t.Errorf("nothing was refused: got %s", got)
	}
	h := newTestHandler(g)
	id := group.NewLabels([]group.Label{{Name: "job", Value: "a"}}).ID()
	h.o.Refused = func() map[string]Refused {
		return map[string]Refused{id: {Destination: "far", Time: testTime, Samples: 3, Text: `out of "order"`}}
	}
	got := request(t, h.APIMetrics(), http.MethodGet, "/api/v1/metrics").Body
	want := `"last_refused":{"destination":"far","message":"out of \"order\"","samples":3,"time":"2026-11-22T14:43:16.814150788Z"}`
	if !strings.Contains(got, want) {
		t.Errorf("got %s, want %s in it", got, want)
	}
	h.o.Refused = func() map[string]Refused {
		return map[string]Refused{id: {Destination: "far", Time: testTime, Samples: 3, Suspect: true}}
	}
	got = request(t, h.APIMetrics(), http.MethodGet, "/api/v1/metrics").Body
	if want := `"samples":3,"suspect":true,"time":`; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s in it", got, want)
	}
}

func TestAPI_LastPush(t *testing.T) {
	later := testTime.Add(time.Second)
	tests := []struct {
		name string
		do   func(g *gateway)
		want string
	}{
		{"pushed", func(g *gateway) { g.put(t, "job=a", "m 1\n") }, "true"},
		{"refused", func(g *gateway) { g.fail(t, "job=a", testTime) }, "false"},
		{"refused later", func(g *gateway) { g.put(t, "job=a", "m 1\n"); g.fail(t, "job=a", later) }, "false"},
		{"pushed after that", func(g *gateway) {
			g.fail(t, "job=a", testTime)
			g.push(t, group.Change{Kind: group.KindPost}, later, "job=a", parseText(t, "m 1\n")...)
		}, "true"},
		{"a pushed failure time in the past", func(g *gateway) {
			g.put(t, "job=a", "# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds 7\n")
		}, "true"},
		{"a pushed failure time to come", func(g *gateway) {
			g.put(t, "job=a", "# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds 7e9\n")
		}, "false"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newGateway()
			tt.do(g)
			if got := string(groupJSON(t, g)["last_push_successful"]); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAPI_Status(t *testing.T) {
	inUTC(t)
	h := New(Options{
		Store: state.New(state.Options{}),
		Process: Process{
			Started: testTime,
			Flags:   map[string]string{"web.route-prefix": "", "persistence.interval": "5m0s", "log.level": "<info>"},
			Build:   map[string]string{"version": "1", "branch": "main"},
		},
	})
	want := `{"status":"success","data":{"build_information":{"branch":"main","version":"1"},` +
		`"flags":{"log.level":"\u003cinfo\u003e","persistence.interval":"5m0s","web.route-prefix":""},` +
		`"start_time":"2026-11-22T14:43:16.814150788Z"}}`
	if diff := cmp.Diff(want, request(t, h.APIStatus(), http.MethodGet, "/api/v1/status").Body); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

// TestAPI_Spelling compares numbers and strings with the standard library's.
func TestAPI_Spelling(t *testing.T) {
	j := &groupsJSON{}
	r := rand.New(rand.NewPCG(1, 2))
	values := []float64{0, math.Copysign(0, -1), 1e6, 1e20, 1e21, 1e-5, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64}
	for range 1000 {
		values = append(values, math.Float64frombits(r.Uint64()))
	}
	for _, v := range values {
		j.b = j.b[:0]
		j.float(v)
		if want := strconv.Quote(fmt.Sprint(v)); string(j.b) != want {
			t.Errorf("got %s, want %s", j.b, want)
		}
	}
	for _, s := range []string{"", "plain", `q"`, `b\`, "<&>", "\n\t\b\x00\x7f", "ünï \u2028", "\xff"} {
		j.b = j.b[:0]
		j.string(s)
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if string(j.b) != string(want) {
			t.Errorf("got %s, want %s", j.b, want)
		}
	}
}

// TestAPI_Long has answers that are flushed many times.
func TestAPI_Long(t *testing.T) {
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "m{i=\"%d\"} %d\n", i, i)
	}
	g := newGateway()
	g.put(t, "job=a", text.String())
	var family struct{ Metrics []json.RawMessage }
	if err := json.Unmarshal(groupJSON(t, g)["m"], &family); err != nil {
		t.Fatal(err)
	}
	if len(family.Metrics) != 5000 {
		t.Errorf("got %d metrics, want 5000", len(family.Metrics))
	}
}

func BenchmarkAPI_Metrics(b *testing.B) {
	groups := benchGroups(b, 1000, 10, 10)
	var n countWriter
	b.ReportAllocs()
	for b.Loop() {
		if err := writeGroupsJSON(&n, groups, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*100_000/b.Elapsed().Seconds(), "series/s")
}
