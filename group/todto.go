package group

import (
	"cmp"
	"math"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// InstanceName is the label that every metric of a view has.
const InstanceName = "instance"

// AppendView appends the labels that a view shows for metric m of s in a group
// with grouping labels g: grouping labels win over m's own, and instance is
// added, empty, when neither has it. They are sorted by name.
func (g Labels) AppendView(dst []Label, s *Shape, m *Metric) []Label {
	at := len(dst)
	dst = g.Public(dst)
	if s != nil {
		dst = g.appendOwn(dst, s, m)
	}
	if !slices.ContainsFunc(dst[at:], func(l Label) bool { return l.Name == InstanceName }) {
		dst = append(dst, Label{Name: InstanceName})
	}
	sortLabels(dst[at:])
	return dst
}

func (g Labels) appendOwn(dst []Label, s *Shape, m *Metric) []Label {
	refs := s.LabelRefs(m)
	for i := 0; i < len(refs); i += 2 {
		name := s.Symbol(refs[i])
		if _, ok := g.Lookup(name); !ok {
			dst = append(dst, Label{name, s.Symbol(refs[i+1])})
		}
	}
	return dst
}

// AppendSeries appends the labels that metric m of s is delivered with, sorted
// by name: as AppendView, without those whose value is empty (rule L-6).
func (g Labels) AppendSeries(dst []Label, s *Shape, m *Metric) []Label {
	at := len(dst)
	dst = g.AppendView(dst, s, m)
	kept := slices.DeleteFunc(dst[at:], func(l Label) bool { return l.Value == "" })
	return dst[:at+len(kept)]
}

// DTO returns m as protobuf, with the labels of a view. Nothing of it is
// shared with m.
func (m Member) DTO(grouping Labels) *dto.MetricFamily {
	f, s := m.Of(), m.Part.Shape
	mf := &dto.MetricFamily{Name: &f.Name, Type: f.Type.DTO().Enum()}
	if f.HasHelp {
		mf.Help = &f.Help
	}
	if f.Unit != "" {
		mf.Unit = &f.Unit
	}
	metrics := m.Metrics()
	mf.Metric = make([]*dto.Metric, len(metrics))
	var labels []Label
	for i := range metrics {
		labels = grouping.AppendView(labels[:0], s, &metrics[i])
		mf.Metric[i] = m.Part.metricDTO(f, uint32(f.First()+i), labelsDTO(labels))
	}
	return mf
}

// MetricDTO returns the metric with number i among those of m as protobuf, with these
// labels. Nothing of it is shared with m.
func (m Member) MetricDTO(i int, labels []Label) *dto.Metric {
	return m.Part.metricDTO(m.Of(), uint32(m.Of().First()+i), labelsDTO(labels))
}

func labelsDTO(labels []Label) []*dto.LabelPair {
	if len(labels) == 0 {
		return nil
	}
	pairs, names := make([]dto.LabelPair, len(labels)), make([]Label, len(labels))
	copy(names, labels)
	out := make([]*dto.LabelPair, len(labels))
	for i := range names {
		pairs[i].Name, pairs[i].Value = &names[i].Name, &names[i].Value
		out[i] = &pairs[i]
	}
	return out
}

var typesToDTO = [...]dto.MetricType{
	Untyped: dto.MetricType_UNTYPED, Counter: dto.MetricType_COUNTER, Gauge: dto.MetricType_GAUGE,
	Summary: dto.MetricType_SUMMARY, Histogram: dto.MetricType_HISTOGRAM, GaugeHistogram: dto.MetricType_GAUGE_HISTOGRAM,
}

// DTO returns the type as protobuf has it.
func (t Type) DTO() dto.MetricType { return typesToDTO[t] }

func (p *Part) metricDTO(f *Family, number uint32, labels []*dto.LabelPair) *dto.Metric {
	m := &p.Shape.metrics[number]
	v := p.ValuesOf(m)
	d := &dto.Metric{Label: labels}
	switch f.Type {
	case Counter:
		d.Counter = &dto.Counter{Value: floatPtr(v[0]), CreatedTimestamp: p.createdDTO(number)}
		for _, e := range p.ExemplarsOf(number) {
			d.Counter.Exemplar = e.dto()
		}
	case Gauge:
		d.Gauge = &dto.Gauge{Value: floatPtr(v[0])}
	case Untyped:
		d.Untyped = &dto.Untyped{Value: floatPtr(v[0])}
	case Summary:
		d.Summary = p.summaryDTO(number)
	case Histogram, GaugeHistogram:
		d.Histogram = p.histogramDTO(number)
	}
	if p.Times != nil && p.Times[number] != NoTime {
		d.TimestampMs = &p.Times[number]
	}
	return d
}

func (p *Part) summaryDTO(number uint32) *dto.Summary {
	m := &p.Shape.metrics[number]
	v := p.ValuesOf(m)
	s := &dto.Summary{SampleSum: floatPtr(v[0]), SampleCount: &v[1], CreatedTimestamp: p.createdDTO(number)}
	for i, q := range p.Shape.Bounds(m) {
		s.Quantile = append(s.Quantile, &dto.Quantile{Quantile: &q, Value: floatPtr(v[2+i])})
	}
	return s
}

func (p *Part) histogramDTO(number uint32) *dto.Histogram {
	m := &p.Shape.metrics[number]
	v := p.ValuesOf(m)
	h := &dto.Histogram{SampleSum: floatPtr(v[0]), CreatedTimestamp: p.createdDTO(number)}
	h.SampleCount, h.SampleCountFloat = countDTO(m.Form, v[1])
	for i, le := range p.Shape.Bounds(m) {
		b := &dto.Bucket{UpperBound: &le}
		b.CumulativeCount, b.CumulativeCountFloat = countDTO(m.Form, v[2+i])
		h.Bucket = append(h.Bucket, b)
	}
	if n := p.NativeOf(m); n != nil {
		n.addTo(h)
	}
	for _, e := range p.ExemplarsOf(number) {
		if e.Slot == SlotNative {
			h.Exemplars = append(h.Exemplars, e.dto())
		} else if e.Slot >= 0 && int(e.Slot) < len(h.Bucket) {
			h.Bucket[e.Slot].Exemplar = e.dto()
		}
	}
	return h
}

func (n *Native) addTo(h *dto.Histogram) {
	h.Schema, h.ZeroThreshold = &n.Schema, &n.ZeroThreshold
	form := FormHistogram
	if n.Float {
		form = FormFloatHistogram
	}
	h.ZeroCount, h.ZeroCountFloat = countDTO(form, n.ZeroCount)
	h.PositiveSpan, h.NegativeSpan = spansDTO(n.Positive), spansDTO(n.Negative)
	h.PositiveDelta, h.NegativeDelta = slices.Clone(n.PositiveDelta), slices.Clone(n.NegativeDelta)
	h.PositiveCount, h.NegativeCount = slices.Clone(n.PositiveCount), slices.Clone(n.NegativeCount)
}

func spansDTO(spans []Span) []*dto.BucketSpan {
	var out []*dto.BucketSpan
	for _, s := range spans {
		out = append(out, &dto.BucketSpan{Offset: &s.Offset, Length: &s.Length})
	}
	return out
}

// countDTO returns a count as the integer or the float field of a message.
func countDTO(form Form, slot uint64) (*uint64, *float64) {
	if form == FormFloatHistogram {
		return nil, floatPtr(slot)
	}
	return &slot, nil
}

func floatPtr(bits uint64) *float64 {
	v := math.Float64frombits(bits)
	return &v
}

func (p *Part) createdDTO(number uint32) *timestamppb.Timestamp {
	c, ok := p.CreatedOf(number)
	if !ok {
		return nil
	}
	return &timestamppb.Timestamp{Seconds: c.Seconds, Nanos: c.Nanos}
}

// CreatedOf returns the created timestamp of a metric, by its number in the
// shape.
func (p *Part) CreatedOf(number uint32) (Created, bool) {
	i, ok := slices.BinarySearchFunc(p.Created, number, func(c Created, n uint32) int { return cmp.Compare(c.Metric, n) })
	if !ok {
		return Created{}, false
	}
	return p.Created[i], true
}

// ExemplarsOf returns the exemplars of a metric, by its number in the shape.
func (p *Part) ExemplarsOf(number uint32) []Exemplar {
	i, _ := slices.BinarySearchFunc(p.Exemplars, number, func(e Exemplar, n uint32) int { return cmp.Compare(e.Metric, n) })
	j := i
	for j < len(p.Exemplars) && p.Exemplars[j].Metric == number {
		j++
	}
	return p.Exemplars[i:j]
}

func (e *Exemplar) dto() *dto.Exemplar {
	x := &dto.Exemplar{Label: labelsDTO(e.Labels), Value: &e.Value}
	if e.HasTime {
		x.Timestamp = &timestamppb.Timestamp{Seconds: e.Seconds, Nanos: e.Nanos}
	}
	return x
}
