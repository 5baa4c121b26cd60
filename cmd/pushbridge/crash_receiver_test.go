package main_test

import (
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

const (
	contentV1 = "application/x-protobuf"
	contentV2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
)

// strictReceiver takes remote write 1.0 and 2.0, remembers every sample of every
// series, and holds the sender to promise P2: a sample that it sees for the
// first time is newer than all before it in its series; a repeat is exact, and
// no request holds both. It can be told to fail.
type strictReceiver struct {
	only1 bool // answers 415 to 2.0

	mu         sync.Mutex
	rng        *rand.Rand
	fail, drop float64 // share of the requests refused, and of the answers lost
	series     map[string]*track
	violations []string
	requests   map[string]int // by content type
	refused    int
	lost       int
	repeats    int
	newest     [2]map[string]int // first-time samples in the newest request with any, by shard: of this life of the sender and the one before
}

// track is what arrived of one series, in order, each sample once.
type track struct {
	points []point
	seen   map[point]bool
}

// point is a sample. Two samples are the same exactly when their points are:
// bits are those of the value, or a hash of a native histogram.
type point struct {
	ts   int64
	bits uint64
}

func (p point) stale() bool { return p.bits == value.StaleNaN }

func (p point) String() string {
	if p.stale() {
		return "end"
	}
	return strconv.FormatFloat(math.Float64frombits(p.bits), 'g', -1, 64)
}

// arrived is a sample of a request.
type arrived struct {
	series string
	point
}

func newStrictReceiver(seed uint64, only1 bool) *strictReceiver {
	return &strictReceiver{
		only1:    only1,
		rng:      rand.New(rand.NewPCG(seed, 1)),
		series:   map[string]*track{},
		requests: map[string]int{},
		newest:   [2]map[string]int{{}, {}},
	}
}

// nextLife notes that the sender was started.
func (s *strictReceiver) nextLife() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest = [2]map[string]int{{}, s.newest[0]}
}

// unanswered returns how many samples the sender perhaps does not know to have
// arrived: each shard has one request on its way. A request may be stored a moment
// after the end of its sender, so those of the life before count too.
func (s *strictReceiver) unanswered() (n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, newest := range s.newest {
		for _, samples := range newest {
			n += uint64(samples)
		}
	}
	return n
}

// trouble sets the share of requests that are refused, and of answers that are
// lost after the request was stored.
func (s *strictReceiver) trouble(fail, drop float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.drop = fail, drop
}

func (s *strictReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender was killed in the middle of it
	}
	kind := r.Header.Get("Content-Type")
	if s.only1 && kind == contentV2 {
		http.Error(w, "only remote write 1.0 here", http.StatusUnsupportedMediaType)
		return
	}
	got, err := decodeRequest(kind, body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[kind]++
	if err != nil {
		s.violatedLocked("%v", err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	dice := s.rng.Float64()
	if dice < s.fail {
		s.refused++
		http.Error(w, "out of order today", refusals[s.rng.IntN(len(refusals))])
		return
	}
	s.storeLocked(got)
	if dice < s.fail+s.drop {
		s.lost++
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(len(got)))
	w.WriteHeader(http.StatusNoContent)
}

var refusals = []int{http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusTooManyRequests}

// storeLocked notes the samples of one request and checks promise P2.
func (s *strictReceiver) storeLocked(got []arrived) {
	first, again, firsts := "", "", 0
	for _, a := range got {
		tr := s.series[a.series]
		if tr == nil {
			tr = &track{seen: map[point]bool{}}
			s.series[a.series] = tr
		}
		if tr.seen[a.point] {
			s.repeats++
			again = a.series
			continue
		}
		if n := len(tr.points); n > 0 && a.ts <= tr.points[n-1].ts {
			s.violatedLocked("%s: first-time sample at %d after one at %d", a.series, a.ts, tr.points[n-1].ts)
		}
		first = a.series
		firsts++
		tr.seen[a.point] = true
		tr.points = append(tr.points, a.point)
	}
	if first != "" {
		s.newest[0][shardOf(first)] = firsts
	}
	if first != "" && again != "" {
		s.violatedLocked("one request repeats a sample of %s and holds a first-time sample of %s", again, first)
	}
}

// shardOf returns the shard that a series is sent by: its job's.
func shardOf(series string) string {
	_, job, _ := strings.Cut(series, `job="`)
	job, _, _ = strings.Cut(job, `"`)
	h := fnv.New32a()
	_, _ = h.Write([]byte(job)) // never fails
	return strconv.FormatUint(uint64(h.Sum32()%4), 10)
}

func (s *strictReceiver) violatedLocked(format string, args ...any) {
	if len(s.violations) < 20 {
		s.violations = append(s.violations, fmt.Sprintf(format, args...))
	}
}

// points returns what arrived of a series so far.
func (s *strictReceiver) points(series string) []point {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tr := s.series[series]; tr != nil {
		return slices.Clone(tr.points)
	}
	return nil
}

// count returns how many points of a series have arrived.
func (s *strictReceiver) count(series string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tr := s.series[series]; tr != nil {
		return len(tr.points)
	}
	return 0
}

func (s *strictReceiver) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.series {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// summary says what the run looked like from this side.
func (s *strictReceiver) summary() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	samples := 0
	for _, tr := range s.series {
		samples += len(tr.points)
	}
	return fmt.Sprintf("%d requests with 1.0, %d with 2.0; %d refused, %d answers lost; %d series, %d samples, %d exact repeats",
		s.requests[contentV1], s.requests[contentV2], s.refused, s.lost, len(s.series), samples, s.repeats)
}

func decodeRequest(kind string, body []byte) ([]arrived, error) {
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		return nil, fmt.Errorf("request is not snappy: %w", err)
	}
	switch kind {
	case contentV1:
		return decodeV1(raw)
	case contentV2:
		return decodeV2(raw)
	}
	return nil, fmt.Errorf("content type %q", kind)
}

func decodeV1(raw []byte) ([]arrived, error) {
	var req prompb.WriteRequest
	if err := req.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("decode 1.0: %w", err)
	}
	var got []arrived
	for _, ts := range req.Timeseries {
		pairs := make([]string, 0, 2*len(ts.Labels))
		for _, l := range ts.Labels {
			pairs = append(pairs, l.Name, l.Value)
		}
		var err error
		if got, err = appendArrived(got, pairs, pointers(ts.Samples), pointers(ts.Histograms)); err != nil {
			return nil, err
		}
	}
	return got, nil
}

func decodeV2(raw []byte) ([]arrived, error) {
	var req writev2.Request
	if err := req.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("decode 2.0: %w", err)
	}
	var got []arrived
	for _, ts := range req.Timeseries {
		pairs := make([]string, 0, len(ts.LabelsRefs))
		for _, ref := range ts.LabelsRefs {
			if int(ref) >= len(req.Symbols) {
				return nil, fmt.Errorf("symbol %d of %d", ref, len(req.Symbols))
			}
			pairs = append(pairs, req.Symbols[ref])
		}
		var err error
		if got, err = appendArrived(got, pairs, pointers(ts.Samples), pointers(ts.Histograms)); err != nil {
			return nil, err
		}
	}
	return got, nil
}

// wireSample and wireHistogram are what 1.0 and 2.0 have in common.
type (
	wireSample interface {
		GetTimestamp() int64
		GetValue() float64
	}
	wireHistogram interface {
		GetTimestamp() int64
		GetSum() float64
		Marshal() ([]byte, error)
	}
)

// appendArrived appends what one series of a request holds.
func appendArrived[S wireSample, H wireHistogram](got []arrived, labels []string, samples []S, histograms []H) ([]arrived, error) {
	series, err := seriesName(labels)
	if err != nil {
		return nil, err
	}
	for _, p := range samples {
		got = append(got, arrived{series, point{p.GetTimestamp(), floatBits(p.GetValue())}})
	}
	for _, h := range histograms {
		b, err := h.Marshal()
		if err != nil {
			return nil, err
		}
		got = append(got, arrived{series, point{h.GetTimestamp(), histogramBits(h.GetSum(), b)}})
	}
	return got, nil
}

// pointers returns where the elements of s are.
func pointers[T any](s []T) []*T {
	out := make([]*T, len(s))
	for i := range s {
		out[i] = &s[i]
	}
	return out
}

// histogramBits identifies a native histogram; a stale one keeps its marker.
func histogramBits(sum float64, encoded []byte) uint64 {
	if value.IsStaleNaN(sum) {
		return value.StaleNaN
	}
	h := fnv.New64a()
	_, _ = h.Write(encoded) // never fails
	return h.Sum64()
}

// seriesName prints a label set as name{label="value"} and refuses one that
// rules L-1 and L-2 forbid.
func seriesName(pairs []string) (string, error) {
	if len(pairs)%2 != 0 {
		return "", fmt.Errorf("label without value in %q", pairs)
	}
	var name, before string
	var labels []string
	for i := 0; i < len(pairs); i += 2 {
		n, v := pairs[i], pairs[i+1]
		if n <= before || v == "" {
			return "", fmt.Errorf("labels not sorted, repeated or empty: %q", pairs)
		}
		before = n
		if n == "__name__" {
			name = v
			continue
		}
		labels = append(labels, n+"="+strconv.Quote(v))
	}
	if name == "" {
		return "", fmt.Errorf("no name in %q", pairs)
	}
	return name + "{" + strings.Join(labels, ",") + "}", nil
}
