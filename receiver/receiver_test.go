package receiver

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// testReceiver is a receiver behind a real server, and what it prints.
type testReceiver struct {
	*Receiver
	out *bytes.Buffer // read it only after the answer
	url string
}

func startTestReceiver(t *testing.T, limit int) *testReceiver {
	t.Helper()
	var out bytes.Buffer
	rc := New(Options{
		Protocols: []int{1, 2}, Output: &out, Strict: true, MaxSamples: limit,
		Logger: slog.New(slog.DiscardHandler),
	})
	srv := httptest.NewServer(rc.handler())
	t.Cleanup(srv.Close)
	return &testReceiver{Receiver: rc, out: &out, url: srv.URL}
}

// send does one request and returns status, headers and body.
func (tr *testReceiver) send(t *testing.T, method, path string, h http.Header, body []byte) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, tr.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = h
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

func (tr *testReceiver) write(t *testing.T, protocol int, raw []byte) (int, http.Header, string) {
	t.Helper()
	return tr.send(t, http.MethodPost, "/api/v1/write", writeHeaders(protocol), snappy.Encode(nil, raw))
}

func (tr *testReceiver) control(t *testing.T, doc string) {
	t.Helper()
	if code, _, body := tr.send(t, http.MethodPut, "/control", http.Header{}, []byte(doc)); code != http.StatusOK {
		t.Fatalf("control %s: status %d: %s", doc, code, body)
	}
}

func writeHeaders(protocol int) http.Header {
	h := http.Header{
		"Content-Encoding":                  {"snappy"},
		"Content-Type":                      {"application/x-protobuf"},
		"X-Prometheus-Remote-Write-Version": {"0.1.0"},
		"User-Agent":                        {"test"},
	}
	if protocol == 2 {
		h.Set("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
		h.Set("X-Prometheus-Remote-Write-Version", "2.0.0")
	}
	return h
}

// v1 encodes float samples of series that are called by their name alone.
func v1(t *testing.T, samples ...testSample) []byte {
	t.Helper()
	var r prompb.WriteRequest
	for _, s := range samples {
		r.Timeseries = append(r.Timeseries, prompb.TimeSeries{
			Labels:  []prompb.Label{{Name: "__name__", Value: s.name}},
			Samples: []prompb.Sample{{Timestamp: s.time, Value: s.value}},
		})
	}
	return marshal(t, &r)
}

type testSample struct {
	name  string
	time  int64
	value float64
}

// minusZero stands for -0 in messages to marshal: the generated code takes -0
// for a default and leaves it out.
const minusZero = 0.123456789

func marshal(t *testing.T, m interface{ Marshal() ([]byte, error) }) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	bits := func(v float64) []byte { return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)) }
	return bytes.ReplaceAll(b, bits(minusZero), bits(math.Copysign(0, -1)))
}

var (
	staleNaN   = math.Float64frombits(value.StaleNaN)
	testInt    = &histogram.Histogram{Count: 5, Sum: 12.5, ZeroThreshold: 0.5, ZeroCount: 1, PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []int64{1, 2}}
	testFloat  = &histogram.FloatHistogram{Count: 2.5, Sum: 1, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []float64{2.5}}
	testCustom = &histogram.Histogram{Schema: histogram.CustomBucketsSchema, Count: 3, Sum: 4, PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []int64{1, 1}, CustomValues: []float64{1, 2.5}}
	staleInt   = &histogram.Histogram{Sum: staleNaN}
	staleFloat = &histogram.FloatHistogram{Sum: staleNaN}
)

func TestV1Prints(t *testing.T) {
	name := func(n string, more ...string) []prompb.Label {
		return prompb.FromLabels(labels.FromStrings(append([]string{"__name__", n}, more...)...), nil)
	}
	r := prompb.WriteRequest{
		Timeseries: []prompb.TimeSeries{
			{
				Labels:    name("up", "job", `a "b" \`),
				Samples:   []prompb.Sample{{Timestamp: 1, Value: minusZero}, {Timestamp: 2, Value: math.NaN()}, {Timestamp: 3, Value: staleNaN}},
				Exemplars: []prompb.Exemplar{{Value: 1}},
			},
			{Labels: name("http.requests", "löhne", "1"), Samples: []prompb.Sample{{Timestamp: 4, Value: 1e6}}},
			{Labels: name("n_int"), Histograms: []prompb.Histogram{prompb.FromIntHistogram(5, testInt), prompb.FromIntHistogram(6, staleInt)}},
			{Labels: name("n_float"), Histograms: []prompb.Histogram{prompb.FromFloatHistogram(5, testFloat), prompb.FromFloatHistogram(6, staleFloat)}},
		},
		Metadata: []prompb.MetricMetadata{{MetricFamilyName: "up"}},
	}
	tr := startTestReceiver(t, 0)
	code, h, body := tr.write(t, 1, marshal(t, &r))
	if code != http.StatusNoContent || h.Get("X-Prometheus-Remote-Write-Samples-Written") != "" {
		t.Errorf("got status %d %s and headers %v, want 204 without written-headers", code, body, h)
	}
	want := `up{job="a \"b\" \\"} -0
up{job="a \"b\" \\"} NaN
up{job="a \"b\" \\"} stale
{"http.requests","löhne"="1"} 1e+06
n_int{} {count:5, sum:12.5, [-0.5,0.5]:1, (0.5,1]:1, (1,2]:3}
n_int{} stale
n_float{} {count:2.5, sum:1, (0.5,1]:2.5}
n_float{} stale
`
	if diff := cmp.Diff(want, tr.out.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	wantStats := stats{
		Requests: 1, ByProtocol: map[string]int{"1.0": 1, "2.0": 0}, Samples: 8, Histograms: 4, StaleMarkers: 3,
		Exemplars: 1, Metadata: 1, Series: 4, Held: 8,
	}
	if diff := cmp.Diff(wantStats, tr.store.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

func TestV2Prints(t *testing.T) {
	symbols := writev2.NewSymbolTable()
	refs := func(s ...string) []uint32 {
		return symbols.SymbolizeLabels(labels.FromStrings(s...), nil)
	}
	r := writev2.Request{Timeseries: []writev2.TimeSeries{
		{
			LabelsRefs: refs("__name__", "c_total", "job", "a"),
			Samples:    []writev2.Sample{{Timestamp: 1_700_000_000_001, Value: 3, StartTimestamp: 1_600_000_000_000}},
			Exemplars:  []writev2.Exemplar{{LabelsRefs: refs("trace_id", "x"), Value: 1}},
			Metadata:   writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: symbols.Symbolize("Help.")},
		},
		{LabelsRefs: refs("__name__", "n"), Histograms: []writev2.Histogram{writev2.FromIntHistogram(0, 1_700_000_000_002, testCustom)}},
	}}
	r.Symbols = symbols.Symbols()
	tr := startTestReceiver(t, 0)
	tr.store.times = true
	code, h, body := tr.write(t, 2, marshal(t, &r))
	if code != http.StatusNoContent {
		t.Fatalf("status %d: %s", code, body)
	}
	for name, want := range map[string]string{"Samples": "1", "Histograms": "1", "Exemplars": "1"} {
		if got := h.Get("X-Prometheus-Remote-Write-" + name + "-Written"); got != want {
			t.Errorf("%s written: got %q, want %q", name, got, want)
		}
	}
	want := `c_total{job="a"} 3 2023-11-14T22:13:20.001Z since 2020-09-13T12:26:40.000Z
n{} {count:3, sum:4, [-Inf,1]:1, (1,2.5]:2} 2023-11-14T22:13:20.002Z
`
	if diff := cmp.Diff(want, tr.out.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if s := tr.store.Stats(); s.Metadata != 1 || s.Violations != 0 {
		t.Errorf("got %d metadata and %d violations, want 1 and 0", s.Metadata, s.Violations)
	}
}

// TestOrder is promise P2 as the receiver judges it.
func TestOrder(t *testing.T) {
	type request = []testSample
	tests := []struct {
		name       string
		requests   []request
		repeats    int
		violations int
		want       string // the last line
	}{
		{"newer", []request{{{"a", 1, 1}}, {{"a", 2, 1}}}, 0, 0, "a{} 1"},
		{"two series at one time", []request{{{"a", 1, 1}, {"b", 1, 1}}}, 0, 0, "b{} 1"},
		{"exact repeat", []request{{{"a", 1, 1}}, {{"a", 1, 1}}}, 1, 0, "a{} 1 # repeat"},
		{"repeat of an old one", []request{{{"a", 1, 1}}, {{"a", 2, 2}}, {{"a", 1, 1}}}, 1, 0, "a{} 1 # repeat"},
		{"repeat of a NaN", []request{{{"a", 1, math.NaN()}}, {{"a", 1, math.NaN()}}}, 1, 0, "a{} NaN # repeat"},
		{"older", []request{{{"a", 2, 1}}, {{"a", 1, 1}}}, 0, 1, "a{} 1 # VIOLATION: not newer than 1970-01-01T00:00:00.002Z"},
		{"older within a request", []request{{{"a", 2, 1}, {"a", 1, 1}}}, 0, 1, "a{} 1 # VIOLATION: not newer than 1970-01-01T00:00:00.002Z"},
		{"same time, other value", []request{{{"a", 1, 1}}, {{"a", 1, 2}}}, 0, 1, "a{} 2 # VIOLATION: another value at the same time"},
		{"zero and minus zero", []request{{{"a", 1, 0}}, {{"a", 1, minusZero}}}, 0, 1, "a{} -0 # VIOLATION: another value at the same time"},
		{"NaN and stale marker", []request{{{"a", 1, math.NaN()}}, {{"a", 1, staleNaN}}}, 0, 1, "a{} stale # VIOLATION: another value at the same time"},
		{"repeat beside a new one", []request{{{"a", 1, 1}}, {{"a", 1, 1}, {"b", 1, 1}}}, 1, 1, "# VIOLATION: a request holds 1 new samples and 1 repeats"},
		{"violation repeated", []request{{{"a", 2, 1}}, {{"a", 1, 1}}, {{"a", 1, 1}}}, 1, 1, "a{} 1 # repeat"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := startTestReceiver(t, 0)
			for _, r := range tt.requests {
				if code, _, body := tr.write(t, 1, v1(t, r...)); code != http.StatusNoContent {
					t.Fatalf("status %d: %s", code, body)
				}
			}
			if s := tr.store.Stats(); s.Repeats != tt.repeats || s.Violations != tt.violations {
				t.Errorf("got %d repeats, %d violations, want %d, %d", s.Repeats, s.Violations, tt.repeats, tt.violations)
			}
			lines := strings.Split(strings.TrimSuffix(tr.out.String(), "\n"), "\n")
			if diff := cmp.Diff(tt.want, lines[len(lines)-1]); diff != "" {
				t.Errorf("last line (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHistogramRepeat(t *testing.T) {
	send := func(tr *testReceiver, h *histogram.Histogram) {
		r := prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
			Labels:     []prompb.Label{{Name: "__name__", Value: "n"}},
			Histograms: []prompb.Histogram{prompb.FromIntHistogram(1, h)},
		}}}
		tr.write(t, 1, marshal(t, &r))
	}
	tr := startTestReceiver(t, 0)
	other := testInt.Copy()
	other.Sum++
	send(tr, testInt)
	send(tr, testInt)
	send(tr, other)
	if s := tr.store.Stats(); s.Repeats != 1 || s.Violations != 1 {
		t.Errorf("got %d repeats, %d violations, want 1, 1", s.Repeats, s.Violations)
	}
}

// TestForm names each rule of form in the text of its violation.
func TestForm(t *testing.T) {
	series := func(pairs ...string) []byte {
		ts := prompb.TimeSeries{Samples: []prompb.Sample{{Timestamp: 1}}}
		for i := 0; i < len(pairs); i += 2 {
			ts.Labels = append(ts.Labels, prompb.Label{Name: pairs[i], Value: pairs[i+1]})
		}
		return marshal(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{ts}})
	}
	bad := *testInt
	bad.PositiveSpans = []histogram.Span{{Length: 1 << 31}}
	tests := []struct {
		name string
		raw  []byte
		want string
	}{
		{"no name", series("job", "a"), "there is no __name__"},
		{"unsorted", series("__name__", "x", "b", "1", "a", "1"), "a stands after b"},
		{"twice", series("__name__", "x", "b", "1", "b", "2"), "b occurs twice"},
		{"empty value", series("__name__", "x", "b", ""), "b is empty"},
		{"empty label name", series("", "1", "__name__", "x"), "a name is empty"},
		{"reserved", series("__name__", "x", "__tmp", "1"), "__tmp must not leave the sender"},
		{"not UTF-8", series("__name__", "x", "b", "\xff"), `"b" is not UTF-8`},
		{"histogram that lies about its spans", marshal(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
			Labels:     []prompb.Label{{Name: "__name__", Value: "n"}},
			Histograms: []prompb.Histogram{prompb.FromIntHistogram(1, &bad)},
		}}}), "histogram of n{}: positive side"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := startTestReceiver(t, 0)
			tr.write(t, 1, tt.raw)
			if s := tr.store.Stats(); s.Violations != 1 {
				t.Errorf("got %d violations, want 1", s.Violations)
			}
			if got := tr.out.String(); !strings.Contains(got, "# VIOLATION: ") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want a violation that says %q", got, tt.want)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	body := snappy.Encode(nil, v1(t, testSample{"a", 1, 1}))
	tests := []struct {
		name       string
		set        map[string]string
		only       int
		want       int
		violations int
	}{
		{"exact", nil, 0, 204, 0},
		{"1.0 by name", map[string]string{"Content-Type": "application/x-protobuf;proto=prometheus.WriteRequest"}, 0, 204, 0},
		{"a blank in the content type", map[string]string{"Content-Type": "application/x-protobuf; proto=io.prometheus.write.v2.Request"}, 0, 415, 0},
		{"no encoding", map[string]string{"Content-Encoding": ""}, 0, 415, 0},
		{"protocol switched off", nil, 2, 415, 0},
		{"wrong version", map[string]string{"X-Prometheus-Remote-Write-Version": "2.0.0"}, 0, 204, 1},
		{"no user agent", map[string]string{"User-Agent": ""}, 0, 204, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := startTestReceiver(t, 0)
			if tt.only != 0 {
				tr.protocols = []int{tt.only}
			}
			h := writeHeaders(1)
			for k, v := range tt.set {
				h.Set(k, v)
			}
			code, _, text := tr.send(t, http.MethodPost, "/api/v1/push", h, body)
			if code != tt.want {
				t.Errorf("got status %d (%s), want %d", code, text, tt.want)
			}
			if s := tr.store.Stats(); s.Violations != tt.violations {
				t.Errorf("got %d violations, want %d", s.Violations, tt.violations)
			}
		})
	}
}

func TestBadBodies(t *testing.T) {
	v2 := func(r writev2.Request) []byte { return snappy.Encode(nil, marshal(t, &r)) }
	tests := []struct {
		name     string
		protocol int
		body     []byte
		want     int
	}{
		{"not snappy", 1, []byte("hello"), 400},
		{"claims 4 GiB", 1, []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, 413},
		{"not protobuf", 1, snappy.Encode(nil, []byte("hello")), 400},
		{"reference outside of the symbols", 2, v2(writev2.Request{Symbols: []string{""}, Timeseries: []writev2.TimeSeries{{LabelsRefs: []uint32{0, 1}}}}), 400},
		{"odd references", 2, v2(writev2.Request{Symbols: []string{""}, Timeseries: []writev2.TimeSeries{{LabelsRefs: []uint32{0}}}}), 400},
		{"metadata outside of the symbols", 2, v2(writev2.Request{Symbols: []string{""}, Timeseries: []writev2.TimeSeries{{Metadata: writev2.Metadata{HelpRef: 7}}}}), 400},
		{"exemplar outside of the symbols", 2, v2(writev2.Request{Symbols: []string{""}, Timeseries: []writev2.TimeSeries{{Exemplars: []writev2.Exemplar{{LabelsRefs: []uint32{0, 9}}}}}}), 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := startTestReceiver(t, 0)
			code, _, text := tr.send(t, http.MethodPost, "/receive", writeHeaders(tt.protocol), tt.body)
			if code != tt.want {
				t.Errorf("got status %d (%s), want %d", code, text, tt.want)
			}
			if s := tr.store.Stats(); s.Refused != 1 || s.Samples != 0 {
				t.Errorf("got %d refused and %d samples, want 1 and 0", s.Refused, s.Samples)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	one := v1(t, testSample{"a", 1, 1})

	t.Run("fail for two requests", func(t *testing.T) {
		tr := startTestReceiver(t, 0)
		tr.control(t, `{"fail": {"status": 503, "retry_after": "2", "body": "busy", "headers": {"X-Why": "test"}, "requests": 2}}`)
		for range 2 {
			code, h, body := tr.write(t, 1, one)
			if code != 503 || h.Get("Retry-After") != "2" || h.Get("X-Why") != "test" || body != "busy" {
				t.Errorf("got %d %v %q, want 503 with Retry-After, X-Why and body", code, h, body)
			}
		}
		if code, _, _ := tr.write(t, 1, one); code != 204 {
			t.Errorf("third request: got %d, want 204", code)
		}
		if s := tr.store.Stats(); s.Failed != 2 || s.Samples != 1 || s.Repeats != 0 {
			t.Errorf("got %+v, want 2 failed and 1 sample", s)
		}
	})

	t.Run("fail and store", func(t *testing.T) {
		tr := startTestReceiver(t, 0)
		tr.control(t, `{"fail": {"status": 409, "store": true}}`)
		if code, _, _ := tr.write(t, 1, one); code != 409 {
			t.Errorf("got %d, want 409", code)
		}
		if s := tr.store.Stats(); s.Samples != 1 {
			t.Errorf("got %d samples, want 1", s.Samples)
		}
	})

	t.Run("drop an answer", func(t *testing.T) {
		tr := startTestReceiver(t, 0)
		tr.control(t, `{"drop_answers": {"requests": 1}}`)
		// The client of the standard library does not repeat a POST by itself.
		if code, _, _ := tr.write(t, 1, one); code != 0 {
			t.Errorf("got status %d, want a closed connection", code)
		}
		if code, _, _ := tr.write(t, 1, one); code != 204 {
			t.Errorf("second request: got %d, want 204", code)
		}
		if s := tr.store.Stats(); s.DroppedAnswers != 1 || s.Repeats != 1 || s.Violations != 0 {
			t.Errorf("got %+v, want 1 dropped answer and 1 repeat", s)
		}
	})

	t.Run("slow", func(t *testing.T) {
		tr := startTestReceiver(t, 0)
		tr.control(t, `{"slow": {"delay": "1h"}}`)
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, tr.url+"/api/v1/write", bytes.NewReader(snappy.Encode(nil, one)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = writeHeaders(1)
		done := make(chan error, 1)
		go func() {
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				err = resp.Body.Close()
			}
			done <- err
		}()
		// It waits once the fault has been hit.
		for !strings.Contains(tr.get(t, "/control"), `"hits": 1`) {
			select {
			case err := <-done:
				t.Fatalf("answered without delay: %v", err)
			default:
			}
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want canceled", err)
		}
		if s := tr.store.Stats(); s.Samples != 0 {
			t.Errorf("got %d samples from a client that gave up, want 0", s.Samples)
		}
	})

	t.Run("a share, repeatable by its seed", func(t *testing.T) {
		tr := startTestReceiver(t, 0)
		codes := func() string {
			tr.control(t, `{"seed": 7, "fail": {"status": 500, "share": 0.5}}`)
			var b strings.Builder
			for range 20 {
				if code, _, _ := tr.write(t, 1, one); code == 500 {
					b.WriteByte('x')
				} else {
					b.WriteByte('.')
				}
			}
			return b.String()
		}
		first := codes()
		if n := strings.Count(first, "x"); n == 0 || n == 20 {
			t.Errorf("got %s, want some failures", first)
		}
		if diff := cmp.Diff(first, codes()); diff != "" {
			t.Errorf("second time (-first +second):\n%s", diff)
		}
	})
}

func (tr *testReceiver) get(t *testing.T, path string) string {
	t.Helper()
	_, _, body := tr.send(t, http.MethodGet, path, http.Header{}, nil)
	return body
}

func TestControlErrors(t *testing.T) {
	f := func(doc, want string) {
		t.Helper()
		_, err := ParseControl(strings.NewReader(doc))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one that says %q", doc, err, want)
		}
	}
	f(`{"fial": {}}`, "unknown field")
	f(`{"fail": {"status": 42}}`, "fail.status is 42")
	f(`{"fail": {"status": 500, "share": 1.5}}`, "fail.share is 1.5")
	f(`{"drop_answers": {"requests": -1}}`, "drop_answers.requests is negative")
	f(`{"slow": {}}`, `slow.delay is ""`)
	f(`{"slow": {"delay": "-1s"}}`, `slow.delay is "-1s"`)
	f(`{"slow": {"delay": "1s", "hits": 3}}`, "slow.hits cannot be set")
	f(`{"refuse": {"as": "graphite"}}`, `refuse.as is "graphite"`)
	f(`fail`, "control document")
}

func TestViews(t *testing.T) {
	tr := startTestReceiver(t, 0)
	tr.write(t, 1, v1(t, testSample{"b", 1, 1}, testSample{"a", 1, math.Inf(1)}))
	tr.write(t, 1, v1(t, testSample{"b", 2, staleNaN}))

	var samples []sampleView
	if err := json.Unmarshal([]byte(tr.get(t, "/api/v1/samples")), &samples); err != nil {
		t.Fatal(err)
	}
	b, a := map[string]string{"__name__": "b"}, map[string]string{"__name__": "a"}
	want := []sampleView{
		{Labels: b, Time: 1, Value: "1"},
		{Labels: a, Time: 1, Value: "+Inf"},
		{Labels: b, Time: 2, Value: "stale", Stale: true},
	}
	unexported := cmp.AllowUnexported(sampleView{})
	if diff := cmp.Diff(want, samples, unexported); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}

	var series []seriesView
	if err := json.Unmarshal([]byte(tr.get(t, "/api/v1/series?__name__=b&job=")), &series); err != nil {
		t.Fatal(err)
	}
	wantSeries := []seriesView{{Series: "b{}", Labels: b, Samples: 2, Last: &sampleView{Time: 2, Value: "stale", Stale: true}}}
	if diff := cmp.Diff(wantSeries, series, unexported); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if got := tr.get(t, "/api/v1/series?job=x"); got != "[]\n" {
		t.Errorf("series without a match: got %q, want an empty list", got)
	}
	if got := tr.get(t, "/-/ready"); got != "OK\n" {
		t.Errorf("ready: got %q", got)
	}
}

func TestBound(t *testing.T) {
	tr := startTestReceiver(t, 3)
	for i := range int64(10) {
		tr.write(t, 1, v1(t, testSample{"a", i, 1}))
	}
	tr.write(t, 1, v1(t, testSample{"a", 2, 1})) // no longer held: nobody can say
	tr.write(t, 1, v1(t, testSample{"a", 8, 1}))
	s := tr.store.Stats()
	if s.Held != 3 || s.Unverified != 1 || s.Repeats != 1 || s.Violations != 0 {
		t.Errorf("got %+v, want 3 held, 1 unverified, 1 repeat, 0 violations", s)
	}
}

func FuzzDecode(f *testing.F) {
	raw, err := (&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels:     []prompb.Label{{Name: "__name__", Value: "n"}},
		Samples:    []prompb.Sample{{Timestamp: 1, Value: 2}},
		Histograms: []prompb.Histogram{prompb.FromIntHistogram(1, testInt), prompb.FromFloatHistogram(1, testFloat)},
	}}}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(1, raw)
	raw, err = (&writev2.Request{Symbols: []string{"", "__name__", "n"}, Timeseries: []writev2.TimeSeries{{
		LabelsRefs: []uint32{1, 2}, Samples: []writev2.Sample{{Timestamp: 1}},
		Histograms: []writev2.Histogram{writev2.FromIntHistogram(0, 1, testCustom)},
	}}}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(2, raw)
	f.Fuzz(func(_ *testing.T, protocol int, raw []byte) {
		if len(raw) > 1<<16 {
			return
		}
		m, err := decodeMessage(snappy.Encode(nil, raw), 1+protocol&1)
		if err != nil {
			return
		}
		// Whatever decodes can be stored, printed and judged.
		store := newStore(io.Discard, true, true, 10)
		_ = store.Add(m)
		_ = store.Add(m)
		store.Samples(nil)
		store.Series(nil)
	})
}
