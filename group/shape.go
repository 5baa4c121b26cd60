package group

import (
	"math"
	"slices"
	"strings"
)

// Type is the type of a metric family. The values are written to disk.
type Type uint8

// The types of the exposition formats. Untyped is what the formats call
// untyped or unknown.
const (
	Untyped Type = iota
	Counter
	Gauge
	Summary
	Histogram
	GaugeHistogram
)

// Shape is the immutable description of one push without its values: families,
// and their metrics in exposition order. Label names, label values and bounds
// stand once each in tables that the metrics refer to, so that a metric costs
// some twenty bytes and holds no pointer. Build one with a Builder.
type Shape struct {
	families []Family
	metrics  []Metric
	text     string    // label names and values, each once, one behind the other
	ends     []uint32  // where each of them ends in text
	refs     []uint32  // pairs of symbol numbers: name, value
	bounds   []float64 // upper bounds and quantiles
	byName   []uint32  // numbers of families, sorted by family name
	values   int       // length of the value column
	samples  int       // components, see Component
	hash     uint64    // of everything above but byName, under the process's seed; see Shapes
}

// Family describes one metric family of a shape.
type Family struct {
	Name    string
	Help    string
	Unit    string
	Type    Type
	HasHelp bool // the push had a HELP, perhaps an empty one
	first   uint32
	count   uint32
	samples uint32 // components of its metrics
}

// Form says how the values of a metric are laid out in the value column.
type Form uint8

// The forms. Single: one value. Summary and histogram forms: sum, count, then
// one value per quantile or bucket. Sums and quantile values are float bits.
const (
	FormSingle         Form = iota
	FormSummary             // count is an integer
	FormHistogram           // count and cumulative bucket counts are integers
	FormFloatHistogram      // count and cumulative bucket counts are float bits
)

// Metric describes one metric (what the exposition formats call a metric, and
// dto.Metric holds) of a shape: its own labels and how its values are laid out.
type Metric struct {
	Form   Form
	Native bool // has an element in Part.Natives, and classic buckets only if it has bounds

	labelN          uint16 // the labels, from labelAt on in refs, counted in pairs
	labelAt         uint32
	boundAt, boundN uint32 // in bounds
	valueAt         uint32 // in the value column
	nativeAt        uint32 // in Part.Natives
}

// Families returns the families in exposition order. Read only.
func (s *Shape) Families() []Family { return s.families }

// Metrics returns the metrics of f, which must belong to s. Read only.
func (s *Shape) Metrics(f *Family) []Metric { return s.metrics[f.first : f.first+f.count] }

// Count returns how many metrics f has.
func (f *Family) Count() int { return int(f.count) }

// First returns the number of f's first metric among all metrics of the shape,
// as Exemplar.Metric, Created.Metric and Part.Unsent count them.
func (f *Family) First() int { return int(f.first) }

// All returns the metrics of all families: a metric's number is its place here. Read only.
func (s *Shape) All() []Metric { return s.metrics }

// FamilyOf returns the family of metric number n.
func (s *Shape) FamilyOf(n int) *Family {
	i, _ := slices.BinarySearchFunc(s.families, uint32(n), func(f Family, n uint32) int {
		if f.first+f.count <= n {
			return -1
		}
		if f.first > n {
			return 1
		}
		return 0
	})
	return &s.families[i]
}

// Has reports whether s has a family of that name.
func (s *Shape) Has(name string) bool {
	_, ok := s.Find(name)
	return ok
}

// Find returns the family of that name.
func (s *Shape) Find(name string) (*Family, bool) {
	i, ok := slices.BinarySearchFunc(s.byName, name, func(n uint32, name string) int { return strings.Compare(s.families[n].Name, name) })
	if !ok {
		return nil, false
	}
	return &s.families[s.byName[i]], true
}

// Symbols returns how many label names and values s has, each counted once.
func (s *Shape) Symbols() int { return len(s.ends) }

// Symbol returns the label name or value with that number.
func (s *Shape) Symbol(n uint32) string {
	start := uint32(0)
	if n > 0 {
		start = s.ends[n-1]
	}
	return s.text[start:s.ends[n]]
}

// AppendLabels appends m's own labels, in the order they were pushed, to dst.
// Empty values are included: m{x=""} and m are two series in the view.
func (s *Shape) AppendLabels(dst []Label, m *Metric) []Label {
	refs := s.LabelRefs(m)
	for i := 0; i < len(refs); i += 2 {
		dst = append(dst, Label{s.Symbol(refs[i]), s.Symbol(refs[i+1])})
	}
	return dst
}

// maxLabels is the largest number of labels that a metric can have.
const maxLabels = math.MaxUint16

// LabelRefs returns the numbers of m's label names and values, by turns. Read only.
func (s *Shape) LabelRefs(m *Metric) []uint32 {
	return s.refs[2*m.labelAt:][:2*int(m.labelN)]
}

// Bounds returns m's bucket upper bounds or quantiles as pushed. Read only.
func (s *Shape) Bounds(m *Metric) []float64 { return s.bounds[m.boundAt : m.boundAt+m.boundN] }

// Components returns the components that m expands to. A histogram has its
// classic ones unless it is native and lists no bucket.
func (s *Shape) Components(m *Metric) Component {
	switch m.Form {
	case FormSummary:
		if m.boundN == 0 {
			return ComponentSum | ComponentCount
		}
		return ComponentSum | ComponentCount | ComponentBounds
	case FormHistogram, FormFloatHistogram:
		return s.histogramComponents(m)
	case FormSingle:
	}
	return ComponentValue
}

func (s *Shape) histogramComponents(m *Metric) Component {
	if m.Native && m.boundN == 0 {
		return ComponentNative
	}
	what := ComponentSum | ComponentCount
	if m.Native {
		what |= ComponentNative
	}
	if m.boundN > 0 {
		what |= ComponentBounds
	}
	if !hasInf(s.Bounds(m)) {
		what |= ComponentInf
	}
	return what
}

func hasInf(bounds []float64) bool {
	// Nearly always the last one, if any.
	for _, b := range slices.Backward(bounds) {
		if math.IsInf(b, 1) {
			return true
		}
	}
	return false
}

// Samples returns how many samples the shape's metrics expand to before
// relabelling: one each for a plain value, quantile, bucket (the +Inf bucket
// included, also when the push lacks it), sum, count and native histogram.
func (s *Shape) Samples() int { return s.samples }

// Part is a shape with its values: one push, or what is left of it.
type Part struct {
	Shape     *Shape
	Values    []uint64   // the value column, see Form and Value
	Natives   []Native   // one per metric with Native set, in order
	Exemplars []Exemplar // sorted by Metric, then Slot
	Created   []Created  // sorted by Metric
	Times     []int64    // explicit timestamps in ms, one per metric, or nil; NoTime where absent
	Late      []Late     // metrics with a time that is not newer than their series, sorted by Metric
	Time      int64      // assigned timestamp in ms
	Pushed    int64      // when the client pushed it, in ns since the epoch
	Unsent    []uint32   // sorted numbers of metrics whose delivery identity another series owns

	pages  []*page // in place of Values, of a version of a group that shares most of them with others
	shared bool    // the shape was a group's before
}

// NoTime stands in Part.Times for a metric without an explicit timestamp.
const NoTime = math.MinInt64

// ValuesOf returns m's slots of the value column. Read only.
func (p *Part) ValuesOf(m *Metric) []uint64 {
	n := uint32(1)
	if m.Form != FormSingle {
		n = 2 + m.boundN
	}
	if p.pages != nil {
		return pageValues(p.pages, m.valueAt, n)
	}
	return p.Values[m.valueAt : m.valueAt+n]
}

// Members returns all families of p, sorted by name.
func (p *Part) Members() []Member {
	if p == nil || len(p.Shape.families) == 0 {
		return nil
	}
	members := make([]Member, len(p.Shape.byName))
	for i, f := range p.Shape.byName {
		members[i] = Member{Part: p, Family: f}
	}
	return members
}

// NativeOf returns m's native histogram, nil when it has none.
func (p *Part) NativeOf(m *Metric) *Native {
	if !m.Native {
		return nil
	}
	return &p.Natives[m.nativeAt]
}

// Count returns a count slot (sample count, cumulative bucket count) of a
// metric of form f as a float.
func (f Form) Count(slot uint64) float64 {
	if f == FormFloatHistogram {
		return math.Float64frombits(slot)
	}
	return float64(slot)
}

// Native is the native part of a histogram; sum and count stand in the value
// column. Exactly one of Deltas and Counts is used, by Float.
type Native struct {
	Float         bool
	Schema        int32
	ZeroThreshold float64
	ZeroCount     uint64 // an integer, or float bits with Float
	Positive      []Span
	Negative      []Span
	PositiveDelta []int64
	NegativeDelta []int64
	PositiveCount []float64
	NegativeCount []float64
}

// Span is a run of consecutive native buckets.
type Span struct {
	Offset int32
	Length uint32
}

// Exemplar is one exemplar of a metric.
type Exemplar struct {
	Metric  uint32 // number among all metrics of the shape
	Slot    int32  // bucket number, SlotMetric, or SlotNative
	Value   float64
	HasTime bool
	Seconds int64 // since the epoch, with Nanos; only with HasTime
	Nanos   int32
	Labels  []Label
}

// Slots of exemplars that do not belong to a classic bucket.
const (
	SlotMetric int32 = -1 // the counter itself
	SlotNative int32 = -2 // the native histogram's own list
)

// Created is the created timestamp of a metric.
type Created struct {
	Metric  uint32
	Seconds int64
	Nanos   int32
}

// String returns the type as the text format spells it; a gauge histogram is
// shown as a histogram there.
func (t Type) String() string {
	switch t {
	case Counter:
		return "counter"
	case Gauge:
		return "gauge"
	case Summary:
		return "summary"
	case Histogram, GaugeHistogram:
		return "histogram"
	case Untyped:
	}
	return "untyped"
}

// ReservedLabel is the label that tells a metric's components apart, which it
// must therefore not have itself.
func (t Type) ReservedLabel() string {
	switch t {
	case Summary:
		return "quantile"
	case Histogram, GaugeHistogram:
		return "le"
	case Untyped, Counter, Gauge:
	}
	return ""
}

// Bytes returns roughly how many bytes s occupies.
func (s *Shape) Bytes() int {
	n := 160 + 64*len(s.families) + 32*len(s.metrics) + 16*len(s.ends) + 4*len(s.refs) + 8*len(s.bounds) + len(s.text)
	for i := range s.families {
		f := &s.families[i]
		n += len(f.Name) + len(f.Help) + len(f.Unit)
	}
	return n
}

// size returns roughly how many bytes p occupies, its shape included unless a group had it
// before.
func (p *Part) size() int {
	n := 160
	if !p.shared {
		n += p.Shape.Bytes()
	}
	n += 8*len(p.Values) + 16*len(p.Created) + 8*len(p.Times) + 4*len(p.Unsent) + 16*len(p.Late)
	for i := range p.Natives {
		n += 160 + 8*(len(p.Natives[i].Positive)+len(p.Natives[i].PositiveDelta)+len(p.Natives[i].PositiveCount))
		n += 8 * (len(p.Natives[i].Negative) + len(p.Natives[i].NegativeDelta) + len(p.Natives[i].NegativeCount))
	}
	for i := range p.Exemplars {
		n += 64 + labelsSize(p.Exemplars[i].Labels)
	}
	return n
}
