package remotewrite

import (
	"encoding/binary"
	"slices"

	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

// encoder2 writes requests of remote write 2.0. It keeps its memory from one
// request to the next, the symbol table begins anew each time (rule M2-6).
// Not safe for concurrent use.
type encoder2 struct {
	symbols map[string]uint32
	table   []byte // the symbols field, as it goes out
	body    []byte // the timeseries field
	refs    []uint32
	at      []uint32 // where the fields of each sample begin in body, without what stands before

	templates *templates // nil for none

	// The symbols of the previous series that were known, and which number each has in the table;
	// 0 where it has none.
	known   *[]string
	numbers []uint32
	packed  []byte // references of the series at hand

	// The previous series. Neighbours in a push have the same label names and
	// mostly the same values, even the same memory: comparing finds that faster
	// than the map does.
	last     []group.Label
	lastRefs []uint32
	family   convert.FamilyInfo
	meta     metadata2
}

type metadata2 struct{ typ, help, unit uint64 }

// append appends a Request that holds series, one TimeSeries for each sample, in
// the order given (rules M2-1 to M2-5).
func (e *encoder2) append(dst []byte, series []convert.Series) []byte {
	x, learn := e.templates.find(series)
	if x != nil {
		if out, ok := x.append(dst, series); ok {
			return out
		}
		learn = e.templates.failed(x, series)
	}
	e.reset()
	for i := range series {
		e.add(&series[i])
	}
	from := len(dst)
	dst = append(dst, e.table...)
	dst = append(dst, e.body...)
	if learn {
		for i := range e.at {
			e.at[i] += uint32(len(e.table))
		}
		e.templates.learn(dst[from:], series, e.at)
	}
	return dst
}

func (e *encoder2) reset() {
	if e.symbols == nil {
		e.symbols = make(map[string]uint32, 256)
	}
	clear(e.symbols)
	clear(e.last)
	e.table, e.body, e.at = e.table[:0], e.body[:0], e.at[:0]
	e.last, e.lastRefs = e.last[:0], e.lastRefs[:0]
	e.known, e.numbers = nil, e.numbers[:0]
	e.symbols[""] = 0
	e.table = appendLen(e.table, 4, 0)
	e.family, e.meta = convert.FamilyInfo{}, metadata2{}
}

// ref returns the number of s in the symbol table.
func (e *encoder2) ref(s string) uint32 {
	if n, ok := e.symbols[s]; ok {
		return n
	}
	n := uint32(len(e.symbols))
	e.symbols[s] = n
	e.table = append(appendLen(e.table, 4, len(s)), s...)
	return n
}

func (e *encoder2) add(s *convert.Series) {
	if s.Known != nil && s.Known.Symbols != nil {
		e.knownLabels(s.Known)
	} else {
		e.labels(s.Labels)
	}
	e.describe(&s.Family)
	meta := sizeInt(1, e.meta.typ) + sizeInt(3, e.meta.help) + sizeInt(4, e.meta.unit)
	start := s.Start
	var x hist
	var head histHead
	n := sizeLen(1, len(e.packed)) + sizeLen(5, meta)
	if native(s) {
		x = histOf(s, start)
		head = x.head()
		n += sizeLen(3, x.size(&head))
	} else {
		n += sizeLen(2, sizeSample(s, start))
	}
	exemplars := e.exemplars(s.Exemplars)
	n += len(exemplars)

	e.body = appendLen(e.body, 5, n)
	e.body = append(appendLen(e.body, 1, len(e.packed)), e.packed...)
	if native(s) {
		e.body = append(e.body, exemplars...) // where the generated code has them
		e.body = x.append(e.body, 3)
	} else {
		e.at = append(e.at, uint32(len(e.body)+sampleHead))
		e.body = appendSample(e.body, 2, s, start)
		e.body = append(e.body, exemplars...)
	}
	e.body = appendLen(e.body, 5, meta)
	e.body = appendInt(e.body, 1, e.meta.typ)
	e.body = appendInt(e.body, 3, e.meta.help)
	e.body = appendInt(e.body, 4, e.meta.unit)
}

// knownLabels makes packed the references of the labels of k, as labels does.
func (e *encoder2) knownLabels(k *convert.Known) {
	if k.Symbols != e.known {
		e.turnTo(k.Symbols)
	}
	packed, numbers := e.packed[:0], e.numbers
	for _, place := range k.Wire {
		if numbers[place] == 0 { // an empty text has 0, and is asked for again
			numbers[place] = e.ref((*k.Symbols)[place])
		}
		packed = binary.AppendUvarint(packed, uint64(numbers[place]))
	}
	e.packed = packed
}

// turnTo makes numbers those of other symbols. Records of one shape have nearly all in common.
func (e *encoder2) turnTo(symbols *[]string) {
	same := 0
	if e.known != nil {
		same = min(len(*e.known), len(*symbols))
	}
	e.numbers = slices.Grow(e.numbers[:same], len(*symbols)-same)[:len(*symbols)]
	for i, text := range *symbols {
		if i >= same || text != (*e.known)[i] {
			e.numbers[i] = 0
		}
	}
	e.known = symbols
}

// labels makes packed the references of l: pairs in the order of l, which is
// that of the strings (rule M2-1).
func (e *encoder2) labels(l []group.Label) {
	for i := range l {
		if i == len(e.last) {
			e.last = append(e.last, group.Label{})
			e.lastRefs = append(e.lastRefs, 0, 0)
		}
		if e.last[i].Name != l[i].Name {
			e.lastRefs[2*i] = e.ref(l[i].Name)
		}
		if e.last[i].Value != l[i].Value {
			e.lastRefs[2*i+1] = e.ref(l[i].Value)
		}
		e.last[i] = l[i]
	}
	clear(e.last[len(l):])
	e.last, e.lastRefs = e.last[:len(l)], e.lastRefs[:2*len(l)]
	e.packed = e.packed[:0]
	for _, r := range e.lastRefs {
		e.packed = binary.AppendUvarint(e.packed, uint64(r))
	}
}

// describe makes meta the metadata of f, which goes with every series (rule
// M2-4). Of a stale marker type and unit are known, by which a receiver may tell series
// apart.
func (e *encoder2) describe(f *convert.FamilyInfo) {
	if *f == e.family {
		return
	}
	e.family = *f
	e.meta = metadata2{
		typ:  uint64(metadataType2(f.Type)),
		help: uint64(e.ref(f.Help)),
		unit: uint64(e.ref(f.Unit)),
	}
}

// exemplars returns the exemplars field. It is scratch, good until the next call.
func (e *encoder2) exemplars(exemplars []convert.Exemplar) []byte {
	if len(exemplars) == 0 {
		return nil
	}
	var out []byte
	for i := range exemplars {
		x := &exemplars[i]
		e.refs = e.refs[:0]
		for _, l := range x.Labels {
			e.refs = append(e.refs, e.ref(l.Name), e.ref(l.Value))
		}
		packed := sizeRefs(e.refs)
		n := sizeFloat(2, x.Value) + sizeInt(3, uint64(x.Time))
		if packed > 0 {
			n += sizeLen(1, packed)
		}
		out = appendLen(out, 4, n)
		out = appendRefs(out, 1, packed, e.refs)
		out = appendFloat(out, 2, x.Value)
		out = appendInt(out, 3, uint64(x.Time))
	}
	return out
}

func appendRefs(dst []byte, field, packed int, refs []uint32) []byte {
	if len(refs) == 0 {
		return dst
	}
	dst = appendLen(dst, field, packed)
	for _, r := range refs {
		dst = binary.AppendUvarint(dst, uint64(r))
	}
	return dst
}

func sizeRefs(refs []uint32) int {
	n := 0
	for _, r := range refs {
		n += sizeVarint(uint64(r))
	}
	return n
}

func metadataType2(t group.Type) writev2.Metadata_MetricType {
	switch t {
	case group.Counter:
		return writev2.Metadata_METRIC_TYPE_COUNTER
	case group.Gauge:
		return writev2.Metadata_METRIC_TYPE_GAUGE
	case group.Summary:
		return writev2.Metadata_METRIC_TYPE_SUMMARY
	case group.Histogram:
		return writev2.Metadata_METRIC_TYPE_HISTOGRAM
	case group.GaugeHistogram:
		return writev2.Metadata_METRIC_TYPE_GAUGEHISTOGRAM
	case group.Untyped:
	}
	return writev2.Metadata_METRIC_TYPE_UNSPECIFIED
}
