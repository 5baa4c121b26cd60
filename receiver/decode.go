package receiver

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gogo/protobuf/proto"
	"github.com/golang/snappy"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// The receiver takes no more than other receivers do.
const (
	maxBody    = 32 << 20
	maxDecoded = 64 << 20
)

// message is one remote-write request after decoding.
type message struct {
	Protocol  int // 1 or 2
	Samples   []sample
	Exemplars int
	Metadata  int
	Faults    []string // the rules of form that the request breaks
}

// label is one of a series, as it came.
type label struct{ Name, Value string }

// sample is one sample: a float, or one of the two native histograms.
type sample struct {
	Labels []label // as they came, __name__ included
	Time   int64
	Start  int64 // when the series began, 0 unknown; 2.0 only
	Value  float64
	Int    *histogram.Histogram
	Float  *histogram.FloatHistogram
}

// Stale tells whether s ends its series.
func (s *sample) Stale() bool {
	switch {
	case s.Int != nil:
		return value.IsStaleNaN(s.Int.Sum)
	case s.Float != nil:
		return value.IsStaleNaN(s.Float.Sum)
	}
	return value.IsStaleNaN(s.Value)
}

// Native tells whether s is a native histogram.
func (s *sample) Native() bool { return s.Int != nil || s.Float != nil }

// Bits is equal for samples that are equal to the last bit. A histogram's is a
// hash.
func (s *sample) Bits() uint64 {
	if !s.Native() {
		return math.Float64bits(s.Value)
	}
	h := fnv.New64a()
	if s.Int != nil {
		fmt.Fprintf(h, "int %+v %x", *s.Int, math.Float64bits(s.Int.Sum))
	} else {
		fmt.Fprintf(h, "float %+v %x", *s.Float, math.Float64bits(s.Float.Sum))
	}
	return h.Sum64()
}

// refusal is a request that is refused, and the status that says so.
type refusal struct {
	Status int
	Err    error
}

func (e *refusal) Error() string { return e.Err.Error() }
func (e *refusal) Unwrap() error { return e.Err }

func refuseWith(status int, format string, args ...any) error {
	return &refusal{Status: status, Err: fmt.Errorf(format, args...)}
}

// protocolOf names the protocol of a request by its headers. Only the exact
// strings count: a receiver that parsed them would hide a sender's mistake.
func protocolOf(h http.Header) (int, error) {
	if e := h.Get("Content-Encoding"); e != "snappy" {
		return 0, refuseWith(http.StatusUnsupportedMediaType, "Content-Encoding is %q, want snappy", e)
	}
	switch t := h.Get("Content-Type"); t {
	case "application/x-protobuf", "application/x-protobuf;proto=prometheus.WriteRequest":
		return 1, nil
	case "application/x-protobuf;proto=io.prometheus.write.v2.Request":
		return 2, nil
	default:
		return 0, refuseWith(http.StatusUnsupportedMediaType, "Content-Type %q is not a remote-write message", t)
	}
}

// headerFaults names what is wrong with the headers beside those that
// protocolOf insists on.
func headerFaults(h http.Header, protocol int) []string {
	want := map[int]string{1: "0.1.0", 2: "2.0.0"}[protocol]
	var faults []string
	if v := h.Get("X-Prometheus-Remote-Write-Version"); v != want {
		faults = append(faults, fmt.Sprintf("header X-Prometheus-Remote-Write-Version is %q, want %q", v, want))
	}
	if h.Get("User-Agent") == "" {
		faults = append(faults, "header User-Agent is missing")
	}
	return faults
}

// readBody reads a request's body.
func readBody(body io.Reader) ([]byte, error) {
	compressed, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil {
		return nil, refuseWith(http.StatusBadRequest, "read body: %w", err)
	}
	if len(compressed) > maxBody {
		return nil, refuseWith(http.StatusRequestEntityTooLarge, "body has more than %d bytes", maxBody)
	}
	return compressed, nil
}

// decodeMessage decompresses and decodes a request's body.
func decodeMessage(compressed []byte, protocol int) (*message, error) {
	// The length is looked at first: Decode allocates what the first bytes claim.
	n, err := snappy.DecodedLen(compressed)
	if err != nil {
		return nil, refuseWith(http.StatusBadRequest, "decompress: %w", err)
	}
	if n > maxDecoded {
		return nil, refuseWith(http.StatusRequestEntityTooLarge, "body decompresses to %d bytes, more than %d", n, maxDecoded)
	}
	raw, err := snappy.Decode(nil, compressed)
	if err != nil {
		return nil, refuseWith(http.StatusBadRequest, "decompress: %w", err)
	}
	m, err := unmarshalMessage(raw, protocol)
	if err != nil {
		return nil, refuseWith(http.StatusBadRequest, "decode remote write %d.0: %w", protocol, err)
	}
	return m, nil
}

func unmarshalMessage(raw []byte, protocol int) (*message, error) {
	if protocol == 1 {
		var r prompb.WriteRequest
		if err := proto.Unmarshal(raw, &r); err != nil {
			return nil, err
		}
		return fromV1(&r), nil
	}
	var r writev2.Request
	if err := proto.Unmarshal(raw, &r); err != nil {
		return nil, err
	}
	return fromV2(&r)
}

func fromV1(r *prompb.WriteRequest) *message {
	m := &message{Protocol: 1, Metadata: len(r.Metadata)}
	for i := range r.Timeseries {
		ts := &r.Timeseries[i]
		labels := make([]label, len(ts.Labels))
		for j, l := range ts.Labels {
			labels[j] = label{Name: l.Name, Value: l.Value}
		}
		m.checkLabels(labels)
		for _, s := range ts.Samples {
			m.Samples = append(m.Samples, sample{Labels: labels, Time: s.Timestamp, Value: s.Value})
		}
		for _, h := range ts.Histograms {
			s := sample{Labels: labels, Time: h.Timestamp}
			if h.IsFloatHistogram() {
				s.Float = h.ToFloatHistogram()
			} else {
				s.Int = h.ToIntHistogram()
			}
			m.addHistogram(s)
		}
		m.Exemplars += len(ts.Exemplars)
	}
	return m
}

func fromV2(r *writev2.Request) (*message, error) {
	m := &message{Protocol: 2}
	if len(r.Symbols) == 0 || r.Symbols[0] != "" {
		m.Faults = append(m.Faults, "the first symbol is not the empty string")
	}
	for i := range r.Timeseries {
		if err := m.addV2(r.Symbols, &r.Timeseries[i]); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *message) addV2(symbols []string, ts *writev2.TimeSeries) error {
	labels, err := resolveSymbols(symbols, ts.LabelsRefs)
	if err != nil {
		return err
	}
	m.checkLabels(labels)
	if len(ts.Samples) > 0 && len(ts.Histograms) > 0 {
		m.fault("series %s has samples and histograms", printSeries(labels))
	}
	for _, s := range ts.Samples {
		m.Samples = append(m.Samples, sample{Labels: labels, Time: s.Timestamp, Start: s.StartTimestamp, Value: s.Value})
	}
	for _, h := range ts.Histograms {
		s := sample{Labels: labels, Time: h.Timestamp, Start: h.StartTimestamp}
		if h.IsFloatHistogram() {
			s.Float = h.ToFloatHistogram()
		} else {
			s.Int = h.ToIntHistogram()
		}
		m.addHistogram(s)
	}
	return m.addExtrasV2(symbols, ts)
}

func (m *message) addExtrasV2(symbols []string, ts *writev2.TimeSeries) error {
	for _, e := range ts.Exemplars {
		if _, err := resolveSymbols(symbols, e.LabelsRefs); err != nil {
			return fmt.Errorf("exemplar: %w", err)
		}
	}
	m.Exemplars += len(ts.Exemplars)
	if _, err := resolveSymbols(symbols, []uint32{ts.Metadata.HelpRef, ts.Metadata.UnitRef}); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	if md := &ts.Metadata; md.Type != 0 || md.HelpRef != 0 || md.UnitRef != 0 {
		m.Metadata++
	}
	return nil
}

// resolveSymbols turns pairs of references into labels.
func resolveSymbols(symbols []string, refs []uint32) ([]label, error) {
	if len(refs)%2 != 0 {
		return nil, fmt.Errorf("%d label references, not pairs", len(refs))
	}
	labels := make([]label, 0, len(refs)/2)
	for pair := range slices.Chunk(refs, 2) {
		if m := max(pair[0], pair[1]); uint64(m) >= uint64(len(symbols)) {
			return nil, fmt.Errorf("reference %d is outside of %d symbols", m, len(symbols))
		}
		labels = append(labels, label{Name: symbols[pair[0]], Value: symbols[pair[1]]})
	}
	return labels, nil
}

// addHistogram drops a histogram that does not validate: its buckets could not
// even be printed.
func (m *message) addHistogram(s sample) {
	var err error
	if s.Int != nil {
		err = s.Int.Validate()
	} else {
		err = s.Float.Validate()
	}
	if err != nil && !s.Stale() {
		m.fault("histogram of %s: %v", printSeries(s.Labels), err)
		return
	}
	m.Samples = append(m.Samples, s)
}

// maxFaults bounds the texts that one request can cause.
const maxFaults = 100

func (m *message) fault(format string, args ...any) {
	if len(m.Faults) < maxFaults {
		m.Faults = append(m.Faults, fmt.Sprintf(format, args...))
	}
}

// checkLabels notes what receivers refuse, or drop without a word.
func (m *message) checkLabels(labels []label) {
	if err := labelsFault(labels); err != nil {
		m.fault("labels of %s: %v", printSeries(labels), err)
	}
}

func labelsFault(labels []label) error {
	var name string
	for i, l := range labels {
		switch {
		case l.Name == "":
			return errors.New("a name is empty")
		case l.Value == "":
			return fmt.Errorf("%s is empty", l.Name)
		case i > 0 && labels[i-1].Name == l.Name:
			return fmt.Errorf("%s occurs twice", l.Name)
		case i > 0 && labels[i-1].Name > l.Name:
			return fmt.Errorf("%s stands after %s", l.Name, labels[i-1].Name)
		case !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value):
			return fmt.Errorf("%q is not UTF-8", l.Name)
		case l.Name == model.MetricNameLabel:
			name = l.Value
		case strings.HasPrefix(l.Name, "__"):
			return fmt.Errorf("%s must not leave the sender", l.Name)
		}
	}
	if name == "" {
		return errors.New("there is no __name__")
	}
	return nil
}
