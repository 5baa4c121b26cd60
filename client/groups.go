package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"

	dto "github.com/prometheus/client_model/go"
)

// Group is a group as /api/v1/metrics shows it.
type Group struct {
	Labels   map[string]string
	Families []*dto.MetricFamily // by name, without grouping labels; of native histograms only sum and count
	Native   map[string]bool     // names of families that have native histograms
}

// The families that every group has of its own, and the label that every metric is shown with.
var ownFamilies = []string{"push_time_seconds", "push_failure_time_seconds"}

const instanceLabel = "instance"

// Groups asks the gateway what it has stored.
func (c *Client) Groups(ctx context.Context) ([]Group, error) {
	body, err := c.get(ctx, "/api/v1/metrics", nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data []map[string]json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("/api/v1/metrics: %w", err)
	}
	groups := make([]Group, len(answer.Data))
	for i, keys := range answer.Data {
		if err := groups[i].read(keys); err != nil {
			return nil, fmt.Errorf("/api/v1/metrics: %w", err)
		}
	}
	return groups, nil
}

// Check asks for a path of the gateway, as /-/healthy, and returns what is wrong unless
// that is answered 2xx.
func (c *Client) Check(ctx context.Context, path string) error {
	_, err := c.get(ctx, path, nil)
	return err
}

// get returns what a path is answered with.
func (c *Client) get(ctx context.Context, path string, h http.Header) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	answer, err := c.Ask(ctx, Request{Method: http.MethodGet, Path: path, Header: h})
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	body, err := io.ReadAll(answer)
	if err != nil {
		return nil, &UnreachableError{withoutURL(err)}
	}
	return body, nil
}

// family is one of the API's.
type family struct {
	Type    string   `json:"type"`
	Help    string   `json:"help"`
	Metrics []metric `json:"metrics"`
}

// metric is one of the API's: numbers are text.
type metric struct {
	Labels    map[string]string `json:"labels"`
	Value     string            `json:"value"`
	Count     string            `json:"count"`
	Sum       string            `json:"sum"`
	Quantiles map[string]string `json:"quantiles"`
	Buckets   map[string]string `json:"buckets"`
}

func (g *Group) read(keys map[string]json.RawMessage) error {
	if err := json.Unmarshal(keys["labels"], &g.Labels); err != nil {
		return err
	}
	g.Native = map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		var f family
		if slices.Contains(ownFamilies, name) || json.Unmarshal(keys[name], &f) != nil || f.Type == "" {
			continue // no family
		}
		mf, err := g.family(name, &f)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		g.Families = append(g.Families, mf)
	}
	return nil
}

func (g *Group) family(name string, f *family) (*dto.MetricFamily, error) {
	kind, ok := dto.MetricType_value[f.Type]
	if !ok {
		return nil, fmt.Errorf("type %q is not known", f.Type)
	}
	mf := &dto.MetricFamily{Name: &name, Type: dto.MetricType(kind).Enum()}
	if f.Help != "" {
		mf.Help = &f.Help
	}
	var errs []error
	for i := range f.Metrics {
		m, err := f.Metrics[i].dto(mf.GetType())
		if f.Metrics[i].native() {
			g.Native[name] = true
		}
		m.Label = g.own(f.Metrics[i].Labels)
		mf.Metric, errs = append(mf.Metric, m), append(errs, err)
	}
	return mf, errors.Join(errs...)
}

// own returns the labels that a metric was pushed with.
func (g *Group) own(labels map[string]string) (own []*dto.LabelPair) {
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		value := labels[name]
		if _, grouping := g.Labels[name]; grouping || name == instanceLabel && value == "" {
			continue
		}
		own = append(own, &dto.LabelPair{Name: new(name), Value: new(value)})
	}
	return own
}

func (m *metric) dto(t dto.MetricType) (out *dto.Metric, err error) {
	number := func(s string) *float64 {
		v, parseErr := strconv.ParseFloat(s, 64)
		err = errors.Join(err, parseErr)
		return &v
	}
	out = &dto.Metric{}
	switch t {
	case dto.MetricType_COUNTER:
		out.Counter = &dto.Counter{Value: number(m.Value)}
	case dto.MetricType_GAUGE:
		out.Gauge = &dto.Gauge{Value: number(m.Value)}
	case dto.MetricType_UNTYPED:
		out.Untyped = &dto.Untyped{Value: number(m.Value)}
	case dto.MetricType_SUMMARY:
		out.Summary = &dto.Summary{SampleCount: new(uint64(*number(m.Count))), SampleSum: number(m.Sum)}
		for q, v := range m.Quantiles {
			out.Summary.Quantile = append(out.Summary.Quantile, &dto.Quantile{Quantile: number(q), Value: number(v)})
		}
		slices.SortFunc(out.Summary.Quantile, func(a, b *dto.Quantile) int { return cmp.Compare(a.GetQuantile(), b.GetQuantile()) })
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		out.Histogram = &dto.Histogram{SampleCount: new(uint64(*number(m.Count))), SampleSum: number(m.Sum)}
		for bound, v := range m.Buckets {
			if le, ok := classicBound(bound); ok {
				out.Histogram.Bucket = append(out.Histogram.Bucket, &dto.Bucket{UpperBound: &le, CumulativeCount: new(uint64(*number(v)))})
			}
		}
		slices.SortFunc(out.Histogram.Bucket, func(a, b *dto.Bucket) int { return cmp.Compare(a.GetUpperBound(), b.GetUpperBound()) })
	}
	return out, err
}

// classicBound reads the bound of a classic bucket. Those of native histograms are intervals.
func classicBound(bound string) (le float64, ok bool) {
	le, err := strconv.ParseFloat(bound, 64)
	return le, err == nil && !math.IsNaN(le)
}

// native reports whether a metric has native buckets.
func (m *metric) native() bool {
	for bound := range m.Buckets {
		if _, classic := classicBound(bound); !classic {
			return true
		}
	}
	return false
}
