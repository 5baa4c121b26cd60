package group

import (
	"errors"
	"fmt"
	"math"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

// family reads a metric family written as a protobuf text message.
func family(t testing.TB, text string) *dto.MetricFamily {
	t.Helper()
	mf := &dto.MetricFamily{}
	if err := prototext.Unmarshal([]byte(text), mf); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return mf
}

const nativeInteger = `name:"h" type:HISTOGRAM help:"h" metric{histogram{sample_count:7 sample_sum:1.5 schema:3 zero_threshold:1e-3 zero_count:2
	positive_span{offset:-3 length:2} positive_span{offset:4 length:1} positive_delta:1 positive_delta:1 positive_delta:-1
	negative_span{offset:0 length:1} negative_delta:1
	exemplars{label{name:"trace" value:"a"} value:0.3 timestamp{seconds:5 nanos:6}} created_timestamp{seconds:9}}}`

const nativeFloat = `name:"h" type:GAUGE_HISTOGRAM metric{histogram{sample_count_float:3.5 sample_sum:1 schema:0 zero_threshold:0.1 zero_count_float:0.5
	positive_span{offset:1 length:2} positive_count:1.5 positive_count:1.5 bucket{cumulative_count_float:3.5 upper_bound:inf}}}`

// TestFromDTORoundTrip: what is pushed is what a view shows.
func TestFromDTORoundTrip(t *testing.T) {
	rows := []struct{ name, family string }{
		{"gauge", `name:"g" type:GAUGE help:"with\nnewline" unit:"seconds" metric{label{name:"a" value:"1"} gauge{value:1.5}} metric{gauge{value:-0}}`},
		{"empty help", `name:"g" type:GAUGE help:"" metric{gauge{value:1}}`},
		{"empty family", `name:"g" type:GAUGE`},
		{"counter", `name:"c" type:COUNTER metric{counter{value:3 exemplar{label{name:"t" value:"x"} value:1 timestamp{seconds:1 nanos:2}} created_timestamp{seconds:8 nanos:7}}}`},
		{"untyped", `name:"u" type:UNTYPED metric{untyped{value:inf}}`},
		{"summary", `name:"s" type:SUMMARY metric{summary{sample_count:18446744073709551615 sample_sum:2.5 quantile{quantile:0.5 value:1} quantile{quantile:0.9 value:nan} created_timestamp{seconds:1}}}`},
		{"summary without quantiles", `name:"s" type:SUMMARY metric{summary{sample_count:1 sample_sum:2}}`},
		{"classic histogram", `name:"h" type:HISTOGRAM metric{label{name:"x" value:""} histogram{sample_count:3 sample_sum:2 bucket{cumulative_count:1 upper_bound:0.5 exemplar{value:0.1}} bucket{cumulative_count:3 upper_bound:inf}}}`},
		{"buckets and count disagree", `name:"h" type:HISTOGRAM metric{histogram{sample_count:1 sample_sum:2 bucket{cumulative_count:9 upper_bound:1} bucket{cumulative_count:3 upper_bound:0}}}`},
		{"integer native histogram", nativeInteger},
		{"float native histogram", nativeFloat},
		{"no-op span", `name:"h" type:HISTOGRAM metric{histogram{sample_count:0 sample_sum:0 schema:0 zero_threshold:0 zero_count:0 positive_span{offset:0 length:0}}}`},
		{"explicit timestamp", `name:"g" type:GAUGE metric{gauge{value:1} timestamp_ms:0} metric{label{name:"a" value:"b"} gauge{value:1}}`},
		{"UTF-8 names", `name:"my.metric" type:GAUGE metric{label{name:"my label" value:"ä"} gauge{value:1}}`},
	}
	grouping := NewLabels([]Label{{"job", "j"}})
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			want := family(t, row.family)
			p, err := FromDTO([]*dto.MetricFamily{want}, BuildOptions{AcceptTimestamps: true})
			if err != nil {
				t.Fatal(err)
			}
			got := p.Members()[0].DTO(grouping)
			sanitize(want)
			if diff := gocmp.Diff(want, got, protocmp.Transform(), cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("view differs (-pushed +shown):\n%s", diff)
			}
		})
	}
}

// sanitize adds what a view adds for a group with the job j.
func sanitize(mf *dto.MetricFamily) {
	for _, m := range mf.Metric {
		l := []Label{{"job", "j"}, {"instance", ""}}
		for _, p := range m.Label {
			l = append(l, Label{p.GetName(), p.GetValue()})
		}
		m.Label = labelsDTO(NewLabels(l))
	}
}

func TestFromDTORefuses(t *testing.T) {
	rows := []struct{ name, family, want string }{
		{"no name", `type:GAUGE`, `a metric family has no name`},
		{"unknown type", `name:"g" type:GAUGE`, `metric family "g": unknown metric type 17`},
		{"not of its type", `name:"g" type:GAUGE metric{counter{value:1}}`, `metric g: the metric is not a gauge`},
		{"missing type is counter", `name:"g" metric{gauge{value:1}}`, `metric g: the metric is not a counter`},
		{"gauge histogram without histogram", `name:"g" type:GAUGE_HISTOGRAM metric{gauge{value:1}}`, `metric g: the metric is not a gauge_histogram`},
		{"label twice", `name:"g" type:GAUGE metric{label{name:"b" value:"1"} label{name:"a" value:"1"} label{name:"b" value:"2"} gauge{value:1}}`, `metric g{b="1",a="1",b="2"}: label "b" occurs twice`},
		{"reserved label", `name:"g" type:GAUGE metric{label{name:"__x" value:"1"} gauge{value:1}}`, `metric g{__x="1"}: invalid label name "__x"`},
		{"empty label name", `name:"g" type:GAUGE metric{label{name:"" value:"1"} gauge{value:1}}`, `metric g{="1"}: invalid label name ""`},
		{"quantile of a summary", `name:"s" type:SUMMARY metric{label{name:"quantile" value:"1"} summary{}}`, `metric s{quantile="1"}: a summary must not have an explicit "quantile" label`},
		{"le of a histogram", `name:"h" type:HISTOGRAM metric{label{name:"le" value:"1"} histogram{}}`, `metric h{le="1"}: a histogram must not have an explicit "le" label`},
		{"timestamp of 0", `name:"g" type:GAUGE metric{gauge{value:1} timestamp_ms:0}`, `metric g: pushed metrics must not have timestamps`},
		{"label value too long", `name:"g" type:GAUGE metric{label{name:"a" value:"0123456789"} gauge{value:1}}`, `metric g{a="0123456789"}: limit exceeded: the value of label "a" has 10 bytes, at most 9 are allowed`},
		{"label name too long", `name:"g" type:GAUGE metric{label{name:"abcdefghi" value:"0"} gauge{value:1}}`, `metric g{abcdefghi="0"}: limit exceeded: a label name has 9 bytes, at most 8 are allowed`},
		{"empty failure time", `name:"push_failure_time_seconds" type:GAUGE`, `metric family "push_failure_time_seconds": the metric family has no metrics`},
		{"native schema", `name:"h" type:HISTOGRAM metric{histogram{schema:9 zero_threshold:1}}`, `metric h: invalid native histogram: schema 9`},
		{"native spans", `name:"h" type:HISTOGRAM metric{histogram{schema:0 positive_span{length:2} positive_delta:1}}`, `metric h: invalid native histogram: positive side: spans need 2 buckets, have 1 buckets: `},
		{"native count", `name:"h" type:HISTOGRAM metric{histogram{sample_count:5 sample_sum:1 positive_span{length:1} positive_delta:1}}`, `metric h: invalid native histogram: 1 observations found in buckets, but the Count field is 5: `},
		{"native index", `name:"h" type:HISTOGRAM metric{histogram{positive_span{offset:2147483647 length:1} positive_delta:0}}`, `metric h: invalid native histogram: a bucket index is out of range`},
		{"native of both kinds", `name:"h" type:HISTOGRAM metric{histogram{sample_count_float:1 sample_sum:1 positive_span{length:1} positive_delta:1}}`, `metric h: invalid native histogram: positive side: spans need 1 buckets, have 0 buckets: `},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			mf := family(t, row.family)
			if row.name == "unknown type" {
				mf.Type = dto.MetricType(17).Enum()
			}
			_, err := FromDTO([]*dto.MetricFamily{mf}, BuildOptions{MaxLabelName: 8, MaxLabelValue: 9})
			if _, ok := errors.AsType[*InvalidError](err); !ok {
				t.Fatalf("got %v, want an InvalidError", err)
			}
			if got := err.Error(); len(got) < len(row.want) || got[:len(row.want)] != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestFromDTOInvalidUTF8(t *testing.T) {
	bad := "a\xffb"
	gauge := func(name, label, value string) *dto.MetricFamily {
		return &dto.MetricFamily{Name: &name, Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{
			Label: []*dto.LabelPair{{Name: &label, Value: &value}}, Gauge: &dto.Gauge{},
		}}}
	}
	exemplar := gauge("g", "l", "v")
	exemplar.Type, exemplar.Metric[0].Gauge = dto.MetricType_COUNTER.Enum(), nil
	exemplar.Metric[0].Counter = &dto.Counter{Exemplar: &dto.Exemplar{Label: labelsDTO([]Label{{"l", bad}})}}
	for name, mf := range map[string]*dto.MetricFamily{
		"family": gauge(bad, "l", "v"), "label": gauge("g", bad, "v"), "value": gauge("g", "l", bad), "exemplar": exemplar,
	} {
		if _, err := FromDTO([]*dto.MetricFamily{mf}, BuildOptions{}); err == nil {
			t.Errorf("%s that is not UTF-8 was accepted", name)
		}
	}
	help := gauge("g", "l", "v")
	help.Help = &bad
	p, err := FromDTO([]*dto.MetricFamily{help}, BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Shape.Families()[0].Help; got != "a\uFFFDb" {
		t.Errorf("help is %q", got)
	}
}

func TestFromDTOTooManyLabels(t *testing.T) {
	m := &dto.Metric{Gauge: &dto.Gauge{}}
	for i := range maxLabels + 1 {
		m.Label = append(m.Label, &dto.LabelPair{Name: new(fmt.Sprint("l", i)), Value: new("v")})
	}
	mf := &dto.MetricFamily{Name: new("g"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{m}}
	if _, err := FromDTO([]*dto.MetricFamily{mf}, BuildOptions{}); !errors.Is(err, ErrLimit) {
		t.Errorf("65,536 labels: %v", err)
	}
	if _, err := FromDTO([]*dto.MetricFamily{mf}, BuildOptions{MaxLabels: maxLabels + 1}); !errors.Is(err, ErrLimit) {
		t.Errorf("65,536 labels where so many are allowed: %v", err)
	}
	m.Label = m.Label[1:]
	if _, err := FromDTO([]*dto.MetricFamily{mf}, BuildOptions{MaxLabels: maxLabels - 1}); !errors.Is(err, ErrLimit) {
		t.Errorf("65,535 labels: %v", err)
	}
	p, err := FromDTO([]*dto.MetricFamily{mf}, BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := DecodeRecord(EncodeRecord(nil, &Record{Kind: KindPut, Labels: labelsOf("job=j"), Part: p}))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(r.Part.Shape.AppendLabels(nil, &r.Part.Shape.metrics[0])); n != maxLabels {
		t.Errorf("%d labels came back", n)
	}
}

func TestFromDTOFamilies(t *testing.T) {
	mfs := []*dto.MetricFamily{
		family(t, `name:"b" type:GAUGE metric{gauge{value:1}}`),
		family(t, `name:"push_time_seconds" type:SUMMARY metric{gauge{value:1}}`),
		family(t, `name:"push_failure_time_seconds" type:UNTYPED metric{untyped{value:5}}`),
		family(t, `name:"a" type:GAUGE metric{gauge{value:1}}`),
		family(t, `name:"b" type:COUNTER metric{counter{value:2}}`),
	}
	p, err := FromDTO(mfs, BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range p.Shape.Families() {
		got = append(got, f.Name+" "+f.Type.String())
	}
	want := []string{"push_failure_time_seconds gauge", "a gauge", "b counter"}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("families (-want +got):\n%s", diff)
	}
}

// TestStaleBits: rule S-5 for every place that holds a float.
func TestStaleBits(t *testing.T) {
	stale := new(math.Float64frombits(staleNaN))
	other := new(math.Float64frombits(0x7ff8000000000abc))
	mfs := []*dto.MetricFamily{
		{Name: new("a"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: stale}}, {Label: labelsDTO([]Label{{"l", "v"}}), Gauge: &dto.Gauge{Value: other}}}},
		{Name: new("b"), Type: dto.MetricType_SUMMARY.Enum(), Metric: []*dto.Metric{{Summary: &dto.Summary{SampleSum: stale, SampleCount: new(staleNaN), Quantile: []*dto.Quantile{{Quantile: proto.Float64(1), Value: stale}}}}}},
		{Name: new("c"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: &dto.Histogram{SampleSum: stale, SampleCount: new(staleNaN)}}}},
		{Name: new("d"), Type: dto.MetricType_COUNTER.Enum(), Metric: []*dto.Metric{{Counter: &dto.Counter{Exemplar: &dto.Exemplar{Value: stale}}}}},
	}
	p, err := FromDTO(mfs, BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []uint64{ordinaryNaN, 0x7ff8000000000abc, ordinaryNaN, staleNaN, ordinaryNaN, ordinaryNaN, staleNaN, 0}
	if diff := gocmp.Diff(want, p.Values); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if got := math.Float64bits(p.Exemplars[0].Value); got != ordinaryNaN {
		t.Errorf("exemplar has bits %x", got)
	}
}

func TestFormOfCounts(t *testing.T) {
	mf := family(t, `name:"h" type:HISTOGRAM metric{histogram{sample_count:4 sample_sum:1 bucket{cumulative_count:3 upper_bound:1} bucket{cumulative_count_float:3.5 upper_bound:2}}}`)
	p, err := FromDTO([]*dto.MetricFamily{mf}, BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m := &p.Shape.Metrics(&p.Shape.Families()[0])[0]
	if m.Form != FormFloatHistogram {
		t.Fatalf("form %d", m.Form)
	}
	v := p.ValuesOf(m)
	got := []float64{m.Form.Count(v[1]), m.Form.Count(v[2]), m.Form.Count(v[3])}
	if diff := gocmp.Diff([]float64{4, 3, 3.5}, got); diff != "" {
		t.Errorf("a float wins over the integer beside it only (-want +got):\n%s", diff)
	}
}
