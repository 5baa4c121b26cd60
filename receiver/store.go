package receiver

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/prometheus/model/histogram"
)

// stats counts what a receiver has seen since it started.
type stats struct {
	Requests       int            `json:"requests"` // well-formed ones, stored or not
	ByProtocol     map[string]int `json:"requests_by_protocol"`
	Samples        int            `json:"samples"`       // of all kinds, repeats included
	Histograms     int            `json:"histograms"`    // native ones among them
	StaleMarkers   int            `json:"stale_markers"` // among them, too
	Exemplars      int            `json:"exemplars"`
	Metadata       int            `json:"metadata"`
	Repeats        int            `json:"repeats"`    // exact ones, which are allowed
	Violations     int            `json:"violations"` // of order or form
	Unverified     int            `json:"unverified"` // old samples whose first sending is no longer held
	Refused        int            `json:"refused"`    // requests answered 4xx on their own account
	Failed         int            `json:"failed"`     // requests answered as /control demanded
	DroppedAnswers int            `json:"dropped_answers"`
	Series         int            `json:"series"`
	Held           int            `json:"held_samples"`
}

// point is one sample as it is held.
type point struct {
	time, start int64
	value       float64
	ints        *histogram.Histogram
	floats      *histogram.FloatHistogram
	bits        uint64
	seq         uint64 // of arrival, over all series
}

// heldSeries is what is held of one series: its points by time.
type heldSeries struct {
	labels  []label
	points  []point
	newest  int64 // time of the newest sample ever seen
	evicted int64 // time of the newest sample no longer held
}

func (s *heldSeries) sample(p *point) sample {
	return sample{Labels: s.labels, Time: p.time, Start: p.start, Value: p.value, Int: p.ints, Float: p.floats}
}

// store holds what arrived, prints it, and checks its order: samples
// sent for the first time are strictly newer than those before of their series
// (promise P2). An exact repeat is allowed, yet not beside first-time samples.
type store struct {
	out    io.Writer // nil prints nothing
	strict bool      // prints violations among the samples
	times  bool
	limit  int // samples held at most, 0 for no bound

	mu     sync.Mutex // guards what follows, and keeps lines in order of arrival
	series map[string]*heldSeries
	queue  []*heldSeries // one element per point held, oldest arrival first
	seq    uint64
	stats  stats
}

func newStore(out io.Writer, strict, times bool, limit int) *store {
	return &store{
		out: out, strict: strict, times: times, limit: limit,
		series: map[string]*heldSeries{},
		stats:  stats{ByProtocol: map[string]int{"1.0": 0, "2.0": 0}},
	}
}

// Add stores and prints one message. The lines are written when it returns, so
// whoever waits for the answer finds them.
func (s *store) Add(m *message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.countMessage(m)
	var text strings.Builder
	first, repeats := 0, 0
	for i := range m.Samples {
		v, why := s.addLocked(&m.Samples[i])
		switch v {
		case verdictFirst:
			first++
		case verdictRepeat:
			repeats++
		case verdictViolation, verdictUnknown:
		}
		s.printLocked(&text, &m.Samples[i], v, why)
	}
	if first > 0 && repeats > 0 {
		s.violationLocked(&text, fmt.Sprintf("a request holds %d new samples and %d repeats", first, repeats))
	}
	for _, f := range m.Faults {
		s.violationLocked(&text, f)
	}
	s.evictLocked()
	if s.out == nil || text.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(s.out, text.String())
	return err
}

func (s *store) countMessage(m *message) {
	s.stats.ByProtocol[fmt.Sprintf("%d.0", m.Protocol)]++
	s.stats.Exemplars += m.Exemplars
	s.stats.Metadata += m.Metadata
}

// verdict says what the order check found about a sample.
type verdict int

const (
	verdictFirst     verdict = iota // first time, and newer than all before
	verdictRepeat                   // seen before, bit for bit
	verdictViolation                // first time, and not newer
	verdictUnknown                  // older than what is still held
)

func (s *store) addLocked(got *sample) (verdict, string) {
	s.countSample(got)
	series := s.seriesLocked(got.Labels)
	v, at, why := series.check(got)
	switch v {
	case verdictRepeat:
		s.stats.Repeats++
		return v, why
	case verdictUnknown:
		s.stats.Unverified++
		return v, why
	case verdictViolation:
		s.stats.Violations++
	case verdictFirst:
	}
	s.seq++
	series.points = slices.Insert(series.points, at, point{
		time: got.Time, start: got.Start, value: got.Value,
		ints: got.Int, floats: got.Float, bits: got.Bits(), seq: s.seq,
	})
	series.newest = max(series.newest, got.Time)
	s.queue = append(s.queue, series)
	return v, why
}

// check judges a sample, and says where among the points it belongs.
func (r *heldSeries) check(got *sample) (v verdict, at int, why string) {
	if got.Time > r.newest {
		return verdictFirst, len(r.points), ""
	}
	at, found := slices.BinarySearchFunc(r.points, got.Time, func(p point, t int64) int {
		return cmp.Compare(p.time, t)
	})
	bits := got.Bits()
	for ; at < len(r.points) && r.points[at].time == got.Time; at++ {
		if r.points[at].bits == bits {
			return verdictRepeat, at, ""
		}
	}
	switch {
	case got.Time <= r.evicted:
		return verdictUnknown, at, ""
	case found:
		return verdictViolation, at, "another value at the same time"
	}
	return verdictViolation, at, "not newer than " + printMillis(r.newest)
}

func (s *store) countSample(got *sample) {
	s.stats.Samples++
	if got.Native() {
		s.stats.Histograms++
	}
	if got.Stale() {
		s.stats.StaleMarkers++
	}
}

// seriesLocked finds a series, or makes it. The order of the labels is a matter
// of form, not of identity.
func (s *store) seriesLocked(labels []label) *heldSeries {
	key := seriesKey(labels)
	series, ok := s.series[key]
	if !ok {
		series = &heldSeries{labels: labels, newest: math.MinInt64, evicted: math.MinInt64}
		s.series[key] = series
	}
	return series
}

func seriesKey(labels []label) string {
	byName := func(a, b label) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(labels, byName) {
		labels = slices.SortedStableFunc(slices.Values(labels), byName)
	}
	var b strings.Builder
	for _, l := range labels { // the separator does not occur in valid UTF-8
		b.WriteString(l.Name + "\xff" + l.Value + "\xff")
	}
	return b.String()
}

// evictLocked drops the oldest samples beyond the limit. The series stays, with
// what the order check needs.
func (s *store) evictLocked() {
	for s.limit > 0 && len(s.queue) > s.limit {
		series := s.queue[0]
		s.queue = s.queue[1:]
		series.evicted = max(series.evicted, series.points[0].time)
		series.points = series.points[1:]
	}
}

func (s *store) printLocked(text *strings.Builder, got *sample, v verdict, why string) {
	if s.out == nil {
		return
	}
	text.WriteString(got.line(s.times))
	switch v {
	case verdictFirst, verdictUnknown:
	case verdictRepeat:
		text.WriteString(" # repeat")
	case verdictViolation:
		if s.strict {
			text.WriteString(" # VIOLATION: " + why)
		}
	}
	text.WriteByte('\n')
}

func (s *store) violationLocked(text *strings.Builder, what string) {
	s.stats.Violations++
	if s.strict && s.out != nil {
		text.WriteString("# VIOLATION: " + what + "\n")
	}
}

// Count changes the counters under the lock.
func (s *store) Count(change func(*stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.stats)
}

// Stats returns the counters.
func (s *store) Stats() stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.ByProtocol = maps.Clone(s.stats.ByProtocol)
	st.Series, st.Held = len(s.series), len(s.queue)
	return st
}
