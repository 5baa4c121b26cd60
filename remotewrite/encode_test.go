package remotewrite

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

func labelsOf(pairs ...string) []group.Label { return groupingKey(pairs...) }

// seriesCases are series of every kind, in a batch.
func seriesCases() []convert.Series {
	counter := convert.FamilyInfo{Name: "c", Help: "a\ncounter", Type: group.Counter}
	nativeInfo := convert.FamilyInfo{Name: "n", Help: "native", Unit: "seconds", Type: group.Histogram}
	spans := []histogram.Span{{Offset: -3, Length: 2}, {Offset: 7, Length: 1}}
	return []convert.Series{
		{Labels: labelsOf("__name__", "c", "job", "j", "a", "ö"), Time: 1700000000123, Value: 3.25, Family: counter, Start: 1600000000000},
		{Labels: labelsOf("__name__", "c", "job", "j"), Time: 1700000000123, Value: 0, Family: counter},
		{Labels: labelsOf("__name__", "c", "job", "j", "a", "long", "zz", "z"), Time: 1700000000124, Value: math.Inf(-1), Family: counter, Exemplars: []convert.Exemplar{
			{Labels: labelsOf("trace_id", "abc", "a", "b"), Value: 0.5, Time: 1699999999999},
			{Value: 0, Time: 0},
		}},
		{Labels: labelsOf("__name__", "g"), Time: -5, Value: math.Float64frombits(value.StaleNaN), Family: convert.FamilyInfo{Name: "g", Type: group.Gauge}, Stale: true},
		{Labels: labelsOf("__name__", "g"), Time: 0, Value: math.Float64frombits(value.NormalNaN), Family: convert.FamilyInfo{Name: "g", Type: group.Gauge}},
		{Labels: labelsOf("__name__", "n", "job", "j"), Time: 5, Family: nativeInfo, Hist: &histogram.Histogram{
			CounterResetHint: histogram.GaugeType, Schema: -4, ZeroThreshold: 1e-9, ZeroCount: 3, Count: 300, Sum: -1.5,
			PositiveSpans: spans, PositiveBuckets: []int64{1, -400, 77}, NegativeSpans: spans[1:], NegativeBuckets: []int64{-1},
		}, Exemplars: []convert.Exemplar{{Labels: labelsOf("t", "1"), Value: 3, Time: 9}}},
		{Labels: labelsOf("__name__", "n", "job", "j"), Time: 6, Family: nativeInfo, Hist: &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)}, Stale: true},
		{Labels: labelsOf("__name__", "n", "job", "k"), Time: 5, Family: nativeInfo, Start: 3, FloatHist: &histogram.FloatHistogram{
			Schema: 8, ZeroCount: 0.5, Count: 4, Sum: 0, PositiveSpans: spans, PositiveBuckets: []float64{1, 0, 2.5}, NegativeSpans: spans[:1], NegativeBuckets: []float64{0.25, 0},
		}},
		{Labels: labelsOf("__name__", "n", "job", "k"), Time: 6, Family: nativeInfo, FloatHist: &histogram.FloatHistogram{Schema: -53, Count: 4, Sum: 1, CustomValues: []float64{0, 5, 10}, PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []float64{1, 3}}},
		{Labels: labelsOf("__name__", "s_sum"), Time: 1, Value: 1, Family: convert.FamilyInfo{Name: "s", Type: group.Summary}},
		{Labels: labelsOf("__name__", "h_sum"), Time: 1, Value: 1, Family: convert.FamilyInfo{Name: "h", Type: group.GaugeHistogram}},
		{Labels: labelsOf("__name__", "u"), Time: 1, Value: 1, Family: convert.FamilyInfo{Name: "u", Type: group.Untyped, Help: "c"}},
	}
}

// prompbRequest is what the generated code would have us build.
func prompbRequest(series []convert.Series) *prompb.WriteRequest {
	req := &prompb.WriteRequest{}
	for _, s := range series {
		var ts prompb.TimeSeries
		for _, l := range s.Labels {
			ts.Labels = append(ts.Labels, prompb.Label{Name: l.Name, Value: l.Value})
		}
		switch {
		case s.Hist != nil:
			ts.Histograms = []prompb.Histogram{prompb.FromIntHistogram(s.Time, s.Hist)}
		case s.FloatHist != nil:
			ts.Histograms = []prompb.Histogram{prompb.FromFloatHistogram(s.Time, s.FloatHist)}
		default:
			ts.Samples = []prompb.Sample{{Value: s.Value, Timestamp: s.Time}}
		}
		for _, e := range s.Exemplars {
			x := prompb.Exemplar{Value: e.Value, Timestamp: e.Time}
			for _, l := range e.Labels {
				x.Labels = append(x.Labels, prompb.Label{Name: l.Name, Value: l.Value})
			}
			ts.Exemplars = append(ts.Exemplars, x)
		}
		req.Timeseries = append(req.Timeseries, ts)
	}
	return req
}

func writev2Request(series []convert.Series) *writev2.Request {
	table := writev2.NewSymbolTable()
	req := &writev2.Request{}
	refs := func(labels []group.Label) (out []uint32) {
		for _, l := range labels {
			out = append(out, table.Symbolize(l.Name), table.Symbolize(l.Value))
		}
		return out
	}
	for _, s := range series {
		ts := writev2.TimeSeries{LabelsRefs: refs(s.Labels)}
		ts.Metadata = writev2.Metadata{
			Type:    metadataType2(s.Family.Type),
			HelpRef: table.Symbolize(s.Family.Help),
			UnitRef: table.Symbolize(s.Family.Unit),
		}
		switch {
		case s.Hist != nil:
			ts.Histograms = []writev2.Histogram{writev2.FromIntHistogram(s.Start, s.Time, s.Hist)}
		case s.FloatHist != nil:
			ts.Histograms = []writev2.Histogram{writev2.FromFloatHistogram(s.Start, s.Time, s.FloatHist)}
		default:
			ts.Samples = []writev2.Sample{{Value: s.Value, Timestamp: s.Time, StartTimestamp: s.Start}}
		}
		for _, e := range s.Exemplars {
			ts.Exemplars = append(ts.Exemplars, writev2.Exemplar{LabelsRefs: refs(e.Labels), Value: e.Value, Timestamp: e.Time})
		}
		req.Timeseries = append(req.Timeseries, ts)
	}
	req.Symbols = table.Symbols()
	return req
}

// check1 and check2 compare with the generated code, byte by byte.
func check1(t *testing.T, series []convert.Series) {
	t.Helper()
	want, err := prompbRequest(series).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if got := appendRequest1(nil, series); !bytes.Equal(got, want) {
		t.Errorf("1.0: got\n%x\nwant\n%x", got, want)
	}
	size := 0
	for i := range series {
		size += sizeLen(1, sizeSeries1(&series[i]))
	}
	if size != len(want) {
		t.Errorf("1.0: counted %d bytes, got %d", size, len(want))
	}
}

func check2(t *testing.T, e *encoder2, series []convert.Series) {
	t.Helper()
	want, err := writev2Request(series).OptimizedMarshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.append(nil, series); !bytes.Equal(got, want) {
		t.Errorf("2.0: got\n%x\nwant\n%x", got, want)
	}
}

func TestRequestsEqualGeneratedCode(t *testing.T) {
	all := seriesCases()
	var e encoder2
	for i := range all {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			check1(t, all[i:i+1])
			check2(t, &e, all[i:i+1])
		})
	}
	t.Run("all", func(t *testing.T) {
		check1(t, all)
		check2(t, &e, all)
		check2(t, &e, all[3:]) // nothing is left of the request before
	})
	t.Run("empty", func(t *testing.T) {
		check1(t, nil)
		check2(t, &e, nil)
	})
}

// Generated code takes -0 for 0 and leaves it out. Values pass bit for bit.
func TestNegativeZeroKeepsItsSign(t *testing.T) {
	minus := []convert.Series{{Labels: labelsOf("__name__", "z"), Time: 1, Value: math.Copysign(0, -1)}}
	var one prompb.WriteRequest
	if err := one.Unmarshal(appendRequest1(nil, minus)); err != nil {
		t.Fatal(err)
	}
	if v := one.Timeseries[0].Samples[0].Value; !math.Signbit(v) {
		t.Errorf("1.0: got %v", v)
	}
	var two writev2.Request
	if err := two.Unmarshal(new(encoder2).append(nil, minus)); err != nil {
		t.Fatal(err)
	}
	if v := two.Timeseries[0].Samples[0].Value; !math.Signbit(v) {
		t.Errorf("2.0: got %v", v)
	}
}

func TestMetadataEqualsGeneratedCode(t *testing.T) {
	families := []convert.FamilyInfo{
		{Name: "a", Help: "x", Unit: "u", Type: group.Counter},
		{Name: "b", Type: group.Untyped},
		{Name: "c", Type: group.Summary},
		{Name: "d", Type: group.Histogram},
		{Name: "e", Type: group.GaugeHistogram},
		{Name: "f", Type: group.Gauge},
	}
	types := []prompb.MetricMetadata_MetricType{
		prompb.MetricMetadata_COUNTER, prompb.MetricMetadata_UNKNOWN, prompb.MetricMetadata_SUMMARY,
		prompb.MetricMetadata_HISTOGRAM, prompb.MetricMetadata_GAUGEHISTOGRAM, prompb.MetricMetadata_GAUGE,
	}
	req := &prompb.WriteRequest{}
	for i, f := range families {
		req.Metadata = append(req.Metadata, prompb.MetricMetadata{Type: types[i], MetricFamilyName: f.Name, Help: f.Help, Unit: f.Unit})
	}
	want, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, appendMetadata1(nil, families)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzRequests compares with the generated code on series made from random
// numbers.
func FuzzRequests(f *testing.F) {
	for i := range uint64(4) {
		f.Add(i, i*7)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		rnd := rand.New(rand.NewPCG(a, b))
		var series []convert.Series
		for range rnd.IntN(20) {
			series = append(series, randomSeries(rnd))
		}
		check1(t, series)
		check2(t, new(encoder2), series)
	})
}

func randomSeries(rnd *rand.Rand) convert.Series {
	word := func() string { return fmt.Sprintf("%x", rnd.Uint64N(1<<rnd.UintN(20)+1)) }
	labels := func() []group.Label {
		var l []group.Label
		for range rnd.IntN(5) {
			l = append(l, group.Label{Name: word(), Value: word()})
		}
		return group.NewLabels(l)
	}
	s := convert.Series{
		Labels: append([]group.Label{{Name: "__name__", Value: word()}}, labels()...),
		Time:   int64(rnd.Uint64() >> rnd.UintN(64)), Value: rnd.NormFloat64(),
		Start:  int64(rnd.Uint64N(3)),
		Family: convert.FamilyInfo{Name: word(), Help: word(), Unit: word(), Type: group.Type(rnd.UintN(6))},
	}
	for range rnd.IntN(2) {
		s.Exemplars = append(s.Exemplars, convert.Exemplar{Labels: labels(), Value: rnd.Float64(), Time: rnd.Int64()})
	}
	spans := []histogram.Span{{Offset: int32(rnd.Uint32()), Length: 2}}
	switch rnd.IntN(4) {
	case 0:
		s.Hist = &histogram.Histogram{
			Schema: int32(rnd.IntN(12) - 4), Count: rnd.Uint64(), Sum: rnd.Float64(), ZeroCount: rnd.Uint64N(3),
			PositiveSpans: spans, PositiveBuckets: []int64{rnd.Int64(), -rnd.Int64()},
		}
	case 1:
		s.FloatHist = &histogram.FloatHistogram{
			Schema: int32(rnd.IntN(12) - 4), Count: rnd.Float64(), ZeroThreshold: rnd.Float64(),
			NegativeSpans: spans, NegativeBuckets: []float64{rnd.Float64(), 0},
		}
	}
	return s
}
