package web

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/state"
)

func groupOf(t testing.TB, born int64, labels string, mfs ...*dto.MetricFamily) *group.Group {
	t.Helper()
	p, err := group.FromDTO(mfs, group.BuildOptions{AcceptTimestamps: true})
	if err != nil {
		t.Fatalf("build part: %v", err)
	}
	var l []group.Label
	for pair := range strings.SplitSeq(labels, ",") {
		name, value, _ := strings.Cut(pair, "=")
		l = append(l, group.Label{Name: name, Value: value})
	}
	g := &group.Group{Labels: group.NewLabels(l), Members: p.Members(), Push: 1_500_000_000, Born: born}
	g.ID = g.Labels.ID()
	return g
}

func gauge(name, help string, value float64, labels ...string) *dto.MetricFamily {
	mf := &dto.MetricFamily{Name: &name, Type: dto.MetricType_GAUGE.Enum()}
	if help != "" {
		mf.Help = &help
	}
	m := &dto.Metric{Gauge: &dto.Gauge{Value: &value}}
	for i := 0; i < len(labels); i += 2 {
		m.Label = append(m.Label, &dto.LabelPair{Name: &labels[i], Value: &labels[i+1]})
	}
	mf.Metric = []*dto.Metric{m}
	return mf
}

func text(t testing.TB, v *view, scheme model.EscapingScheme) string {
	t.Helper()
	var b bytes.Buffer
	if err := v.write(&b, expfmt.FmtText.WithEscapingScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestExposition_Text shows a whole view.
func TestExposition_Text(t *testing.T) {
	own := []*dto.MetricFamily{
		gauge("go_threads", "Number of threads.", 7),
		gauge("shared", "The gateway's help.", 1),
	}
	groups := []*group.Group{
		groupOf(t, 9, "job=b,instance=i",
			gauge("m", "Newer help.", 2, "instance", "x", "job", "y"),
			gauge("only_b", "", 3),
			gauge("shared", "Another help.", 2)),
		groupOf(t, 3, "job=a,zone=z",
			gauge("m", "Older\nhelp.", 1, "b", `q"\`+"\n", "B", "", "zone", "body"),
			&dto.MetricFamily{Name: new("empty"), Type: dto.MetricType_GAUGE.Enum()},
			gauge(group.FailTimeName, "Pushed.", 42, "instance", "body")),
	}
	want := `# HELP go_threads Number of threads.
# TYPE go_threads gauge
go_threads 7
# HELP m Older\nhelp.
# TYPE m gauge
m{B="",b="q\"\\\n",instance="",job="a",zone="z"} 1
m{instance="i",job="b"} 2
# TYPE only_b gauge
only_b{instance="i",job="b"} 3
# HELP push_failure_time_seconds Last Unix time when changing this group in the Pushgateway failed.
# TYPE push_failure_time_seconds gauge
push_failure_time_seconds{instance="body",job="a",zone="z"} 42
push_failure_time_seconds{instance="i",job="b"} 0
# HELP push_time_seconds Last Unix time when changing this group in the Pushgateway succeeded.
# TYPE push_time_seconds gauge
push_time_seconds{instance="",job="a",zone="z"} 1.5
push_time_seconds{instance="i",job="b"} 1.5
# HELP shared The gateway's help.
# TYPE shared gauge
shared 1
shared{instance="i",job="b"} 2
`
	// By grouping key: instance sorts before job.
	slices.SortFunc(groups, func(a, b *group.Group) int { return strings.Compare(a.ID, b.ID) })
	if groups[0].Labels.Job() != "a" {
		want = swapGroups(want)
	}
	if diff := cmp.Diff(want, text(t, newView(groups, testTime, own, nil), model.UnderscoreEscaping)); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

// swapGroups exchanges neighbouring series lines of one family.
func swapGroups(s string) string {
	lines := strings.SplitAfter(s, "\n")
	for i := 1; i < len(lines); i++ {
		a, _, ok := strings.Cut(lines[i-1], "{")
		b, _, _ := strings.Cut(lines[i], "{")
		if ok && a == b {
			lines[i-1], lines[i] = lines[i], lines[i-1]
		}
	}
	return strings.Join(lines, "")
}

// TestExposition_SameAsExpfmt writes random views and compares each with what
// expfmt makes of the message, in each way of escaping names. Both come from the
// same groups and own metrics.
func TestExposition_SameAsExpfmt(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var groups []*group.Group
		for i := range 1 + r.IntN(4) {
			labels := fmt.Sprintf("job=j%d", i)
			for _, l := range []string{"instance", "a", "ü", "__"} {
				if r.IntN(3) == 0 {
					labels += "," + l + "=" + []string{"", "v", "w\\\n\""}[r.IntN(3)]
				}
			}
			g := groupOf(t, r.Int64(), labels, randomFamilies(r)...)
			g.Push, g.Fail = r.Int64(), int64(r.IntN(2))*r.Int64()
			g.Expect = int64(r.IntN(2)) * r.Int64()
			groups = append(groups, g)
		}
		v := newView(groups, testTime, randomFamilies(r), nil)
		for _, scheme := range []model.EscapingScheme{
			model.UnderscoreEscaping, model.NoEscaping, model.DotsEscaping, model.ValueEncodingEscaping,
		} {
			if diff := cmp.Diff(byExpfmt(t, v, scheme), text(t, v, scheme)); diff != "" {
				t.Fatalf("seed %d, %s (-expfmt +got):\n%s", seed, scheme, diff)
			}
			for _, most := range []int{0, 100, protoBuffer} { // in two passes, some of both, and in one
				compareProtobuf(t, v, scheme, most)
			}
		}
	}
}

// compareProtobuf compares the view in delimited protobuf with its messages.
func compareProtobuf(t *testing.T, v *view, scheme model.EscapingScheme, most int) {
	t.Helper()
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	if err := v.each(newProtoView(v, w, scheme, most).family); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	err := v.each(func(f *family) error {
		got := &dto.MetricFamily{}
		if err := protodelim.UnmarshalFrom(&b, got); err != nil {
			return err
		}
		if want := model.EscapeMetricFamily(v.message(f), scheme); !proto.Equal(want, got) {
			return fmt.Errorf("%s: want %v, got %v", f.name, want, got)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("protobuf with %s and %d bytes held: %v", scheme, most, err)
	}
	if b.Len() > 0 {
		t.Fatalf("%d bytes are left over", b.Len())
	}
}

func byExpfmt(t *testing.T, v *view, scheme model.EscapingScheme) string {
	t.Helper()
	var b bytes.Buffer
	enc := expfmt.NewEncoder(&b, expfmt.FmtText.WithEscapingScheme(scheme))
	if err := v.each(func(f *family) error { return enc.Encode(v.message(f)) }); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var randomNames = []string{"m", "n", "rpc:s", "h", "ä.b", `q"\n`, "_", group.FailTimeName}

var randomValues = []float64{
	0, math.Copysign(0, -1), 1, -1, 0.5, 17, 999999, 1e6, 123456789, -1e21, 1e-5, 5e-324,
	math.MaxFloat64, math.NaN(), math.Inf(1), math.Inf(-1), 1.7636544001234e9, math.Pi,
}

// randomFamilies has families in name order, each name of one type, as the
// consistency check sees to.
func randomFamilies(r *rand.Rand) []*dto.MetricFamily {
	var out []*dto.MetricFamily
	for i, name := range slices.Sorted(slices.Values(randomNames)) {
		if r.IntN(2) == 0 {
			continue
		}
		mf := &dto.MetricFamily{Name: new(name), Type: dto.MetricType(i % 6).Enum()}
		if name == group.FailTimeName {
			mf.Type = dto.MetricType_GAUGE.Enum()
		}
		if r.IntN(3) > 0 {
			mf.Help = new([]string{"", "What it is.", "a\\b\nc\"d"}[r.IntN(3)])
		}
		for n := range 1 + r.IntN(3) {
			mf.Metric = append(mf.Metric, randomMetric(r, mf.GetType(), n))
		}
		out = append(out, mf)
	}
	return out
}

func randomMetric(r *rand.Rand, typ dto.MetricType, n int) *dto.Metric {
	m := &dto.Metric{}
	names := []string{"instance", "a", "z", "job", "Ö", "b.c"}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names[:r.IntN(len(names))] {
		m.Label = append(m.Label, &dto.LabelPair{
			Name: new(name), Value: new([]string{"", "v", "\\\n\"ü"}[r.IntN(3)]),
		})
	}
	m.Label = append(m.Label, &dto.LabelPair{Name: new("n"), Value: new(fmt.Sprint(n))})
	if r.IntN(8) == 0 {
		m.TimestampMs = new(r.Int64() - math.MaxInt64/2)
	}
	value := func() *float64 { return &randomValues[r.IntN(len(randomValues))] }
	switch typ {
	case dto.MetricType_COUNTER:
		m.Counter = &dto.Counter{Value: value()}
	case dto.MetricType_GAUGE:
		m.Gauge = &dto.Gauge{Value: value()}
	case dto.MetricType_UNTYPED:
		m.Untyped = &dto.Untyped{Value: value()}
	case dto.MetricType_SUMMARY:
		m.Summary = &dto.Summary{SampleSum: value(), SampleCount: new(r.Uint64())}
		for i := range r.IntN(3) {
			m.Summary.Quantile = append(m.Summary.Quantile, &dto.Quantile{Quantile: new(float64(i) / 2), Value: value()})
		}
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		m.Histogram = randomHistogram(r, value)
	}
	return m
}

func randomHistogram(r *rand.Rand, value func() *float64) *dto.Histogram {
	h := &dto.Histogram{SampleSum: value(), SampleCount: new(r.Uint64N(1e7))}
	if r.IntN(4) == 0 {
		h.SampleCountFloat = new([]float64{r.Float64() * 100, math.NaN(), -0.5}[r.IntN(3)])
	}
	for i := range r.IntN(4) {
		b := &dto.Bucket{UpperBound: new(float64(i)*1.5 - 1), CumulativeCount: new(r.Uint64N(1e7))}
		if h.SampleCountFloat != nil && r.IntN(2) == 0 {
			b.CumulativeCountFloat = new([]float64{r.Float64(), math.NaN(), math.Inf(1), -1}[r.IntN(4)])
		}
		h.Bucket = append(h.Bucket, b)
	}
	if r.IntN(2) == 0 {
		h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: new(math.Inf(1)), CumulativeCount: h.SampleCount})
	}
	return h
}

// ownRegistry has the gateway's own metrics in the tests.
func ownRegistry(t *testing.T) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewRegistry()
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "pushbridge_test_value", Help: "A value."})
	g.Set(3)
	reg.MustRegister(g)
	return reg
}

func scrape(t *testing.T, own prometheus.Gatherer, header ...string) *http.Response {
	t.Helper()
	return scrapeStore(t, state.New(state.Options{}), own, header...)
}

func options(s *state.Store, own prometheus.Gatherer, scrapes int) Options {
	return Options{
		Store: s, Gatherer: own, MaxScrapes: scrapes,
		Now: func() time.Time { return testTime }, Logger: slog.New(slog.DiscardHandler),
	}
}

func scrapeStore(t *testing.T, s *state.Store, own prometheus.Gatherer, header ...string) *http.Response {
	t.Helper()
	e := newExposition(options(s, own, 0))
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, req)
	return w.Result()
}

const ownText = "# HELP pushbridge_test_value A value.\n# TYPE pushbridge_test_value gauge\npushbridge_test_value 3\n"

// TestExposition_Accept has a row for each kind of client.
func TestExposition_Accept(t *testing.T) {
	const (
		textType  = "text/plain; version=0.0.4; charset=utf-8; escaping="
		delimited = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping="
	)
	for _, tc := range []struct{ name, accept, want string }{
		{"none", "", textType + "underscores"},
		{"anything", "*/*", textType + "underscores"},
		{"html", "text/html", textType + "underscores"},
		{"openmetrics only", "application/openmetrics-text; version=1.0.0", textType + "underscores"},
		{"openmetrics first", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5", textType + "underscores"},
		{"protobuf", strings.TrimSuffix(delimited, " escaping="), delimited + "underscores"},
		{"prometheus 3", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3", textType + "allow-utf-8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp := scrape(t, ownRegistry(t), "Accept", tc.accept)
			defer func() { _ = resp.Body.Close() }()
			if got := resp.Header.Get("Content-Type"); got != tc.want {
				t.Errorf("Content-Type %q, want %q", got, tc.want)
			}
		})
	}
}

// TestExposition_Gzip has a row for each kind of Accept-Encoding.
func TestExposition_Gzip(t *testing.T) {
	for _, tc := range []struct {
		encoding string
		want     string
	}{
		{"", ""},
		{"gzip", "gzip"},
		{"deflate, gzip;q=0.5, br, zstd", "gzip"},
		{"*", ""},
		{"*;q=0.1, gzip", "gzip"},
		{"gzip, *", ""},
		{"gzip;q=0", ""},
		{"gzip;q=x", ""},
		{"gzip;level=1", ""},
		{"identity, gzip", ""},
		{"zstd", ""},
		{"xgzip", ""},
	} {
		t.Run(tc.encoding, func(t *testing.T) {
			resp := scrape(t, ownRegistry(t), "Accept-Encoding", tc.encoding)
			defer func() { _ = resp.Body.Close() }()
			if got := resp.Header.Get("Content-Encoding"); got != tc.want {
				t.Fatalf("Content-Encoding %q, want %q", got, tc.want)
			}
			body := io.Reader(resp.Body)
			if tc.want == "gzip" {
				z, err := gzip.NewReader(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				body = z
			}
			if got, err := io.ReadAll(body); err != nil || string(got) != ownText {
				t.Errorf("body %q, %v; want %q", got, err, ownText)
			}
		})
	}
}

// TestExposition_Error is what a scrape gets when there is no consistent answer.
func TestExposition_Error(t *testing.T) {
	broken := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return nil, io.ErrUnexpectedEOF })
	resp := scrape(t, broken)
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusInternalServerError || !strings.Contains(string(body), io.ErrUnexpectedEOF.Error()) {
		t.Errorf("got %s %q, want 500 with the cause", resp.Status, body)
	}
}

// TestExposition_Conflict answers 500, from the first byte, as long as the groups
// do not go together.
func TestExposition_Conflict(t *testing.T) {
	s := state.New(state.Options{})
	seq := uint64(0)
	change := func(kind group.Kind, job string, typ dto.MetricType) {
		t.Helper()
		mf := gauge("m", "", 1)
		if typ == dto.MetricType_COUNTER {
			mf.Type, mf.Metric[0].Counter = &typ, &dto.Counter{Value: new(1.0)}
		}
		p, err := group.FromDTO([]*dto.MetricFamily{mf}, group.BuildOptions{})
		if err != nil {
			t.Fatal(err)
		}
		l := group.NewLabels([]group.Label{{Name: "job", Value: job}})
		var rec *group.Record
		err = s.Apply(group.Change{Kind: kind, Labels: l, Part: p}, time.Unix(1, 0), func(r *group.Record) { rec = r })
		if err != nil {
			t.Fatal(err)
		}
		seq++
		s.Fold(rec, seq)
	}
	status := func(want int, text string) {
		t.Helper()
		resp := scrapeStore(t, s, ownRegistry(t))
		defer func() { _ = resp.Body.Close() }()
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != want || want != 200 && bytes.Contains(body, []byte("# TYPE")) || !bytes.Contains(body, []byte(text)) {
			t.Errorf("got %s %q, want %d", resp.Status, body, want)
		}
	}
	change(group.KindPut, "a", dto.MetricType_GAUGE)
	status(200, "")
	change(group.KindPut, "b", dto.MetricType_COUNTER)
	status(500, `1 inconsistencies between pushed groups: metric family "m" is a counter in group {job="b"} and a gauge in group {job="a"}`)
	change(group.KindPut, "b", dto.MetricType_GAUGE)
	status(200, "")
}

// goneWriter is a client that goes away after the header.
type goneWriter struct{ http.ResponseWriter }

func (goneWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestExposition_Abort breaks the connection off when it cannot write all: the
// part that went out must not pass for the whole.
func TestExposition_Abort(t *testing.T) {
	defer func() {
		if got, _ := recover().(error); !errors.Is(got, http.ErrAbortHandler) {
			t.Errorf("recovered %v, want %v", got, http.ErrAbortHandler)
		}
	}()
	e := newExposition(options(state.New(state.Options{}), ownRegistry(t), 0))
	e.ServeHTTP(goneWriter{httptest.NewRecorder()}, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
}

// TestExposition_Protobuf reads the delimited view back.
func TestExposition_Protobuf(t *testing.T) {
	mf := gauge("m", "Help.", 1, "a", "b")
	mf.Unit = new("seconds")
	v := newView([]*group.Group{groupOf(t, 1, "job=j", mf)}, testTime, []*dto.MetricFamily{gauge("m", "Own.", 5)}, nil)
	var b bytes.Buffer
	if err := v.write(&b, expfmt.FmtProtoDelim); err != nil {
		t.Fatal(err)
	}
	dec, names := expfmt.NewDecoder(&b, expfmt.FmtProtoDelim), []string(nil)
	first := &dto.MetricFamily{}
	for {
		got := &dto.MetricFamily{}
		if err := dec.Decode(got); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if names = append(names, got.GetName()); len(names) == 1 {
			first = got
		}
	}
	if diff := cmp.Diff([]string{"m", group.FailTimeName, group.PushTimeName}, names); diff != "" {
		t.Errorf("families (-want +got):\n%s", diff)
	}
	want := gauge("m", "Own.", 5)
	want.Metric = append(want.Metric, gauge("m", "", 1, "a", "b", "instance", "", "job", "j").Metric...)
	if diff := cmp.Diff(want, first, protocmp.Transform()); diff != "" {
		t.Errorf("family (-want +got):\n%s", diff)
	}
}

// failingWriter breaks off like a client that goes away.
type failingWriter struct{ left int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

// TestExposition_ClientGone stops with the error, in either format.
func TestExposition_ClientGone(t *testing.T) {
	var groups []*group.Group
	for i := range 2000 {
		groups = append(groups, groupOf(t, int64(i), fmt.Sprintf("job=%d", i), gauge("m", "", 1, "a", strings.Repeat("x", 100))))
	}
	v := newView(slices.Clone(groups), testTime, nil, nil)
	for _, format := range []expfmt.Format{expfmt.FmtText, expfmt.FmtProtoDelim} {
		if err := v.write(&failingWriter{left: 100_000}, format); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: got %v, want %v", format, err, io.ErrClosedPipe)
		}
	}
}

// BenchmarkExposition writes a view of a million lines.
func BenchmarkExposition(b *testing.B) {
	for _, bc := range []struct{ groups, families, series int }{
		{100_000, 5, 2},
		{100, 10, 1000},
	} {
		b.Run(fmt.Sprintf("groups=%d/families=%d/series=%d", bc.groups, bc.families, bc.series), func(b *testing.B) {
			groups := benchGroups(b, bc.groups, bc.families, bc.series)
			b.ReportAllocs()
			lines, n := 0, int64(0)
			for b.Loop() {
				c := &countWriter{}
				if err := newView(slices.Clone(groups), testTime, nil, nil).write(c, expfmt.FmtText); err != nil {
					b.Fatal(err)
				}
				lines, n = c.lines, c.bytes
			}
			b.ReportMetric(float64(lines), "lines/op")
			b.ReportMetric(float64(n), "text-bytes/op")
		})
	}
}

type countWriter struct {
	lines int
	bytes int64
}

func (c *countWriter) Write(p []byte) (int, error) {
	c.lines += bytes.Count(p, []byte{'\n'})
	c.bytes += int64(len(p))
	return len(p), nil
}

func benchGroups(b *testing.B, groups, families, series int) []*group.Group {
	b.Helper()
	var mfs []*dto.MetricFamily
	for f := range families {
		mf := &dto.MetricFamily{Name: new(fmt.Sprintf("batch_job_step_%d_seconds", f)), Type: dto.MetricType_GAUGE.Enum()}
		for s := range series {
			mf.Metric = append(mf.Metric, gauge("", "", float64(s)*1.1, "step", fmt.Sprintf("step-%d", s), "host", "host.example.org").Metric...)
		}
		mfs = append(mfs, mf)
	}
	shared := groupOf(b, 1, "job=j", mfs...)
	var out []*group.Group
	for i := range groups {
		g := *shared
		g.Labels = group.NewLabels([]group.Label{{Name: "job", Value: "batch"}, {Name: "instance", Value: fmt.Sprintf("machine-%d", i)}})
		g.ID = g.Labels.ID()
		out = append(out, &g)
	}
	return out
}

// stalledWriter is a client that reads when it is told to.
type stalledWriter struct {
	http.ResponseWriter
	began chan struct{}
	read  chan struct{}
	once  sync.Once
	set   []bool // deadlines: whether there is one
}

func (w *stalledWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.began) })
	<-w.read
	return w.ResponseWriter.Write(p)
}

func (w *stalledWriter) SetWriteDeadline(t time.Time) error {
	w.set = append(w.set, !t.IsZero())
	return nil
}

// TestExposition_OneMoment deletes a group while the gateway's own metrics are gathered:
// a view has all that is said of a group, or nothing.
func TestExposition_OneMoment(t *testing.T) {
	for _, accept := range []string{
		"text/plain", "application/openmetrics-text; version=1.0.0",
		"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
	} {
		t.Run(accept, func(t *testing.T) {
			g := newGateway()
			g.SetRules(group.NewRules(group.Policy{Expect: time.Hour}, nil))
			g.put(t, "job=stays", "m 1\n")
			g.push(t, group.Change{Kind: group.KindPut}, testTime.Add(-2*time.Hour), "job=late", parseText(t, "m 1\n")...)
			g.put(t, "job=goes", "m 1\n")
			resp := scrapeStore(t, g.Store, prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
				g.apply(t, group.Change{Kind: group.KindDelete, Labels: keyOf("job=goes")}, testTime)
				return nil, nil
			}), "Accept", accept)
			defer func() { _ = resp.Body.Close() }()
			pushed := float64(testTime.UnixNano()) / 1e9
			want := map[string]float64{
				"m stays": 1, "push_time_seconds stays": pushed, "push_failure_time_seconds stays": 0, "pushbridge_group_overdue stays": 0,
				"m late": 1, "push_time_seconds late": pushed - 7200, "push_failure_time_seconds late": 0, "pushbridge_group_overdue late": 1,
			}
			if diff := cmp.Diff(want, seriesOf(t, resp)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// seriesOf reads a view: the value of each family and job.
func seriesOf(t *testing.T, resp *http.Response) map[string]float64 {
	t.Helper()
	dec := expfmt.NewDecoder(resp.Body, expfmt.ResponseFormat(resp.Header))
	out := map[string]float64{}
	for {
		mf := &dto.MetricFamily{}
		if err := dec.Decode(mf); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		for _, m := range mf.Metric {
			for _, l := range m.Label {
				if l.GetName() == "job" {
					out[mf.GetName()+" "+l.GetValue()] = m.GetGauge().GetValue() + m.GetUntyped().GetValue()
				}
			}
		}
	}
}

// TestExposition_Turns answers one scrape at a time: others wait, unless they give up,
// and one that stands still has a deadline.
func TestExposition_Turns(t *testing.T) {
	e := newExposition(options(state.New(state.Options{}), ownRegistry(t), 1))
	first := &stalledWriter{ResponseWriter: httptest.NewRecorder(), began: make(chan struct{}), read: make(chan struct{})}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.ServeHTTP(first, request)
	}()
	<-first.began
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	second := httptest.NewRecorder()
	e.ServeHTTP(second, request.WithContext(gone)) // returns: it would wait otherwise
	if second.Body.Len() > 0 {
		t.Errorf("who gave up gets %q", second.Body)
	}
	close(first.read)
	<-done
	third := httptest.NewRecorder()
	e.ServeHTTP(third, request)
	if !strings.Contains(third.Body.String(), "pushbridge_test_value 3") {
		t.Errorf("the third gets %q", third.Body)
	}
	if diff := cmp.Diff([]bool{true, false}, first.set); diff != "" {
		t.Errorf("deadlines (-want +got):\n%s", diff)
	}
}
