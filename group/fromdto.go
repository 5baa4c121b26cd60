package group

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
)

// BuildOptions say what FromDTO accepts.
type BuildOptions struct {
	AcceptTimestamps bool // keep explicit timestamps instead of refusing the push

	// Explicit timestamps before Oldest or after Newest are refused. In ms since
	// the epoch, 0 for no bound.
	Oldest, Newest int64

	MaxLabels     int // of one metric; 0 for as many as a Part can hold
	MaxLabelName  int // bytes; 0 for no limit
	MaxLabelValue int // bytes; 0 for no limit
}

// MaxAhead is how far ahead of the clock the time of a sample may be, when it is pushed
// and when it is sent. Receivers draw the line there or not at all: Thanos with default
// flags takes any, and then refuses every live sample of the tenant (rule S-4).
const MaxAhead = 10 * time.Minute

// Names of the group's own families.
const (
	PushTimeName = "push_time_seconds"
	FailTimeName = "push_failure_time_seconds"
	OverdueName  = "pushbridge_group_overdue" // of groups that are expected to be pushed
)

// Their help texts. The first two are Pushgateway's to the letter: dashboards and
// tools compare whole views.
const (
	PushTimeHelp = "Last Unix time when changing this group in the Pushgateway succeeded."
	FailTimeHelp = "Last Unix time when changing this group in the Pushgateway failed."
	OverdueHelp  = "Whether the group was not pushed to for longer than the configuration expects."
)

var builders = sync.Pool{New: func() any { return NewBuilder() }}

// FromDTO turns metric families into a Part and keeps their order. It refuses,
// with an *InvalidError, what would make a view or a receiver choke; duplicate
// series it leaves to the check of the change, which knows the grouping labels. A family
// named push_time_seconds is left out: the group's own always wins. Of families
// with the same name the last one counts.
func FromDTO(mfs []*dto.MetricFamily, o BuildOptions) (*Part, error) {
	b := builders.Get().(*Builder)
	defer builders.Put(b)
	d := dtoReader{b: b, o: o}
	for _, mf := range lastOfEach(mfs) {
		if err := d.family(mf); err != nil {
			b.reset()
			return nil, err
		}
	}
	return b.Part(), nil
}

func lastOfEach(mfs []*dto.MetricFamily) []*dto.MetricFamily {
	last := make(map[string]int, len(mfs))
	for i, mf := range mfs {
		last[mf.GetName()] = i
	}
	if len(last) == len(mfs) {
		return mfs
	}
	kept := make([]*dto.MetricFamily, 0, len(last))
	for i, mf := range mfs {
		if last[mf.GetName()] == i {
			kept = append(kept, mf)
		}
	}
	return kept
}

// dtoReader reads families into a Builder, with scratch space.
type dtoReader struct {
	b      *Builder
	o      BuildOptions
	name   string
	typ    Type
	labels []Label
	sorted []Label
	bounds []float64
	values []uint64
}

func (d *dtoReader) family(mf *dto.MetricFamily) error {
	d.name = mf.GetName()
	if d.name == PushTimeName {
		return d.leftOut(mf)
	}
	typ, ok := TypeOf(mf.GetType())
	switch {
	case d.name == "":
		return d.invalid(errors.New("a metric family has no name"))
	case !utf8.ValidString(d.name):
		return d.invalid(errors.New("the name is not valid UTF-8"))
	case isOwn(d.name):
		return d.invalid(errors.New("the name is the gateway's own"))
	case !ok:
		return d.invalid(fmt.Errorf("unknown metric type %d", mf.GetType()))
	}
	if d.name == FailTimeName {
		if len(mf.Metric) == 0 {
			return d.invalid(errors.New("the metric family has no metrics"))
		}
		if typ == Untyped {
			typ = Gauge // as the other groups' own; text without a TYPE line comes so
		}
	}
	d.typ = typ
	d.b.Family(d.name, typ)
	if mf.Help != nil {
		d.b.Help(strings.ToValidUTF8(mf.GetHelp(), "\uFFFD"))
	}
	if u := mf.GetUnit(); u != "" {
		d.b.Unit(strings.ToValidUTF8(u, "\uFFFD"))
	}
	for _, m := range mf.Metric {
		if err := d.metric(mf.GetType(), m); err != nil {
			return err
		}
	}
	return nil
}

// leftOut looks at a family that is not stored: a timestamp is refused there too.
func (d *dtoReader) leftOut(mf *dto.MetricFamily) error {
	for _, m := range mf.Metric {
		if m != nil && m.TimestampMs != nil && !d.o.AcceptTimestamps {
			return d.invalid(ErrTimestamp)
		}
	}
	return nil
}

// TypeOf returns the type that protobuf has as t, and Untyped for one that there is not.
func TypeOf(t dto.MetricType) (typ Type, ok bool) {
	switch t {
	case dto.MetricType_COUNTER:
		return Counter, true
	case dto.MetricType_GAUGE:
		return Gauge, true
	case dto.MetricType_UNTYPED:
		return Untyped, true
	case dto.MetricType_SUMMARY:
		return Summary, true
	case dto.MetricType_HISTOGRAM:
		return Histogram, true
	case dto.MetricType_GAUGE_HISTOGRAM:
		return GaugeHistogram, true
	}
	return Untyped, false
}

func (d *dtoReader) metric(t dto.MetricType, m *dto.Metric) error {
	if m == nil {
		m = &dto.Metric{}
	}
	d.labels = d.labels[:0]
	for _, l := range m.Label {
		d.labels = append(d.labels, Label{l.GetName(), l.GetValue()})
	}
	if err := d.checkLabels(); err != nil {
		return d.invalidMetric(err)
	}
	if err := d.checkTime(m); err != nil {
		return d.invalidMetric(err)
	}
	if err := d.value(t, m); err != nil {
		return err
	}
	if m.TimestampMs != nil {
		d.b.Time(m.GetTimestampMs())
	}
	return nil
}

func (d *dtoReader) checkTime(m *dto.Metric) error {
	switch t := m.GetTimestampMs(); {
	case m.TimestampMs == nil:
	case !d.o.AcceptTimestamps:
		return ErrTimestamp
	case d.o.Oldest != 0 && t < d.o.Oldest:
		return fmt.Errorf("%w this old: %s is before %s", ErrTimestamp, printTime(t), printTime(d.o.Oldest))
	case d.o.Newest != 0 && t > d.o.Newest:
		return fmt.Errorf("%w this far ahead: %s is after %s", ErrTimestamp, printTime(t), printTime(d.o.Newest))
	}
	return nil
}

func printTime(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

func (d *dtoReader) value(t dto.MetricType, m *dto.Metric) error {
	switch {
	case t == dto.MetricType_COUNTER && m.Counter != nil:
		return d.counter(m.Counter)
	case t == dto.MetricType_GAUGE && m.Gauge != nil:
		d.single(m.Gauge.GetValue())
	case t == dto.MetricType_UNTYPED && m.Untyped != nil:
		d.single(m.Untyped.GetValue())
	case t == dto.MetricType_SUMMARY && m.Summary != nil:
		d.summary(m.Summary)
	case (t == dto.MetricType_HISTOGRAM || t == dto.MetricType_GAUGE_HISTOGRAM) && m.Histogram != nil:
		return d.histogram(m.Histogram)
	default:
		return d.invalidMetric(fmt.Errorf("the metric is not a %s", strings.ToLower(t.String())))
	}
	return nil
}

func (d *dtoReader) single(v float64) {
	d.b.Metric(FormSingle, d.labels, nil, math.Float64bits(v))
}

func (d *dtoReader) counter(c *dto.Counter) error {
	d.single(c.GetValue())
	if c.Exemplar != nil {
		if err := d.exemplar(SlotMetric, c.Exemplar); err != nil {
			return err
		}
	}
	if ct := c.CreatedTimestamp; ct != nil {
		d.b.Created(ct.GetSeconds(), ct.GetNanos())
	}
	return nil
}

func (d *dtoReader) summary(s *dto.Summary) {
	d.bounds, d.values = d.bounds[:0], append(d.values[:0], math.Float64bits(s.GetSampleSum()), s.GetSampleCount())
	for _, q := range s.Quantile {
		d.bounds = append(d.bounds, q.GetQuantile())
		d.values = append(d.values, math.Float64bits(q.GetValue()))
	}
	d.b.Metric(FormSummary, d.labels, d.bounds, d.values...)
	if ct := s.CreatedTimestamp; ct != nil {
		d.b.Created(ct.GetSeconds(), ct.GetNanos())
	}
}

func (d *dtoReader) exemplar(slot int32, x *dto.Exemplar) error {
	e := Exemplar{Slot: slot, Value: x.GetValue()}
	for _, l := range x.Label {
		if !utf8.ValidString(l.GetName()) || !utf8.ValidString(l.GetValue()) {
			return d.invalidMetric(errors.New("an exemplar has a label that is not valid UTF-8"))
		}
		e.Labels = append(e.Labels, Label{l.GetName(), l.GetValue()})
	}
	if ts := x.Timestamp; ts != nil {
		e.HasTime, e.Seconds, e.Nanos = true, ts.GetSeconds(), ts.GetNanos()
	}
	d.b.Exemplar(e)
	return nil
}

// checkLabels refuses what the view's consistency check refuses, and an own le
// label of a histogram: its buckets could not be told apart.
func (d *dtoReader) checkLabels() error {
	most := maxLabels
	if d.o.MaxLabels > 0 {
		most = min(most, d.o.MaxLabels)
	}
	if n := len(d.labels); n > most {
		d.labels = nil // not into the message
		return fmt.Errorf("%w: a metric has %d labels, at most %d are allowed", ErrLimit, n, most)
	}
	for _, l := range d.labels {
		switch {
		case !utf8.ValidString(l.Name) || l.Name == "" || strings.HasPrefix(l.Name, "__"):
			return fmt.Errorf("invalid label name %q", Brief(l.Name))
		case !utf8.ValidString(l.Value):
			return fmt.Errorf("the value of label %q is not valid UTF-8", Brief(l.Name))
		case d.o.MaxLabelName > 0 && len(l.Name) > d.o.MaxLabelName:
			return fmt.Errorf("%w: a label name has %d bytes, at most %d are allowed", ErrLimit, len(l.Name), d.o.MaxLabelName)
		case d.o.MaxLabelValue > 0 && len(l.Value) > d.o.MaxLabelValue:
			return fmt.Errorf("%w: the value of label %q has %d bytes, at most %d are allowed", ErrLimit, Brief(l.Name), len(l.Value), d.o.MaxLabelValue)
		case l.Name == d.typ.ReservedLabel():
			return fmt.Errorf("a %s must not have an explicit %q label", d.typ, Brief(l.Name))
		}
	}
	return d.checkTwice()
}

func (d *dtoReader) checkTwice() error {
	d.sorted = append(d.sorted[:0], d.labels...)
	sortLabels(d.sorted)
	for i := 1; i < len(d.sorted); i++ {
		if d.sorted[i].Name == d.sorted[i-1].Name {
			return fmt.Errorf("label %q occurs twice", Brief(d.sorted[i].Name))
		}
	}
	return nil
}

func sortLabels(l []Label) {
	slices.SortFunc(l, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
}

func (d *dtoReader) invalid(err error) error { return &InvalidError{Family: d.name, Err: err} }

func (d *dtoReader) invalidMetric(err error) error {
	return &InvalidError{Family: d.name, Metric: BriefMetric(d.name, d.labels), Err: err}
}
