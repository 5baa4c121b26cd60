package remotewrite

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// sample is one sample as a receiver sees it.
type sample struct {
	series    string
	time      int64
	bits      uint64 // of the value, or of the sum of a histogram
	hist      *histogram.FloatHistogram
	exemplars []string
	start     int64
	help      string
	typ       int32
}

func (s sample) stale() bool { return s.bits == value.StaleNaN }

func (s sample) String() string {
	v := strconv.FormatFloat(math.Float64frombits(s.bits), 'g', -1, 64)
	if s.stale() {
		v = "stale"
	}
	if s.hist != nil {
		v = "hist " + v
	}
	return fmt.Sprintf("%s %s @%d", s.series, v, s.time)
}

// request is one request as a receiver sees it.
type request struct {
	protocol Protocol
	header   http.Header
	body     []byte // compressed
	samples  []sample
	metadata []prompb.MetricMetadata
	at       time.Time
}

// decodeRequest reads a request as strictly as the specifications allow.
func decodeRequest(r *http.Request) (*request, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		return nil, fmt.Errorf("snappy: %w", err)
	}
	q := &request{header: r.Header.Clone(), body: body, at: time.Now()}
	if r.Method != http.MethodPost {
		return nil, fmt.Errorf("method %s", r.Method)
	}
	switch r.Header.Get("Content-Type") {
	case "application/x-protobuf":
		q.protocol = Protocol1
		return q, q.decode1(raw)
	case "application/x-protobuf;proto=io.prometheus.write.v2.Request":
		q.protocol = Protocol2
		return q, q.decode2(raw)
	}
	return nil, fmt.Errorf("content type %q", r.Header.Get("Content-Type"))
}

func (q *request) decode1(raw []byte) error {
	var m prompb.WriteRequest
	if err := m.Unmarshal(raw); err != nil {
		return err
	}
	q.metadata = m.Metadata
	if len(m.Metadata) > 0 && len(m.Timeseries) > 0 {
		return fmt.Errorf("metadata and samples in one request")
	}
	for _, ts := range m.Timeseries {
		var pairs []string
		for _, l := range ts.Labels {
			pairs = append(pairs, l.Name, l.Value)
		}
		base, err := seriesOf(pairs)
		if err != nil {
			return err
		}
		for _, e := range ts.Exemplars {
			base.exemplars = append(base.exemplars, fmt.Sprintf("%v %g@%d", e.Labels, e.Value, e.Timestamp))
		}
		for _, s := range ts.Samples {
			base.time, base.bits = s.Timestamp, math.Float64bits(s.Value)
			q.samples = append(q.samples, base)
		}
		for _, h := range ts.Histograms {
			base.time, base.bits, base.hist = h.Timestamp, math.Float64bits(h.Sum), h.ToFloatHistogram()
			q.samples = append(q.samples, base)
		}
		if len(ts.Samples)+len(ts.Histograms) != 1 {
			return fmt.Errorf("%s: %d samples and %d histograms", base.series, len(ts.Samples), len(ts.Histograms))
		}
	}
	return nil
}

func (q *request) decode2(raw []byte) error {
	var m writev2.Request
	if err := m.Unmarshal(raw); err != nil {
		return err
	}
	if len(m.Symbols) == 0 || m.Symbols[0] != "" {
		return fmt.Errorf("symbols do not begin with the empty string")
	}
	if s := slices.Sorted(slices.Values(m.Symbols)); len(slices.Compact(s)) != len(m.Symbols) {
		return fmt.Errorf("a symbol stands twice")
	}
	for _, ts := range m.Timeseries {
		var pairs []string
		for _, r := range ts.LabelsRefs {
			pairs = append(pairs, m.Symbols[r])
		}
		base, err := seriesOf(pairs)
		if err != nil {
			return err
		}
		base.help, base.typ = m.Symbols[ts.Metadata.HelpRef], int32(ts.Metadata.Type)
		for _, e := range ts.Exemplars {
			var b labels.ScratchBuilder
			x, err := e.ToExemplar(&b, m.Symbols)
			if err != nil {
				return err
			}
			base.exemplars = append(base.exemplars, fmt.Sprintf("%v %g@%d", x.Labels, x.Value, x.Ts))
		}
		for _, s := range ts.Samples {
			base.time, base.bits, base.start = s.Timestamp, math.Float64bits(s.Value), s.StartTimestamp
			q.samples = append(q.samples, base)
		}
		for _, h := range ts.Histograms {
			base.time, base.bits, base.start = h.Timestamp, math.Float64bits(h.Sum), h.StartTimestamp
			base.hist = h.ToFloatHistogram()
			q.samples = append(q.samples, base)
		}
		if len(ts.Samples)+len(ts.Histograms) != 1 {
			return fmt.Errorf("%s: %d samples and %d histograms", base.series, len(ts.Samples), len(ts.Histograms))
		}
	}
	return nil
}

// seriesOf checks labels by rules L-1 and L-2 and prints them.
func seriesOf(pairs []string) (sample, error) {
	if len(pairs)%2 != 0 {
		return sample{}, fmt.Errorf("odd number of label references")
	}
	var name string
	var rest []string
	for i := 0; i < len(pairs); i += 2 {
		n, v := pairs[i], pairs[i+1]
		switch {
		case i > 0 && n <= pairs[i-2]:
			return sample{}, fmt.Errorf("labels not sorted: %q", pairs)
		case n == "" || v == "":
			return sample{}, fmt.Errorf("empty label: %q", pairs)
		case n == nameLabel:
			name = v
			continue
		case strings.HasPrefix(n, "__"):
			return sample{}, fmt.Errorf("reserved label %s", n)
		}
		rest = append(rest, n+"="+v)
	}
	if name == "" {
		return sample{}, fmt.Errorf("no name: %q", pairs)
	}
	return sample{series: name + "{" + strings.Join(rest, ",") + "}"}, nil
}

// reply is what a receiver answers. The zero value is a success with everything
// written.
type reply struct {
	status int
	header map[string]string
	body   string
	bare   bool // without the written headers of 2.0
	err    error
	lost   bool // stored, but the answer is lost
	hang   bool // until the request is given up
}

// receiver is a strict remote-write receiver. It is an http.RoundTripper, for
// tests in a synctest bubble, and an http.Handler.
type receiver struct {
	answer func(q *request, n int) reply // n counts requests from 0; nil: success

	mu       sync.Mutex
	n        int
	requests []*request
	problems []string
	newest   map[string]sample
	stored   []sample // first-time samples, in order
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	q, err := decodeRequest(req)
	_ = req.Body.Close()
	if err != nil {
		r.problem("%v", err)
		return response(req, reply{status: 400, body: err.Error()}, nil), nil
	}
	p := r.take(q)
	switch {
	case p.hang:
		<-req.Context().Done()
		return nil, req.Context().Err()
	case p.lost:
		return nil, fmt.Errorf("connection reset by peer")
	case p.err != nil:
		return nil, p.err
	}
	return response(req, p, q), nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	resp, err := r.RoundTrip(req)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = resp.Body.Close() }() // is in memory
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

func response(req *http.Request, p reply, q *request) *http.Response {
	if p.status == 0 {
		p.status = http.StatusNoContent
	}
	h := make(http.Header)
	if q != nil && q.protocol == Protocol2 && !p.bare && p.status/100 == 2 {
		hists := 0
		for _, s := range q.samples {
			if s.hist != nil {
				hists++
			}
		}
		h.Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(len(q.samples)-hists))
		h.Set("X-Prometheus-Remote-Write-Histograms-Written", strconv.Itoa(hists))
		h.Set("X-Prometheus-Remote-Write-Exemplars-Written", "0")
	}
	for k, v := range p.header {
		h.Set(k, v)
	}
	return &http.Response{
		StatusCode: p.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(bytes.NewReader([]byte(p.body))), Request: req,
	}
}

// take decides on q and stores it if the answer says so.
func (r *receiver) take(q *request) reply {
	r.mu.Lock()
	n := r.n
	r.n++
	r.requests = append(r.requests, q)
	r.mu.Unlock()
	var p reply
	if r.answer != nil {
		p = r.answer(q, n)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.err == nil && !p.hang && (p.status == 0 || p.status/100 == 2) && !p.bare {
		if why := r.store(q); why != "" && p.status == 0 && !p.lost {
			return reply{status: 400, body: why}
		}
	}
	return p
}

// store stores q all or nothing, as Prometheus does with 1.0, and notes what
// breaks promise P2. It returns why the request is refused.
func (r *receiver) store(q *request) (refusal string) {
	if r.newest == nil {
		r.newest = make(map[string]sample)
	}
	before := make(map[string]sample)
	var first []sample
	repeats := 0
	for _, s := range q.samples {
		old, ok := r.newest[s.series]
		switch {
		case ok && old.time == s.time && old.bits == s.bits:
			repeats++
		case ok && s.time <= old.time && r.had(s):
			repeats++
			refusal = "out of order: " + s.String()
		case ok && s.time <= old.time:
			r.problems = append(r.problems, fmt.Sprintf("not newer than %v: %v", old, s))
			refusal = "out of order: " + s.String()
		default:
			first = append(first, s)
		}
		if refusal != "" {
			continue
		}
		if _, saved := before[s.series]; !saved {
			before[s.series] = old
		}
		r.newest[s.series] = s
	}
	if len(first) > 0 && repeats > 0 {
		r.problems = append(r.problems, fmt.Sprintf("%d repeats in one request with %d new samples", repeats, len(first)))
	}
	if refusal != "" {
		for k, s := range before {
			r.newest[k] = s
			if s.series == "" {
				delete(r.newest, k)
			}
		}
		return refusal
	}
	r.stored = append(r.stored, first...)
	return ""
}

func (r *receiver) had(s sample) bool {
	return slices.ContainsFunc(r.stored, func(o sample) bool {
		return o.series == s.series && o.time == s.time && o.bits == s.bits
	})
}

func (r *receiver) problem(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// all returns the requests so far.
func (r *receiver) all() []*request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// got returns what was stored, without push times, one line each, timestamps
// left out.
func (r *receiver) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, s := range r.stored {
		if !strings.HasPrefix(s.series, "push_") {
			out = append(out, s.String()[:strings.LastIndex(s.String(), " @")])
		}
	}
	return out
}

// ok returns what was wrong.
func (r *receiver) wrong() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.problems)
}
