package group

import (
	"errors"
	"fmt"
	"math"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/histogram"
)

// Schemas of native histograms that the exposition format can carry.
const (
	minSchema = -4
	maxSchema = 8
)

func (d *dtoReader) histogram(h *dto.Histogram) error {
	form := FormHistogram
	if isFloat(h) {
		form = FormFloatHistogram
	}
	d.bounds = d.bounds[:0]
	d.values = append(d.values[:0], math.Float64bits(h.GetSampleSum()), count(form, h.GetSampleCount(), h.GetSampleCountFloat()))
	for _, b := range h.Bucket {
		d.bounds = append(d.bounds, b.GetUpperBound())
		d.values = append(d.values, count(form, b.GetCumulativeCount(), b.GetCumulativeCountFloat()))
	}
	d.b.Metric(form, d.labels, d.bounds, d.values...)
	if isNative(h) {
		n := nativeFromDTO(form, h)
		if err := n.validate(h.GetSampleSum(), d.values[1]); err != nil {
			return d.invalidMetric(err)
		}
		d.b.Native(n)
	}
	if ct := h.CreatedTimestamp; ct != nil {
		d.b.Created(ct.GetSeconds(), ct.GetNanos())
	}
	return d.histogramExemplars(h)
}

func (d *dtoReader) histogramExemplars(h *dto.Histogram) error {
	for _, x := range h.Exemplars {
		if err := d.exemplar(SlotNative, x); err != nil {
			return err
		}
	}
	for i, b := range h.Bucket {
		if b.GetExemplar() == nil {
			continue
		}
		if err := d.exemplar(int32(i), b.Exemplar); err != nil {
			return err
		}
	}
	return nil
}

// isFloat reports whether any count is given as a float: floats win (rule F-4).
// 0 is how protobuf spells "not set"; a NaN is set, and is shown as such.
func isFloat(h *dto.Histogram) bool {
	return h.GetSampleCountFloat() != 0 || h.GetZeroCountFloat() != 0 ||
		slices.ContainsFunc(h.Bucket, func(b *dto.Bucket) bool { return b.GetCumulativeCountFloat() != 0 })
}

func count(form Form, integer uint64, float float64) uint64 {
	switch {
	case form == FormHistogram:
		return integer
	case float != 0:
		return math.Float64bits(float)
	default:
		return math.Float64bits(float64(integer))
	}
}

// isNative is rule F-6.
func isNative(h *dto.Histogram) bool {
	return len(h.PositiveSpan) > 0 || len(h.NegativeSpan) > 0 ||
		h.GetZeroThreshold() > 0 || h.GetZeroCount() > 0 || h.GetZeroCountFloat() > 0
}

func nativeFromDTO(form Form, h *dto.Histogram) Native {
	n := Native{
		Float:         form == FormFloatHistogram,
		Schema:        h.GetSchema(),
		ZeroThreshold: h.GetZeroThreshold(),
		ZeroCount:     count(form, h.GetZeroCount(), h.GetZeroCountFloat()),
		Positive:      spansFromDTO(h.PositiveSpan),
		Negative:      spansFromDTO(h.NegativeSpan),
	}
	if n.Float {
		n.PositiveCount, n.NegativeCount = h.PositiveCount, h.NegativeCount
	} else {
		n.PositiveDelta, n.NegativeDelta = h.PositiveDelta, h.NegativeDelta
	}
	return n
}

func spansFromDTO(spans []*dto.BucketSpan) []Span {
	if len(spans) == 0 {
		return nil
	}
	s := make([]Span, len(spans))
	for i, b := range spans {
		s[i] = Span{Offset: b.GetOffset(), Length: b.GetLength()}
	}
	return s
}

// validate applies rule F-8: receivers refuse the whole request for one bad
// native histogram, so it is refused here.
func (n *Native) validate(sum float64, slot uint64) error {
	if n.Schema < minSchema || n.Schema > maxSchema {
		return fmt.Errorf("invalid native histogram: schema %d", n.Schema)
	}
	if indexOverflows(n.Positive) || indexOverflows(n.Negative) {
		return errors.New("invalid native histogram: a bucket index is out of range")
	}
	if err := n.validateBuckets(sum, slot); err != nil {
		return fmt.Errorf("invalid native histogram: %w", err)
	}
	return nil
}

func (n *Native) validateBuckets(sum float64, slot uint64) error {
	if n.Float {
		h := histogram.FloatHistogram{
			Schema: n.Schema, ZeroThreshold: n.ZeroThreshold, ZeroCount: math.Float64frombits(n.ZeroCount),
			Count: math.Float64frombits(slot), Sum: sum, PositiveSpans: promSpans(n.Positive), NegativeSpans: promSpans(n.Negative),
			PositiveBuckets: n.PositiveCount, NegativeBuckets: n.NegativeCount,
		}
		return h.Validate()
	}
	h := histogram.Histogram{
		Schema: n.Schema, ZeroThreshold: n.ZeroThreshold, ZeroCount: n.ZeroCount,
		Count: slot, Sum: sum, PositiveSpans: promSpans(n.Positive), NegativeSpans: promSpans(n.Negative),
		PositiveBuckets: n.PositiveDelta, NegativeBuckets: n.NegativeDelta,
	}
	return h.Validate()
}

func promSpans(spans []Span) []histogram.Span {
	s := make([]histogram.Span, len(spans))
	for i, p := range spans {
		s[i] = histogram.Span{Offset: p.Offset, Length: p.Length}
	}
	return s
}

func indexOverflows(spans []Span) bool {
	at := int64(0)
	for _, s := range spans {
		at += int64(s.Offset) + int64(s.Length)
		if at > math.MaxInt32 || at < math.MinInt32 {
			return true
		}
	}
	return false
}
