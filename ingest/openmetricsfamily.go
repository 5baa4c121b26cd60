package ingest

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// omFamily is a family of OpenMetrics: its samples have suffixes by its type.
type omFamily struct {
	name, help, unit string
	kind             model.MetricType
	samples          []omSample
}

type omSample struct {
	name     string
	labels   labels.Labels // without the name
	value    float64
	time     *int64 // ms
	exemplar *exemplar.Exemplar
}

const createdSuffix = "_created"

// omSuffixes are those of a type's samples.
func omSuffixes(kind model.MetricType) []string {
	switch kind {
	case model.MetricTypeCounter:
		return []string{"_total", createdSuffix}
	case model.MetricTypeGauge, model.MetricTypeUnknown, model.MetricTypeStateset:
		return []string{""}
	case model.MetricTypeInfo:
		return []string{"_info"}
	case model.MetricTypeSummary:
		return []string{"", "_sum", "_count", createdSuffix}
	case model.MetricTypeHistogram:
		return []string{"_bucket", "_sum", "_count", createdSuffix}
	case model.MetricTypeGaugeHistogram:
		return []string{"_bucket", "_gsum", "_gcount"}
	}
	return nil
}

// has reports whether a sample of that name may be one of f's.
func (f *omFamily) has(sample string) bool {
	suffix, ok := strings.CutPrefix(sample, f.name)
	return ok && slices.Contains(omSuffixes(f.kind), suffix)
}

// build makes what the text format has in the place of f. A histogram or summary that
// lacks a part, or whose counts are no counts, is a set of plain series, as in a scrape.
func (f *omFamily) build() []*dto.MetricFamily {
	switch f.kind {
	case model.MetricTypeHistogram, model.MetricTypeSummary:
		if mf := f.composed(); mf != nil {
			return []*dto.MetricFamily{mf}
		}
	case model.MetricTypeCounter:
		return f.counter()
	case model.MetricTypeGauge, model.MetricTypeInfo, model.MetricTypeStateset:
		return f.plain(dto.MetricType_GAUGE)
	case model.MetricTypeGaugeHistogram, model.MetricTypeUnknown:
	}
	return f.plain(dto.MetricType_UNTYPED)
}

// plain makes each sample a series of the family with its name.
func (f *omFamily) plain(t dto.MetricType) (out []*dto.MetricFamily) {
	at := map[string]*dto.MetricFamily{}
	for i := range f.samples {
		s := &f.samples[i]
		mf := at[s.name]
		if mf == nil {
			mf = f.header(s.name, t)
			at[s.name] = mf
			out = append(out, mf)
		}
		m := s.metric("")
		if t == dto.MetricType_GAUGE {
			m.Gauge = &dto.Gauge{Value: &s.value}
		} else {
			m.Untyped = &dto.Untyped{Value: &s.value}
		}
		mf.Metric = append(mf.Metric, m)
	}
	return out
}

func (f *omFamily) header(name string, t dto.MetricType) *dto.MetricFamily {
	mf := &dto.MetricFamily{Name: &name, Type: t.Enum()}
	if f.help != "" {
		mf.Help = &f.help
	}
	if f.unit != "" {
		mf.Unit = &f.unit
	}
	return mf
}

// metric is one of s, without a value and the label that is not the metric's own.
func (s *omSample) metric(without string) *dto.Metric {
	m := &dto.Metric{TimestampMs: s.time}
	s.labels.Range(func(l labels.Label) {
		if l.Name != without {
			m.Label = append(m.Label, &dto.LabelPair{Name: new(l.Name), Value: new(l.Value)})
		}
	})
	return m
}

// counter makes the family of the samples with _total; a time of creation without one is
// a series.
func (f *omFamily) counter() []*dto.MetricFamily {
	total := f.header(f.name+"_total", dto.MetricType_COUNTER)
	at := map[string]*dto.Counter{}
	var rest omFamily
	for _, s := range f.samples {
		if s.name != total.GetName() {
			rest.samples = append(rest.samples, s)
			continue
		}
		m := s.metric("")
		m.Counter = &dto.Counter{Value: new(s.value), Exemplar: s.dtoExemplar()}
		total.Metric, at[s.labels.String()] = append(total.Metric, m), m.Counter
	}
	rest.samples = slices.DeleteFunc(rest.samples, func(s omSample) bool {
		c := at[s.labels.String()]
		if s.name != f.name+createdSuffix {
			return false
		}
		if c != nil {
			c.CreatedTimestamp = created(s.value)
		}
		return c != nil
	})
	out := rest.plain(dto.MetricType_UNTYPED)
	if len(total.Metric) > 0 {
		out = append(out, total)
	}
	return out
}

func created(seconds float64) *timestamppb.Timestamp {
	whole, part := math.Modf(seconds)
	return &timestamppb.Timestamp{Seconds: int64(whole), Nanos: int32(part * 1e9)}
}

func (s *omSample) dtoExemplar() *dto.Exemplar {
	if s.exemplar == nil {
		return nil
	}
	x := &dto.Exemplar{Value: &s.exemplar.Value}
	s.exemplar.Labels.Range(func(l labels.Label) {
		x.Label = append(x.Label, &dto.LabelPair{Name: new(l.Name), Value: new(l.Value)})
	})
	if s.exemplar.HasTs {
		x.Timestamp = &timestamppb.Timestamp{Seconds: s.exemplar.Ts / 1000, Nanos: int32(s.exemplar.Ts % 1000 * 1e6)}
	}
	return x
}

// omParts are the samples of one histogram or summary.
type omParts struct {
	first      *omSample
	steps      []omStep // buckets or quantiles
	sum, count *float64
	created    *float64
}

type omStep struct {
	bound float64
	*omSample
}

// composed makes histograms or summaries of f's samples, nil when one is not whole.
func (f *omFamily) composed() *dto.MetricFamily {
	label, t := model.BucketLabel, dto.MetricType_HISTOGRAM
	if f.kind == model.MetricTypeSummary {
		label, t = model.QuantileLabel, dto.MetricType_SUMMARY
	}
	mf := f.header(f.name, t)
	for _, p := range f.parts(label) {
		m, ok := p.compose(label, t)
		if !ok {
			return nil
		}
		mf.Metric = append(mf.Metric, m)
	}
	if len(mf.Metric) == 0 {
		return nil
	}
	return mf
}

// parts gathers samples by the labels that they have but for the one named.
func (f *omFamily) parts(label string) (all []*omParts) {
	at := map[string]*omParts{}
	for i := range f.samples {
		s := &f.samples[i]
		key := s.labels.MatchLabels(false, label).String()
		p := at[key]
		if p == nil {
			p = &omParts{first: s}
			at[key] = p
			all = append(all, p)
		}
		switch strings.TrimPrefix(s.name, f.name) {
		case "_sum":
			p.sum = once(p.sum, &s.value)
		case "_count":
			p.count = once(p.count, &s.value)
		case createdSuffix:
			p.created = once(p.created, &s.value)
		default:
			p.steps = append(p.steps, omStep{p.bound(s, label), s})
		}
		if !sameTime(p.first.time, s.time) {
			p.count = &notOnce
		}
	}
	return all
}

// notOnce stands for a part that came twice, or at another time: it is no count.
var notOnce = -1.0

func once(before, value *float64) *float64 {
	if before != nil {
		return &notOnce
	}
	return value
}

// bound reads the label that makes a sample a bucket or quantile, NaN for none.
func (p *omParts) bound(s *omSample, label string) float64 {
	v, err := strconv.ParseFloat(s.labels.Get(label), 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

func sameTime(a, b *int64) bool { return a == b || a != nil && b != nil && *a == *b }

func isCount(v *float64) bool {
	return v != nil && *v >= 0 && *v == math.Trunc(*v) && *v < 1<<63
}

// compose makes one metric, if it is whole.
func (p *omParts) compose(label string, t dto.MetricType) (*dto.Metric, bool) {
	if p.sum == nil || p.sum == &notOnce || !isCount(p.count) || p.created == &notOnce {
		return nil, false
	}
	slices.SortStableFunc(p.steps, func(a, b omStep) int { return cmp.Compare(a.bound, b.bound) })
	for i, s := range p.steps {
		if math.IsNaN(s.bound) || i > 0 && s.bound == p.steps[i-1].bound {
			return nil, false
		}
	}
	m := p.first.metric(label)
	if t == dto.MetricType_SUMMARY {
		m.Summary = p.summary()
		return m, true
	}
	m.Histogram = p.histogram()
	return m, m.Histogram != nil
}

func (p *omParts) summary() *dto.Summary {
	s := &dto.Summary{SampleSum: p.sum, SampleCount: new(uint64(*p.count))}
	for _, q := range p.steps {
		s.Quantile = append(s.Quantile, &dto.Quantile{Quantile: new(q.bound), Value: new(q.value)})
	}
	if p.created != nil {
		s.CreatedTimestamp = created(*p.created)
	}
	return s
}

// histogram is nil without a bucket for all, as the text format would add one.
func (p *omParts) histogram() *dto.Histogram {
	h := &dto.Histogram{SampleSum: p.sum, SampleCount: new(uint64(*p.count))}
	for _, b := range p.steps {
		if !isCount(&b.value) {
			return nil
		}
		h.Bucket = append(h.Bucket, &dto.Bucket{
			UpperBound: new(b.bound), CumulativeCount: new(uint64(b.value)), Exemplar: b.dtoExemplar(),
		})
	}
	if n := len(p.steps); n == 0 || !math.IsInf(p.steps[n-1].bound, 1) {
		return nil
	}
	if p.created != nil {
		h.CreatedTimestamp = created(*p.created)
	}
	return h
}
