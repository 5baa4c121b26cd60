package aggregate

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/pushbridge/pushbridge/group"
)

// native adds native histograms as PromQL does: the coarser schema and the wider zero
// bucket count. Sum and count stand elsewhere. Whole numbers stay whole numbers.
func (o op) native(old, pushed *group.Native) (group.Native, error) {
	if o == replace {
		return *pushed, nil
	}
	a, b := floatOf(old), floatOf(pushed)
	sum, _, _, err := a.Add(b)
	if err != nil {
		return group.Native{}, err
	}
	sum.Compact(0)
	n := group.Native{
		Float: old.Float || pushed.Float, Schema: sum.Schema, ZeroThreshold: sum.ZeroThreshold, ZeroCount: math.Float64bits(sum.ZeroCount),
		Positive: spansOf(sum.PositiveSpans), Negative: spansOf(sum.NegativeSpans),
	}
	if n.Float {
		n.PositiveCount, n.NegativeCount = sum.PositiveBuckets, sum.NegativeBuckets
		return n, nil
	}
	n.ZeroCount = uint64(sum.ZeroCount)
	n.PositiveDelta, n.NegativeDelta = deltasOf(sum.PositiveBuckets), deltasOf(sum.NegativeBuckets)
	return n, nil
}

// floatOf returns a copy of n without sum and count.
func floatOf(n *group.Native) *histogram.FloatHistogram {
	h := &histogram.FloatHistogram{
		Schema: n.Schema, ZeroThreshold: n.ZeroThreshold, ZeroCount: math.Float64frombits(n.ZeroCount),
		PositiveSpans: promSpans(n.Positive), NegativeSpans: promSpans(n.Negative),
	}
	if n.Float {
		h.PositiveBuckets, h.NegativeBuckets = slices.Clone(n.PositiveCount), slices.Clone(n.NegativeCount)
		return h
	}
	h.ZeroCount = float64(n.ZeroCount)
	h.PositiveBuckets, h.NegativeBuckets = countsOf(n.PositiveDelta), countsOf(n.NegativeDelta)
	return h
}

func promSpans(spans []group.Span) []histogram.Span {
	out := make([]histogram.Span, len(spans))
	for i, s := range spans {
		out[i] = histogram.Span(s)
	}
	return out
}

func spansOf(spans []histogram.Span) []group.Span {
	out := make([]group.Span, len(spans))
	for i, s := range spans {
		out[i] = group.Span(s)
	}
	return out
}

func countsOf(deltas []int64) []float64 {
	out, at := make([]float64, len(deltas)), int64(0)
	for i, d := range deltas {
		at += d
		out[i] = float64(at)
	}
	return out
}

func deltasOf(counts []float64) []int64 {
	out, before := make([]int64, len(counts)), int64(0)
	for i, c := range counts {
		out[i] = int64(c) - before
		before = int64(c)
	}
	return out
}
