package remotewrite

import (
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/pushbridge/pushbridge/convert"
)

// template is a request of remote write 2.0 that is sent again and again with other values.
// A large push has the same series each time, and so its requests have the same symbols and
// references: what differs is the value and the time of each sample, and their sizes are nearly always
// the same.
type template struct {
	request []byte
	series  []templateSeries
	bytes   int64
	used    int // since the last sweep
}

// templateSeries is one series of a template. What a face knows of its labels stands for
// all of it but for its sample.
type templateSeries struct {
	known *convert.Known
	at    uint32 // where the fields of the sample begin
}

// templates are those of one encoder. They share the room of the faces. Requests with several
// records have none: it is by chance that the same ones meet again.
type templates struct {
	room  *faceRoom
	known map[uint64]*template // by the hash of the first labels
	met   map[uint64]int       // the same, seen once: how many series; or changing
	next  int                  // requests until the next sweep
}

const (
	templateSeriesMin = 100 // smaller ones are written quickly
	templatesMet      = 256 // entries of met
	templatesSweep    = 16  // requests for each template between two sweeps

	// changing stands in met for series that are not worth a template: their samples take another
	// place nearly each time, such as those that are 0 now and then.
	changing = -1
)

func newTemplates(room *faceRoom) *templates {
	return &templates{room: room, known: map[uint64]*template{}, met: map[uint64]int{}}
}

// find returns the template of series. Where there is none, learn says that one is to be
// made: the second time that they come. A nil t has none and learns none.
func (t *templates) find(series []convert.Series) (found *template, learn bool) {
	if t == nil {
		return nil, false
	}
	if t.next--; t.next < 0 {
		t.sweep()
	}
	n := len(series)
	if n < templateSeriesMin || series[0].Known == nil || series[0].Record != series[n-1].Record {
		return nil, false
	}
	first := series[0].Known.Hash
	if x := t.known[first]; x != nil && len(x.series) == n {
		return x, false
	}
	switch t.met[first] {
	case changing:
		return nil, false
	case n:
		return nil, true
	}
	if len(t.met) == templatesMet {
		clear(t.met)
	}
	t.met[first] = n
	return nil, false
}

// failed says that series are not what their template has, and whether to learn it anew.
func (t *templates) failed(x *template, series []convert.Series) (learn bool) {
	first := series[0].Known.Hash
	if learn = x.used > 1; !learn {
		t.met[first] = changing
	}
	t.drop(first)
	return learn
}

// learn keeps request, which holds series and whose samples are where at says, if there is room.
func (t *templates) learn(request []byte, series []convert.Series, at []uint32) {
	first := series[0].Known.Hash
	t.drop(first)
	for i := range series {
		if !templated(&series[i]) {
			t.met[first] = changing
			return
		}
	}
	x := &template{bytes: int64(len(request)) + int64(len(series))*int64(unsafe.Sizeof(templateSeries{}))}
	if !t.room.take(x.bytes) {
		return
	}
	x.request = append(make([]byte, 0, len(request)), request...)
	x.series = make([]templateSeries, len(series))
	for i := range series {
		x.series[i] = templateSeries{series[i].Known, at[i]}
	}
	t.known[first] = x
	delete(t.met, first)
}

func (t *templates) drop(first uint64) {
	if x := t.known[first]; x != nil {
		t.room.held.Add(-x.bytes)
		delete(t.known, first)
	}
}

// sweep forgets the templates that were not used since the last one.
func (t *templates) sweep() {
	for first, x := range t.known {
		if x.used == 0 {
			t.drop(first)
		}
		x.used = 0
	}
	t.next = templatesSweep * (len(t.known) + 1)
}

// templated says whether nothing of s but a value and a time is left to be written when
// its face is known.
func templated(s *convert.Series) bool {
	return s.Known != nil && s.Start == 0 && s.Time > 0 && !s.Stale && !native(s) && len(s.Exemplars) == 0
}

// append appends the request that holds series. It returns false, and dst as it was, when
// they are not those of x, or a value or a time does not take the same place.
func (x *template) append(dst []byte, series []convert.Series) ([]byte, bool) {
	from := len(dst)
	out := append(dst, x.request...)
	for i := range x.series {
		s, t := &series[i], &x.series[i]
		if s.Known != t.known || !templated(s) || !putSample(out[from+int(t.at):], s) {
			return dst, false
		}
	}
	x.used++
	return out, true
}

// tagValue begins a sample whose value is not 0.
const tagValue = 1<<3 | wireFixed

// putSample replaces the fields of a sample, which are what appendSample writes, by those of s.
// It returns false when they do not take the same place.
func putSample(b []byte, s *convert.Series) bool {
	value := math.Float64bits(s.Value)
	if has := b[0] == tagValue; has != (value != 0) {
		return false
	}
	if value != 0 {
		binary.LittleEndian.PutUint64(b[1:], value)
		b = b[9:]
	}
	// A time is the last field: where it ends is where its varint does.
	n := 1
	for b[n] >= 0x80 {
		n++
	}
	if sizeVarint(uint64(s.Time)) != n {
		return false
	}
	binary.PutUvarint(b[1:], uint64(s.Time))
	return true
}
