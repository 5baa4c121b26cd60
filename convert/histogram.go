package convert

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/pushbridge/pushbridge/group"
)

// infBound is the spelling of the bucket that holds everything.
const infBound = "+Inf"

// appendHistogram appends the forms of a histogram that the destination takes
// (rule F-6), and counts the others.
func (c *Converter) appendHistogram(dst []Series, x *metric, skipped *Skipped) []Series {
	bounds, what := x.part.Shape.Bounds(x.Metric), x.part.Shape.Components(x.Metric)
	classic := what &^ group.ComponentNative
	switch {
	case !x.Native:
	case !c.o.SendNative:
		skipped[NativeNotSent]++
	default:
		dst = append(dst, c.native(x))
		if !c.o.AlsoClassic {
			skipped[ClassicNotSent] += count(classic, len(bounds))
			return dst
		}
	}
	if classic == 0 {
		return dst
	}
	return c.appendClassic(dst, x, bounds, what&group.ComponentInf != 0)
}

// appendClassic appends name_bucket for each bucket, and for +Inf where the push
// left it out, name_sum and name_count (rules F-4 and F-5).
func (c *Converter) appendClassic(dst []Series, x *metric, bounds []float64, addInf bool) []Series {
	s, at, name := x.series(), x.labels.slotOf(bucketLabel), c.names.of(x.family.Name).bucket
	for i, le := range c.bounds.spell(bounds) {
		s.Labels = c.component(x.labels, name, at, bucketLabel, le)
		s.Value = plain(x.Form.Count(x.values[2+i]))
		s.Exemplars = c.exemplarsOf(x, int32(i))
		dst = append(dst, s)
	}
	if addInf {
		s.Labels = c.component(x.labels, name, at, bucketLabel, infBound)
		s.Value, s.Exemplars = plain(x.Form.Count(x.values[1])), nil
		dst = append(dst, s)
	}
	return c.appendSumCount(dst, x)
}

// native is the native form: one series under the family's name (rules F-6 to
// F-9).
func (c *Converter) native(x *metric) Series {
	s, n := x.series(), x.part.NativeOf(x.Metric)
	s.Labels = c.renamed(x.labels, x.family.Name)
	s.Exemplars = c.nativeExemplarsOf(x)
	if n.Float {
		s.FloatHist = c.floatNative(x, n)
	} else {
		s.Hist = c.intNative(x, n)
	}
	return s
}

func (c *Converter) intNative(x *metric, n *group.Native) *histogram.Histogram {
	h := &c.hists.take(1)[0]
	*h = histogram.Histogram{
		CounterResetHint: hintOf(x.family.Type),
		Schema:           n.Schema,
		ZeroThreshold:    n.ZeroThreshold,
		ZeroCount:        n.ZeroCount,
		Count:            x.values[1],
		Sum:              plain(math.Float64frombits(x.values[0])),
		PositiveSpans:    c.spansOf(n.Positive),
		NegativeSpans:    c.spansOf(n.Negative),
		PositiveBuckets:  n.PositiveDelta,
		NegativeBuckets:  n.NegativeDelta,
	}
	return h
}

func (c *Converter) floatNative(x *metric, n *group.Native) *histogram.FloatHistogram {
	h := &c.floats.take(1)[0]
	*h = histogram.FloatHistogram{
		CounterResetHint: hintOf(x.family.Type),
		Schema:           n.Schema,
		ZeroThreshold:    n.ZeroThreshold,
		ZeroCount:        math.Float64frombits(n.ZeroCount),
		Count:            x.Form.Count(x.values[1]),
		Sum:              plain(math.Float64frombits(x.values[0])),
		PositiveSpans:    c.spansOf(n.Positive),
		NegativeSpans:    c.spansOf(n.Negative),
		PositiveBuckets:  n.PositiveCount,
		NegativeBuckets:  n.NegativeCount,
	}
	return h
}

func (c *Converter) spansOf(in []group.Span) []histogram.Span {
	if len(in) == 0 {
		return nil
	}
	out := c.spans.take(len(in))
	for i, s := range in {
		out[i] = histogram.Span(s)
	}
	return out
}

// hintOf says that gauge histograms may fall. For the others it says nothing:
// a batch job that runs again starts from zero, and a receiver that is told
// otherwise would not look for the reset.
func hintOf(t group.Type) histogram.CounterResetHint {
	if t == group.GaugeHistogram {
		return histogram.GaugeType
	}
	return histogram.UnknownCounterReset
}
