package web

import (
	"bufio"
	"encoding/binary"
	"math"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/pushbridge/pushbridge/group"
)

// protobuf returns the function that writes one family as a message. The delimited
// format is written metric by metric; the textual ones, which only people ask for, have
// one family as a message at a time.
func (v *view) protobuf(w *bufio.Writer, format expfmt.Format) func(*family) error {
	if format.FormatType() == expfmt.TypeProtoDelim {
		return newProtoView(v, w, format.ToEscapingScheme(), protoBuffer).family
	}
	enc := expfmt.NewEncoder(w, format)
	return func(f *family) error { return enc.Encode(v.message(f)) }
}

// Numbers of the fields of a MetricFamily, a Metric, and what these are made of.
const (
	familyName, familyHelp, familyType, familyMetric, familyUnit = 1, 2, 3, 4, 5
	metricLabel, metricGauge, metricCounter, metricUntyped       = 1, 2, 3, 5
	pairName, pairValue                                          = 1, 2
	singleValue                                                  = 1
)

// protoBuffer is how much of a family is held back while its length, which stands before
// it, is not known. What is longer is written in two passes: the first only counts.
const protoBuffer = 1 << 20

// protoView writes families as delimited protobuf, whatever their size in the memory of
// one metric.
type protoView struct {
	v      *view
	w      *bufio.Writer
	scheme model.EscapingScheme
	most   int // of held
	labels []group.Label
	metric []byte // the metric at hand
	pair   []byte // scratch
	held   []byte // metrics not written yet
	length int    // of the metrics so far
	pass   pass
	err    error
}

func newProtoView(v *view, w *bufio.Writer, scheme model.EscapingScheme, most int) *protoView {
	return &protoView{v: v, w: w, scheme: scheme, most: most}
}

type pass uint8

const (
	holding  pass = iota // metrics are counted and held
	counting             // they are too long to be held
	writing              // the length is known
)

func (p *protoView) family(f *family) error {
	p.held, p.length, p.pass = p.held[:0], 0, holding
	p.metrics(f)
	p.header(f)
	if p.pass == holding {
		p.write(p.held)
	} else {
		p.pass = writing
		p.metrics(f)
	}
	if unit := f.unit(); unit != "" {
		p.write(appendText(nil, familyUnit, unit))
	}
	return p.err
}

// header writes the length of the message, and what comes before the metrics.
func (p *protoView) header(f *family) {
	b := appendText(nil, familyName, p.escaped(f.name))
	if help, ok := f.help(); ok {
		b = appendText(b, familyHelp, help)
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, familyType, protowire.VarintType), uint64(f.kind()))
	length := len(b) + p.length
	if unit := f.unit(); unit != "" {
		length += len(appendText(nil, familyUnit, unit))
	}
	p.write(binary.AppendUvarint(nil, uint64(length)))
	p.write(b)
}

func (p *protoView) write(b []byte) {
	if p.err == nil {
		_, p.err = p.w.Write(b)
	}
}

func appendText(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func (p *protoView) escaped(name string) string {
	if p.scheme == model.NoEscaping || model.LegacyValidation.IsValidMetricName(name) {
		return name
	}
	return model.EscapeName(name, p.scheme)
}

// metrics hands all metrics of f to take.
func (p *protoView) metrics(f *family) {
	if f.own != nil {
		for _, m := range f.own.Metric {
			p.message(m)
		}
	}
	p.v.eachSeries(f, p.member, func(g *group.Group, value float64) {
		p.labels = g.Labels.AppendView(p.labels[:0], nil, &group.Metric{})
		p.single(metricGauge, value)
	})
}

func (p *protoView) member(g *group.Group, m group.Member) {
	f, metrics := m.Of(), m.Metrics()
	for i := range metrics {
		if p.err != nil {
			return
		}
		p.labels = g.Labels.AppendView(p.labels[:0], m.Part.Shape, &metrics[i])
		switch f.Type {
		case group.Gauge:
			p.single(metricGauge, float(m.Part.ValuesOf(&metrics[i])[0]))
		case group.Untyped:
			p.single(metricUntyped, float(m.Part.ValuesOf(&metrics[i])[0]))
		case group.Counter, group.Summary, group.Histogram, group.GaugeHistogram:
			d := m.MetricDTO(i, p.labels)
			d.TimestampMs = nil // a scrape asks for what holds now
			p.message(d)
		}
	}
}

// single takes a metric of one value.
func (p *protoView) single(field protowire.Number, v float64) {
	b := p.metric[:0]
	for _, l := range p.labels {
		p.pair = appendText(appendText(p.pair[:0], pairName, p.escaped(l.Name)), pairValue, l.Value)
		b = protowire.AppendBytes(protowire.AppendTag(b, metricLabel, protowire.BytesType), p.pair)
	}
	p.pair = protowire.AppendFixed64(protowire.AppendTag(p.pair[:0], singleValue, protowire.Fixed64Type), math.Float64bits(v))
	p.metric = protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), p.pair)
	p.take()
}

// message takes a metric of any kind.
func (p *protoView) message(m *dto.Metric) {
	if p.scheme != model.NoEscaping {
		m = model.EscapeMetricFamily(&dto.MetricFamily{Metric: []*dto.Metric{m}}, p.scheme).Metric[0]
	}
	b, err := proto.MarshalOptions{}.MarshalAppend(p.metric[:0], m)
	if err != nil && p.err == nil {
		p.err = err
	}
	p.metric = b
	p.take()
}

// take counts the metric at hand, and holds or writes it.
func (p *protoView) take() {
	p.pair = protowire.AppendVarint(protowire.AppendTag(p.pair[:0], familyMetric, protowire.BytesType), uint64(len(p.metric)))
	if p.pass == writing {
		p.write(p.pair)
		p.write(p.metric)
		return
	}
	p.length += len(p.pair) + len(p.metric)
	if p.pass == holding {
		p.held = append(append(p.held, p.pair...), p.metric...)
		if len(p.held) > p.most {
			p.pass, p.held = counting, nil
		}
	}
}

// message builds f.
func (v *view) message(f *family) *dto.MetricFamily {
	mf := &dto.MetricFamily{Name: new(f.name), Type: f.kind().Enum()}
	if help, ok := f.help(); ok {
		mf.Help = new(help)
	}
	if f.own != nil {
		mf.Metric = append(mf.Metric, f.own.Metric...)
	}
	if unit := f.unit(); unit != "" {
		mf.Unit = new(unit)
	}
	v.eachSeries(f,
		func(g *group.Group, m group.Member) { mf.Metric = append(mf.Metric, untimed(m.DTO(g.Labels))...) },
		func(g *group.Group, value float64) { mf.Metric = append(mf.Metric, unpushedMetric(g, value)) })
	return mf
}

// untimed returns the metrics of a family without times of their own: a scrape
// asks for what holds now, and would refuse an old sample again and again.
func untimed(mf *dto.MetricFamily) []*dto.Metric {
	for _, m := range mf.Metric {
		m.TimestampMs = nil
	}
	return mf.Metric
}

// unpushedMetric builds what is said of g itself, with the labels that all its
// series have.
func unpushedMetric(g *group.Group, value float64) *dto.Metric {
	m := &dto.Metric{Gauge: &dto.Gauge{Value: new(value)}}
	instance := false
	add := func(name, value string) {
		m.Label = append(m.Label, &dto.LabelPair{Name: new(name), Value: new(value)})
	}
	for _, l := range g.Labels {
		if !instance && l.Name >= group.InstanceName {
			instance = true
			if l.Name != group.InstanceName {
				add(group.InstanceName, "")
			}
		}
		add(l.Name, l.Value)
	}
	if !instance {
		add(group.InstanceName, "")
	}
	return m
}
