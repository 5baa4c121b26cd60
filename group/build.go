package group

import (
	"math"
	"slices"
	"strings"

	"github.com/pushbridge/pushbridge/bigslice"
)

// Builder makes a Part, family by family and metric by metric. It may be used
// again after Part; its tables are then reused.
type Builder struct {
	part    Part
	shape   Shape
	symbols []string          // label names and values, each once
	numbers map[string]uint32 // symbol to its number
	times   bool              // a metric has an explicit timestamp
	unsent  []uint32          // while copying, see replacePart
	late    []Late            // as unsent
}

// NewBuilder returns an empty Builder.
func NewBuilder() *Builder { return &Builder{numbers: map[string]uint32{}} }

// Family begins a family. Its name must differ from those of the part's other
// families.
func (b *Builder) Family(name string, t Type) {
	b.shape.families = bigslice.Append(b.shape.families, Family{Name: name, Type: t, first: uint32(len(b.shape.metrics))})
}

// Help sets the help of the family that was begun last.
func (b *Builder) Help(help string) {
	f := &b.shape.families[len(b.shape.families)-1]
	f.Help, f.HasHelp = help, true
}

// Unit sets the unit of the family that was begun last.
func (b *Builder) Unit(unit string) { b.shape.families[len(b.shape.families)-1].Unit = unit }

// Metric adds a metric, of at most 65,535 labels, to the family that was begun
// last. values is what stands
// in the value column, as form lays it out. Bits of a float that mean a stale
// marker become the ordinary NaN (rule S-5): nobody can push a marker.
func (b *Builder) Metric(form Form, labels []Label, bounds []float64, values ...uint64) {
	m := Metric{Form: form, valueAt: uint32(len(b.part.Values))}
	m.labelAt, m.labelN = uint32(len(b.shape.refs)/2), uint16(len(labels))
	for _, l := range labels {
		b.shape.refs = bigslice.Append(b.shape.refs, b.symbol(l.Name))
		b.shape.refs = bigslice.Append(b.shape.refs, b.symbol(l.Value))
	}
	m.boundAt, m.boundN = b.boundsAt(bounds), uint32(len(bounds))
	b.part.Values = bigslice.AppendAll(b.part.Values, values)
	cleanFloats(form, b.part.Values[m.valueAt:])
	b.shape.metrics = bigslice.Append(b.shape.metrics, m)
	b.shape.families[len(b.shape.families)-1].count++
	if b.times {
		b.part.Times = bigslice.Append(b.part.Times, NoTime)
	}
}

// Native makes the last metric a native histogram.
func (b *Builder) Native(n Native) {
	m := b.last()
	m.Native, m.nativeAt = true, uint32(len(b.part.Natives))
	b.part.Natives = bigslice.Append(b.part.Natives, n)
}

// Exemplar adds e to the last metric. The slots of one metric are added in
// ascending order, SlotNative first.
func (b *Builder) Exemplar(e Exemplar) {
	e.Metric = uint32(len(b.shape.metrics) - 1)
	e.Value = math.Float64frombits(cleanFloat(math.Float64bits(e.Value)))
	b.part.Exemplars = bigslice.Append(b.part.Exemplars, e)
}

// Created sets the created timestamp of the last metric.
func (b *Builder) Created(seconds int64, nanos int32) {
	b.part.Created = bigslice.Append(b.part.Created,
		Created{Metric: uint32(len(b.shape.metrics) - 1), Seconds: seconds, Nanos: nanos})
}

// Time sets the explicit timestamp of the last metric.
func (b *Builder) Time(ms int64) {
	if !b.times {
		b.times = true
		b.part.Times = slices.Repeat([]int64{NoTime}, len(b.shape.metrics))
	}
	b.part.Times[len(b.part.Times)-1] = ms
}

// Part returns what was built, in memory of its own and of the right size.
func (b *Builder) Part() *Part {
	s := &Shape{
		families: bigslice.Clone(b.shape.families), metrics: bigslice.Clone(b.shape.metrics),
		refs: bigslice.Clone(b.shape.refs), bounds: bigslice.Clone(b.shape.bounds),
	}
	s.pack(b.symbols)
	s.finish()
	s.hash = s.computeHash()
	p := &Part{
		Shape: s, Values: bigslice.Clone(b.part.Values), Natives: bigslice.Clone(b.part.Natives),
		Exemplars: bigslice.Clone(b.part.Exemplars), Created: bigslice.Clone(b.part.Created), Times: b.part.Times,
	}
	b.reset()
	return p
}

// maxKept bounds what a Builder keeps for its next part: clearing a map costs
// its capacity, so one huge push must not slow down every small one.
const maxKept = 4096

func (b *Builder) reset() {
	if len(b.numbers) > maxKept {
		b.numbers = map[string]uint32{}
	}
	clear(b.numbers)
	s := &b.shape
	clear(s.families)
	clear(b.symbols)
	b.symbols = b.symbols[:0]
	b.shape = Shape{families: s.families[:0], metrics: s.metrics[:0], refs: s.refs[:0], bounds: s.bounds[:0]}
	p := &b.part
	clear(p.Natives)
	clear(p.Exemplars)
	b.part = Part{Values: p.Values[:0], Natives: p.Natives[:0], Exemplars: p.Exemplars[:0], Created: p.Created[:0]}
	b.times = false
}

func (b *Builder) last() *Metric { return &b.shape.metrics[len(b.shape.metrics)-1] }

func (b *Builder) symbol(s string) uint32 {
	n, ok := b.numbers[s]
	if !ok {
		n = uint32(len(b.symbols))
		b.numbers[s] = n
		b.symbols = bigslice.Append(b.symbols, s)
	}
	return n
}

// boundsAt returns where bounds stand in the table. Metrics of one family
// nearly always have the same, so only the metric before is looked at.
func (b *Builder) boundsAt(bounds []float64) uint32 {
	if len(bounds) == 0 {
		return 0
	}
	if n := len(b.shape.metrics); n > 0 {
		prev := &b.shape.metrics[n-1]
		if slices.EqualFunc(b.shape.Bounds(prev), bounds, sameBits) {
			return prev.boundAt
		}
	}
	at := uint32(len(b.shape.bounds))
	b.shape.bounds = bigslice.AppendAll(b.shape.bounds, bounds)
	return at
}

func sameBits(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }

// Bits of NaNs, rule S-5.
const (
	ordinaryNaN uint64 = 0x7ff8000000000001
	staleNaN    uint64 = 0x7ff0000000000002
)

func cleanFloat(bits uint64) uint64 {
	if bits == staleNaN {
		return ordinaryNaN
	}
	return bits
}

// cleanFloats cleans the slots of one metric that hold float bits.
func cleanFloats(form Form, slots []uint64) {
	for i, v := range slots {
		if v == staleNaN && form.FloatSlot(i) {
			slots[i] = ordinaryNaN
		}
	}
}

// FloatSlot reports whether slot i of a metric of form f holds float bits.
func (f Form) FloatSlot(i int) bool {
	switch f {
	case FormSingle, FormFloatHistogram:
		return true
	case FormSummary:
		return i != 1
	case FormHistogram:
	}
	return i == 0
}

// pack moves all strings of s into one piece of memory: a shape may live for
// months, and neither the request's buffers nor hundreds of small strings
// should live with it.
func (s *Shape) pack(symbols []string) {
	n := 0
	for i := range s.families {
		n += len(s.families[i].Name) + len(s.families[i].Help) + len(s.families[i].Unit)
	}
	for _, sym := range symbols {
		n += len(sym)
	}
	var b strings.Builder
	b.Grow(n)
	move := func(v string) string {
		at := b.Len()
		b.WriteString(v)
		return b.String()[at:]
	}
	for i := range s.families {
		f := &s.families[i]
		f.Name, f.Help, f.Unit = move(f.Name), move(f.Help), move(f.Unit)
	}
	start := b.Len()
	s.ends = make([]uint32, len(symbols))
	for i, sym := range symbols {
		b.WriteString(sym)
		s.ends[i] = uint32(b.Len() - start)
	}
	s.text = b.String()[start:]
}

// finish computes what follows from the shape's tables.
func (s *Shape) finish() {
	s.byName = make([]uint32, len(s.families))
	for i := range s.byName {
		s.byName[i] = uint32(i)
	}
	slices.SortFunc(s.byName, func(a, b uint32) int {
		return strings.Compare(s.families[a].Name, s.families[b].Name)
	})
	s.values, s.samples = 0, 0
	for i := range s.families {
		f := &s.families[i]
		f.samples = 0
		for i, metrics := 0, s.Metrics(f); i < len(metrics); i++ {
			s.values += metrics[i].slots()
			f.samples += uint32(s.samplesOf(&metrics[i]))
		}
		s.samples += int(f.samples)
	}
}

// slots returns the length of m's part of the value column.
func (m *Metric) slots() int {
	if m.Form == FormSingle {
		return 1
	}
	return 2 + int(m.boundN)
}

func (s *Shape) samplesOf(m *Metric) int {
	what := s.Components(m)
	n := countComponents(what)
	if what&ComponentBounds != 0 {
		n += int(m.boundN) - 1
	}
	return n
}
