package web

import (
	"math"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/pushbridge/pushbridge/group"
)

// nativeBucket is one bucket of a native histogram that has counted something.
type nativeBucket struct {
	Lower, Upper                   float64
	LowerInclusive, UpperInclusive bool
	Count                          float64
	integer                        uint64 // the count of an integer histogram, exactly
}

// nativeBuckets returns the buckets of n from the lowest to the highest.
func nativeBuckets(n *group.Native) []nativeBucket {
	if n.Float {
		h := histogram.FloatHistogram{
			Schema: n.Schema, ZeroThreshold: n.ZeroThreshold, ZeroCount: math.Float64frombits(n.ZeroCount),
			PositiveSpans: modelSpans(n.Positive), PositiveBuckets: n.PositiveCount,
			NegativeSpans: modelSpans(n.Negative), NegativeBuckets: n.NegativeCount,
		}
		return collectBuckets(h.NegativeBucketIterator(), h.ZeroBucket(), h.PositiveBucketIterator())
	}
	h := histogram.Histogram{
		Schema: n.Schema, ZeroThreshold: n.ZeroThreshold, ZeroCount: n.ZeroCount,
		PositiveSpans: modelSpans(n.Positive), PositiveBuckets: n.PositiveDelta,
		NegativeSpans: modelSpans(n.Negative), NegativeBuckets: n.NegativeDelta,
	}
	return collectBuckets(h.NegativeBucketIterator(), h.ZeroBucket(), h.PositiveBucketIterator())
}

func modelSpans(spans []group.Span) []histogram.Span {
	out := make([]histogram.Span, len(spans))
	for i, s := range spans {
		out[i] = histogram.Span{Offset: s.Offset, Length: s.Length}
	}
	return out
}

func collectBuckets[C histogram.BucketCount](negative histogram.BucketIterator[C], zero histogram.Bucket[C], positive histogram.BucketIterator[C]) []nativeBucket {
	var out []nativeBucket
	add := func(b histogram.Bucket[C]) {
		if b.Count != 0 {
			out = append(out, nativeBucket{b.Lower, b.Upper, b.LowerInclusive, b.UpperInclusive, float64(b.Count), uint64(b.Count)})
		}
	}
	for negative.Next() {
		add(negative.At())
	}
	slices.Reverse(out) // the iterator goes away from zero
	add(zero)
	for positive.Next() {
		add(positive.At())
	}
	return out
}

// native writes the buckets as the query API of Prometheus does: which
// boundaries are inclusive, lower, upper, count.
func (j *groupsJSON) native(n *group.Native) {
	j.text("[")
	for i, b := range nativeBuckets(n) {
		if i > 0 {
			j.text(",")
		}
		j.text("[" + b.boundaries() + ",")
		j.float(b.Lower)
		j.text(",")
		j.float(b.Upper)
		j.text(`,"` + b.count(n.Float) + `"]`)
	}
	j.text("]")
}

// boundaries is 0 for (], 1 for [), 2 for () and 3 for [].
func (b *nativeBucket) boundaries() string {
	switch {
	case b.LowerInclusive && b.UpperInclusive:
		return "3"
	case b.LowerInclusive:
		return "1"
	case b.UpperInclusive:
		return "0"
	}
	return "2"
}

func (b *nativeBucket) count(isFloat bool) string {
	if isFloat {
		return strconv.FormatFloat(b.Count, 'g', -1, 64)
	}
	return strconv.FormatUint(b.integer, 10)
}
