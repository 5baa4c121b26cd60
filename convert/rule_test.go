package convert_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/value"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

var (
	nativeOnly  = convert.Options{SendNative: true}
	both        = convert.Options{SendNative: true, AlsoClassic: true}
	classicOnly = convert.Options{}
)

// Native histograms in the tests. oneNative has 2 observations in the zero
// bucket and 1, 2 and 1 in buckets 1, 2 and 4.
const (
	oneNative = `sample_count:6 sample_sum:11 schema:0 zero_threshold:0.001 zero_count:2
		positive_span:{offset:1 length:2} positive_span:{offset:1 length:1}
		positive_delta:1 positive_delta:1 positive_delta:-1`
	oneFloatNative = `sample_count_float:6.5 sample_sum:11 schema:3 zero_threshold:0.001 zero_count_float:2.5
		negative_span:{offset:0 length:2} negative_count:1.5 negative_count:2.5`
	twoBuckets = ` bucket:{upper_bound:1 cumulative_count:2} bucket:{upper_bound:inf cumulative_count:6}`
)

// TestRule has a row for each rule of conversion that a single push can show.
// Families are given as text protobuf, pushed at 2s; before, if given, at 1s.
func TestRule(t *testing.T) {
	for _, tc := range []struct {
		name     string
		grouping string // lines of name=value, job=j when empty
		before   []string
		push     []string
		o        convert.Options
		want     string // without the push times
	}{
		{
			name:     "L-1 labels sorted and unique",
			grouping: "job=j\nB=2\nz=9",
			push: []string{`name:"m" type:GAUGE metric:{
				label:{name:"z" value:"1"} label:{name:"a" value:"1"} label:{name:"A" value:"1"} gauge:{value:1}}`},
			want: `m{A="1",B="2",a="1",job="j",z="9"} 1 @2000`,
		},
		{
			name: "L-1 empty values are dropped",
			push: []string{`name:"m" type:GAUGE metric:{label:{name:"a" value:""} gauge:{value:1}}`},
			want: `m{job="j"} 1 @2000`,
		},
		{
			name:     "L-5 grouping labels override",
			grouping: "job=j\na=",
			push: []string{`name:"m" type:GAUGE metric:{
				label:{name:"a" value:"1"} label:{name:"job" value:"x"} gauge:{value:1}}`},
			want: `m{job="j"} 1 @2000`,
		},
		{
			name: "L-5 no instance is made up",
			push: []string{`name:"m" type:GAUGE metric:{gauge:{value:1}}`},
			want: `m{job="j"} 1 @2000`,
		},
		{
			name: "L-6 the first of equal identities is sent",
			push: []string{`name:"m" type:GAUGE
				metric:{label:{name:"x" value:""} gauge:{value:1}} metric:{gauge:{value:2}}`},
			want: `m{job="j"} 1 @2000`,
		},
		{
			name: "S-1 one timestamp for all samples",
			push: []string{
				`name:"a" type:GAUGE metric:{gauge:{value:1}}`,
				`name:"b" type:SUMMARY metric:{summary:{sample_count:1 sample_sum:2}}`,
			},
			want: `
				a{job="j"} 1 @2000
				b_sum{job="j"} 2 @2000
				b_count{job="j"} 1 @2000`,
		},
		{
			name:   "ST-1 what a push leaves out ends",
			before: []string{`name:"m" type:GAUGE metric:{label:{name:"a" value:"1"} gauge:{value:1}}`},
			push:   []string{`name:"m" type:GAUGE metric:{label:{name:"a" value:"2"} gauge:{value:1}}`},
			want: `
				m{a="2",job="j"} 1 @2000
				m{a="1",job="j"} stale @2000`,
		},
		{
			name:   "ST-1 component series end with their type",
			before: []string{`name:"m" type:SUMMARY metric:{summary:{sample_count:1 sample_sum:2 quantile:{quantile:0.5 value:1}}}`},
			push:   []string{`name:"m" type:HISTOGRAM metric:{histogram:{sample_count:1 sample_sum:2}}`},
			want: `
				m_bucket{job="j",le="+Inf"} 1 @2000
				m_sum{job="j"} 2 @2000
				m_count{job="j"} 1 @2000
				m{job="j",quantile="0.5"} stale @2000`,
		},
		{
			name:   "ST-2a a label that becomes empty ends nothing",
			before: []string{`name:"m" type:GAUGE metric:{label:{name:"a" value:""} gauge:{value:1}}`},
			push:   []string{`name:"m" type:GAUGE metric:{gauge:{value:2}}`},
			want:   `m{job="j"} 2 @2000`,
		},
		{
			name:   "ST-2a a zero bound that changes sign ends nothing",
			before: []string{`name:"h" type:HISTOGRAM metric:{histogram:{sample_count:1 sample_sum:2 bucket:{upper_bound:-0.0 cumulative_count:1}}}`},
			push:   []string{`name:"h" type:HISTOGRAM metric:{histogram:{sample_count:1 sample_sum:2 bucket:{upper_bound:0.0 cumulative_count:1}}}`},
			want: `
				h_bucket{job="j",le="0.0"} 1 @2000
				h_bucket{job="j",le="+Inf"} 1 @2000
				h_sum{job="j"} 2 @2000
				h_count{job="j"} 1 @2000`,
		},
		{
			name:   "ST-3 a native histogram ends as one",
			before: []string{`name:"h" type:HISTOGRAM metric:{histogram:{` + oneNative + `}}`},
			o:      nativeOnly,
			want:   `h{job="j"} stale histogram @2000`,
		},
		{
			name:   "ST-3 a float histogram ends as one",
			before: []string{`name:"h" type:HISTOGRAM metric:{histogram:{` + oneFloatNative + `}}`},
			o:      nativeOnly,
			want:   `h{job="j"} stale float histogram @2000`,
		},
		{
			name:   "ST-3 no marker for a native histogram that is not sent",
			before: []string{`name:"h" type:HISTOGRAM metric:{histogram:{` + oneNative + `}}`},
			o:      classicOnly,
		},
		{
			name:   "ST-3 both forms end",
			before: []string{`name:"h" type:HISTOGRAM metric:{histogram:{` + oneNative + twoBuckets + `}}`},
			o:      both,
			want: `
				h_bucket{job="j",le="1.0"} stale @2000
				h_bucket{job="j",le="+Inf"} stale @2000
				h_sum{job="j"} stale @2000
				h_count{job="j"} stale @2000
				h{job="j"} stale histogram @2000`,
		},
		{
			name:   "ST-3 only the form that was sent ends",
			before: []string{`name:"h" type:HISTOGRAM metric:{histogram:{` + oneNative + twoBuckets + `}}`},
			o:      nativeOnly,
			want:   `h{job="j"} stale histogram @2000`,
		},
		{
			name: "F-1 bounds are spelled as Prometheus 3 does",
			push: []string{`name:"h" type:HISTOGRAM metric:{histogram:{sample_count:1 sample_sum:2
				bucket:{upper_bound:0.00001} bucket:{upper_bound:1} bucket:{upper_bound:1e6} bucket:{upper_bound:2500000}}}`},
			want: `
				h_bucket{job="j",le="1e-05"} 0 @2000
				h_bucket{job="j",le="1.0"} 0 @2000
				h_bucket{job="j",le="1e+06"} 0 @2000
				h_bucket{job="j",le="2.5e+06"} 0 @2000
				h_bucket{job="j",le="+Inf"} 1 @2000
				h_sum{job="j"} 2 @2000
				h_count{job="j"} 1 @2000`,
		},
		{
			name: "F-1 le on another type stays",
			push: []string{`name:"m" type:GAUGE metric:{label:{name:"le" value:"1"} gauge:{value:1}}`},
			want: `m{job="j",le="1"} 1 @2000`,
		},
		{
			name: "F-2 a counter keeps its name",
			push: []string{`name:"c" type:COUNTER metric:{counter:{value:1}}`},
			want: `c{job="j"} 1 @2000`,
		},
		{
			name: "F-2 untyped",
			push: []string{`name:"u" type:UNTYPED metric:{untyped:{value:1}}`},
			want: `u{job="j"} 1 @2000`,
		},
		{
			name: "F-3 summary",
			push: []string{`name:"s" type:SUMMARY metric:{summary:{sample_count:3 sample_sum:4.5
				quantile:{quantile:0.5 value:1} quantile:{quantile:1 value:nan}}}`},
			want: `
				s{job="j",quantile="0.5"} 1 @2000
				s{job="j",quantile="1.0"} NaN @2000
				s_sum{job="j"} 4.5 @2000
				s_count{job="j"} 3 @2000`,
		},
		{
			name: "F-4 adds inf bucket",
			push: []string{`name:"h" type:HISTOGRAM metric:{histogram:{sample_count:4 sample_sum:9 bucket:{upper_bound:1 cumulative_count:2}}}`},
			want: `
				h_bucket{job="j",le="1.0"} 2 @2000
				h_bucket{job="j",le="+Inf"} 4 @2000
				h_sum{job="j"} 9 @2000
				h_count{job="j"} 4 @2000`,
		},
		{
			name: "F-4 float counts win",
			push: []string{`name:"h" type:HISTOGRAM metric:{histogram:{sample_count:4 sample_count_float:4.5 sample_sum:9
				bucket:{upper_bound:1 cumulative_count:2 cumulative_count_float:2.5} bucket:{upper_bound:2 cumulative_count:3}}}`},
			want: `
				h_bucket{job="j",le="1.0"} 2.5 @2000
				h_bucket{job="j",le="2.0"} 3 @2000
				h_bucket{job="j",le="+Inf"} 4.5 @2000
				h_sum{job="j"} 9 @2000
				h_count{job="j"} 4.5 @2000`,
		},
		{
			name: "F-5 gauge histogram",
			push: []string{`name:"h" type:GAUGE_HISTOGRAM metric:{histogram:{sample_count:4 sample_sum:9 bucket:{upper_bound:1 cumulative_count:2}}}`},
			want: `
				h_bucket{job="j",le="1.0"} 2 @2000
				h_bucket{job="j",le="+Inf"} 4 @2000
				h_sum{job="j"} 9 @2000
				h_count{job="j"} 4 @2000`,
		},
		{
			name: "F-6 native goes out under the family's name",
			push: []string{`name:"h" type:HISTOGRAM metric:{histogram:{` + oneNative + `}}`},
			o:    nativeOnly,
			want: `h{job="j"} {count:6, sum:11, [-0.001,0.001]:2, (1,2]:1, (2,4]:2, (8,16]:1} @2000`,
		},
		{
			name: "F-6 a span without buckets makes it native",
			push: []string{`name:"h" type:HISTOGRAM metric:{histogram:{schema:0 positive_span:{offset:0 length:0}}}`},
			o:    nativeOnly,
			want: `h{job="j"} {count:0, sum:0} @2000`,
		},
		{
			name: "F-6 native instead of classic",
			push: []string{`name:"h" type:HISTOGRAM metric:{histogram:{` + oneNative + twoBuckets + `}}`},
			o:    nativeOnly,
			want: `h{job="j"} {count:6, sum:11, [-0.001,0.001]:2, (1,2]:1, (2,4]:2, (8,16]:1} @2000`,
		},
		{
			name: "F-6 native and classic",
			push: []string{`name:"h" type:HISTOGRAM metric:{histogram:{` + oneNative + twoBuckets + `}}`},
			o:    both,
			want: `
				h{job="j"} {count:6, sum:11, [-0.001,0.001]:2, (1,2]:1, (2,4]:2, (8,16]:1} @2000
				h_bucket{job="j",le="1.0"} 2 @2000
				h_bucket{job="j",le="+Inf"} 6 @2000
				h_sum{job="j"} 11 @2000
				h_count{job="j"} 6 @2000`,
		},
		{
			name: "F-6 classic where native is not taken",
			push: []string{`name:"h" type:HISTOGRAM metric:{histogram:{` + oneNative + twoBuckets + `}}`},
			o:    classicOnly,
			want: `
				h_bucket{job="j",le="1.0"} 2 @2000
				h_bucket{job="j",le="+Inf"} 6 @2000
				h_sum{job="j"} 11 @2000
				h_count{job="j"} 6 @2000`,
		},
		{
			name: "F-6 purely native where it is not taken",
			push: []string{`name:"h" type:HISTOGRAM metric:{histogram:{` + oneNative + `}}`},
			o:    classicOnly,
		},
		{
			name: "F-7 float native",
			push: []string{`name:"h" type:HISTOGRAM metric:{histogram:{` + oneFloatNative + `}}`},
			o:    nativeOnly,
			want: `h{job="j"} {count:6.5, sum:11, [-1.0905077326652577,-1):2.5, [-1,-0.9170040432046711):1.5, [-0.001,0.001]:2.5} @2000`,
		},
		{
			name: "E-1 on the counter",
			push: []string{`name:"c" type:COUNTER metric:{counter:{value:7
				exemplar:{label:{name:"trace" value:"t"} value:3 timestamp:{seconds:1 nanos:500000000}}}}`},
			want: `c{job="j"} 7 @2000 # {trace="t"} 3 @1500`,
		},
		{
			name: "E-1 on the bucket",
			push: []string{`name:"h" type:HISTOGRAM metric:{histogram:{sample_count:4 sample_sum:9
				bucket:{upper_bound:1 cumulative_count:2}
				bucket:{upper_bound:2 cumulative_count:3 exemplar:{label:{name:"trace" value:"t"} value:1.5 timestamp:{seconds:1}}}}}`},
			want: `
				h_bucket{job="j",le="1.0"} 2 @2000
				h_bucket{job="j",le="2.0"} 3 @2000 # {trace="t"} 1.5 @1000
				h_bucket{job="j",le="+Inf"} 4 @2000
				h_sum{job="j"} 9 @2000
				h_count{job="j"} 4 @2000`,
		},
		{
			name: "E-1 on the native series",
			push: []string{`name:"h" type:HISTOGRAM metric:{histogram:{sample_count:1 zero_count:1 sample_sum:0 zero_threshold:1
				exemplars:{label:{name:"trace" value:"b"} value:0 timestamp:{seconds:1 nanos:2000000}}
				exemplars:{label:{name:"trace" value:"none"} value:0}
				exemplars:{label:{name:"trace" value:"a"} value:0 timestamp:{seconds:1}}}}`},
			o:    nativeOnly,
			want: `h{job="j"} {count:1, sum:0, [-1,1]:1} @2000 # {trace="a"} 0 @1000 # {trace="b"} 0 @1002`,
		},
		{
			name: "E-1 on the native series from its buckets",
			push: []string{`name:"h" type:HISTOGRAM metric:{histogram:{sample_count:1 zero_count:1 sample_sum:0 zero_threshold:1
				bucket:{upper_bound:1 cumulative_count:1 exemplar:{label:{name:"trace" value:"b"} value:0 timestamp:{seconds:1}}}
				bucket:{upper_bound:2 cumulative_count:1 exemplar:{label:{name:"trace" value:"none"} value:0}}}}`},
			o:    nativeOnly,
			want: `h{job="j"} {count:1, sum:0, [-1,1]:1} @2000 # {trace="b"} 0 @1000`,
		},
		{
			name: "E-2 without a time it takes the sample's",
			push: []string{`name:"c" type:COUNTER metric:{counter:{value:7 exemplar:{label:{name:"trace" value:"t"} value:3}}}`},
			want: `c{job="j"} 7 @2000 # {trace="t"} 3 @2000`,
		},
		{
			name: "E-2 labels sorted",
			push: []string{`name:"c" type:COUNTER metric:{counter:{value:7
				exemplar:{label:{name:"b" value:"2"} label:{name:"a" value:"1"} value:3}}}`},
			want: `c{job="j"} 7 @2000 # {a="1",b="2"} 3 @2000`,
		},
		{
			name: "E-2 at most 128 runes",
			push: []string{
				`name:"a" type:COUNTER metric:{counter:{value:7 exemplar:{label:{name:"t" value:"` + strings.Repeat("ü", 127) + `"} value:3}}}`,
				`name:"b" type:COUNTER metric:{counter:{value:7 exemplar:{label:{name:"t" value:"` + strings.Repeat("ü", 128) + `"} value:3}}}`,
			},
			want: `
				a{job="j"} 7 @2000 # {t="` + strings.Repeat("ü", 127) + `"} 3 @2000
				b{job="j"} 7 @2000`,
		},
		{
			name: "C-1 created timestamp on every component",
			push: []string{
				`name:"c" type:COUNTER metric:{counter:{value:1 created_timestamp:{seconds:1 nanos:5000000}}}`,
				`name:"h" type:HISTOGRAM metric:{histogram:{sample_count:1 sample_sum:2 created_timestamp:{seconds:1}}}`,
				`name:"s" type:SUMMARY metric:{summary:{sample_count:1 sample_sum:2 created_timestamp:{seconds:2}}}`,
			},
			want: `
				c{job="j"} 1 @2000 start=1005
				h_bucket{job="j",le="+Inf"} 1 @2000 start=1000
				h_sum{job="j"} 2 @2000 start=1000
				h_count{job="j"} 1 @2000 start=1000
				s_sum{job="j"} 2 @2000 start=2000
				s_count{job="j"} 1 @2000 start=2000`,
		},
		{
			name: "C-1 not after the sample and not before the epoch",
			push: []string{
				`name:"a" type:COUNTER metric:{counter:{value:1 created_timestamp:{seconds:2 nanos:1000000}}}`,
				`name:"b" type:COUNTER metric:{counter:{value:1 created_timestamp:{seconds:-1}}}`,
				`name:"c" type:COUNTER metric:{counter:{value:1 created_timestamp:{}}}`,
			},
			want: `
				a{job="j"} 1 @2000
				b{job="j"} 1 @2000
				c{job="j"} 1 @2000`,
		},
		{
			name: "C-2 created as a series is a gauge",
			push: []string{`name:"c_created" type:GAUGE metric:{gauge:{value:1}}`},
			want: `c_created{job="j"} 1 @2000`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStore()
			labels := parseGrouping(t, tc.grouping)
			s.apply(t, group.Change{Kind: group.KindPut, Labels: labels, Part: partOfDTO(t, families(t, tc.before...)...)})
			r := s.apply(t, group.Change{Kind: group.KindPut, Labels: labels, Part: partOfDTO(t, families(t, tc.push...)...)})
			got := printSeries(withoutPushTimes(seriesOf(t, r, tc.o)))
			if diff := cmp.Diff(strings.TrimSpace(strings.ReplaceAll(tc.want, "\t", "")), strings.TrimSpace(got)); diff != "" {
				t.Errorf("series (-want +got):\n%s", diff)
			}
		})
	}
}

// families parses text protobuf, one family each.
func families(t testing.TB, text ...string) []*dto.MetricFamily {
	t.Helper()
	var out []*dto.MetricFamily
	for _, s := range text {
		mf := &dto.MetricFamily{}
		if err := prototext.Unmarshal([]byte(s), mf); err != nil {
			t.Fatalf("parse %s: %v", s, err)
		}
		out = append(out, mf)
	}
	return out
}

func withoutPushTimes(series []convert.Series) []convert.Series {
	return slices.DeleteFunc(series, func(s convert.Series) bool {
		return strings.HasPrefix(s.Family.Name, "push_")
	})
}

// push applies one PUT of families to an empty store.
func push(t testing.TB, mfs ...*dto.MetricFamily) *group.Record {
	t.Helper()
	return newStore().apply(t, group.Change{
		Kind:   group.KindPut,
		Labels: group.NewLabels([]group.Label{{Name: "job", Value: "j"}}),
		Part:   partOfDTO(t, mfs...),
	})
}

// TestRule_S5 pushes the bits of a stale marker wherever a value can stand.
func TestRule_S5(t *testing.T) {
	stale := math.Float64frombits(value.StaleNaN)
	keep := []float64{math.Float64frombits(0x7ff8000000000123), math.Copysign(0, -1), 5e-324, math.Inf(-1)}
	var mfs []*dto.MetricFamily
	for i, v := range append(keep, stale) {
		mfs = append(mfs, &dto.MetricFamily{
			Name: new("g" + string(rune('a'+i))), Type: dto.MetricType_GAUGE.Enum(),
			Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: new(v)}}},
		})
	}
	mfs = append(mfs, families(t,
		`name:"h" type:HISTOGRAM metric:{histogram:{`+oneNative+twoBuckets+`}}`,
		`name:"s" type:SUMMARY metric:{summary:{sample_count:1 quantile:{quantile:1 value:0}}}`)...)
	mfs[len(mfs)-2].Metric[0].Histogram.SampleSum = new(stale)
	mfs[len(mfs)-1].Metric[0].Summary.SampleSum = new(stale)
	mfs[len(mfs)-1].Metric[0].Summary.Quantile[0].Value = new(stale)

	series := seriesOf(t, push(t, mfs...), both)
	for i, want := range append(keep, math.Float64frombits(value.NormalNaN)) {
		if got := series[i].Value; math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("value %d: got bits %x, want %x", i, math.Float64bits(got), math.Float64bits(want))
		}
	}
	for _, s := range series {
		if value.IsStaleNaN(s.Value) || s.Hist != nil && value.IsStaleNaN(s.Hist.Sum) {
			t.Errorf("%s has the bits of a stale marker", printLabels(s.Labels))
		}
	}
}

// TestRule_F8F9 looks at what the printed form of a native histogram hides.
func TestRule_F8F9(t *testing.T) {
	for _, tc := range []struct {
		name, family string
		hint         byte
	}{
		{"histogram", `name:"h" type:HISTOGRAM metric:{histogram:{` + oneNative + `}}`, 0},
		{"gauge histogram", `name:"h" type:GAUGE_HISTOGRAM metric:{histogram:{` + oneNative + `}}`, 3},
		{"float histogram", `name:"h" type:HISTOGRAM metric:{histogram:{` + oneFloatNative + `}}`, 0},
		{"gauge float histogram", `name:"h" type:GAUGE_HISTOGRAM metric:{histogram:{` + oneFloatNative + `}}`, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := seriesOf(t, push(t, families(t, tc.family)...), nativeOnly)[0]
			if h := s.Hist; h != nil {
				if err := h.Validate(); err != nil || byte(h.CounterResetHint) != tc.hint {
					t.Errorf("hint %d, error %v; want hint %d, no error", h.CounterResetHint, err, tc.hint)
				}
				return
			}
			if err := s.FloatHist.Validate(); err != nil || byte(s.FloatHist.CounterResetHint) != tc.hint {
				t.Errorf("hint %d, error %v; want hint %d, no error", s.FloatHist.CounterResetHint, err, tc.hint)
			}
		})
	}
}

// TestRule_Metadata is rules C-4, C-5 and F-5: what each component says of its
// family.
func TestRule_Metadata(t *testing.T) {
	r := push(t, families(t, `name:"h" help:"H\nh" unit:"seconds" type:GAUGE_HISTOGRAM metric:{histogram:{sample_count:1}}`)...)
	h := convert.FamilyInfo{Name: "h", Help: "H\nh", Unit: "seconds", Type: group.GaugeHistogram}
	want := []convert.FamilyInfo{
		h, h, h,
		{Name: "push_time_seconds", Help: "Last Unix time when changing this group in the Pushgateway succeeded.", Type: group.Gauge},
		{Name: "push_failure_time_seconds", Help: "Last Unix time when changing this group in the Pushgateway failed.", Type: group.Gauge},
	}
	var got []convert.FamilyInfo
	for _, s := range seriesOf(t, r, classicOnly) {
		got = append(got, s.Family)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

// TestMarkersOfUnits: type and unit of what ended, since a receiver may take both
// for labels.
func TestMarkersOfUnits(t *testing.T) {
	s, l := newStore(), group.NewLabels([]group.Label{{Name: "job", Value: "j"}})
	part := partOfDTO(t, families(t, `name:"h_seconds" unit:"seconds" type:HISTOGRAM metric:{histogram:{sample_count:1}}`)...)
	s.apply(t, group.Change{Kind: group.KindPut, Labels: l, Part: part})
	r := s.apply(t, group.Change{Kind: group.KindDelete, Labels: l})
	got := withoutPushTimes(seriesOf(t, r, classicOnly))
	if len(got) != 3 {
		t.Errorf("%d markers, want 3", len(got))
	}
	for _, x := range got {
		if diff := cmp.Diff(convert.FamilyInfo{Name: "h_seconds", Unit: "seconds", Type: group.Histogram}, x.Family); diff != "" || !x.Stale {
			t.Errorf("%v (-want +got):\n%s", x.Labels, diff)
		}
	}
}

// TestRule_C3 is rules C-3 and ST-2: explicit timestamps, which the push API
// refuses and an import may bring, stay.
func TestRule_C3(t *testing.T) {
	r := *push(t, families(t, `name:"m" type:GAUGE
		metric:{label:{name:"a" value:"1"} gauge:{value:1}} metric:{label:{name:"a" value:"2"} gauge:{value:1}}`)...)
	p := *r.Members[0].Part
	p.Times = []int64{group.NoTime, 1234}
	r.Members = []group.Member{{Part: &p, Family: r.Members[0].Family}}
	want := "m{a=\"1\",job=\"j\"} 1 @1000\nm{a=\"2\",job=\"j\"} 1 @1234\n"
	if diff := cmp.Diff(want, printSeries(withoutPushTimes(seriesOf(t, &r, classicOnly)))); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

// TestSkipped has a row for each reason.
func TestSkipped(t *testing.T) {
	for _, tc := range []struct {
		name, family string
		o            convert.Options
		want         convert.Skipped
	}{
		{
			"duplicate identity", `name:"h" type:HISTOGRAM metric:{histogram:{sample_count:1}}
				metric:{label:{name:"x" value:""} histogram:{` + oneNative + twoBuckets + `}}`,
			nativeOnly,
			convert.Skipped{convert.DuplicateIdentity: 5},
		},
		{
			"native", `name:"h" type:HISTOGRAM metric:{histogram:{` + oneNative + twoBuckets + `}}`,
			classicOnly,
			convert.Skipped{convert.NativeNotSent: 1},
		},
		{
			"classic", `name:"h" type:HISTOGRAM metric:{histogram:{` + oneNative + ` bucket:{upper_bound:1}}}`,
			nativeOnly,
			convert.Skipped{convert.ClassicNotSent: 4},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c convert.Converter
			_, got := c.Append(nil, push(t, families(t, tc.family)...), tc.o)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("skipped (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMarkers compares label sets after what a sender may have done to them.
func TestMarkers(t *testing.T) {
	series := func(names ...string) []convert.Series {
		var out []convert.Series
		for _, n := range names {
			out = append(out, convert.Series{Labels: []group.Label{{Name: "__name__", Value: n}, {Name: "job", Value: "j"}}})
		}
		return out
	}
	for _, tc := range []struct {
		name              string
		ended, live, want []convert.Series
	}{
		{"nothing ended", nil, series("a"), series("a")},
		{"nothing lives", series("a", "b"), nil, series("a", "b")},
		{"some live on", series("a", "b", "c"), series("d", "b", "b"), series("d", "b", "b", "a", "c")},
		{"merged by relabelling", series("a", "a", "b", "b"), series("b"), series("b", "a")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c convert.Converter
			for range 2 { // the second time with used scratch space
				got := c.Markers(slices.Clone(tc.live), tc.ended, tc.live)
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("series (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestReset converts many records in one batch and in another after it: nothing
// of a batch changes while it lasts.
func TestReset(t *testing.T) {
	var c convert.Converter
	var records []*group.Record
	for range 40 {
		records = append(records, push(t, families(t,
			`name:"h" type:HISTOGRAM metric:{histogram:{`+oneNative+twoBuckets+`}}`,
			`name:"f" type:HISTOGRAM metric:{histogram:{`+oneFloatNative+`}}`,
			manyGauges(300))...))
	}
	var want []string
	for _, r := range records {
		want = append(want, printSeries(seriesOf(t, r, both)))
	}
	for range 3 {
		var batches [][]convert.Series
		for _, r := range records {
			s, _ := c.Append(nil, r, both)
			batches = append(batches, s)
		}
		for i, b := range batches {
			if diff := cmp.Diff(want[i], printSeries(b)); diff != "" {
				t.Fatalf("record %d (-want +got):\n%s", i, diff)
			}
		}
		c.Reset()
	}
}

func manyGauges(n int) string {
	var b strings.Builder
	b.WriteString(`name:"g" type:GAUGE `)
	for i := range n {
		b.WriteString(`metric:{label:{name:"i" value:"` + string(rune('a'+i%26)) + strings.Repeat("x", i/26) + `"} gauge:{value:1}} `)
	}
	return b.String()
}
