package e2e

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"
)

// Protocols that an in-process Prometheus accepts.
var (
	bothProtocols = remoteapi.MessageTypes{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType}
	onlyV1        = remoteapi.MessageTypes{remoteapi.WriteV1MessageType}
	onlyV2        = remoteapi.MessageTypes{remoteapi.WriteV2MessageType}
)

// inProcess is the current Prometheus' remote-write handler, time series
// database and query engine inside the test. Samples out of order are refused.
type inProcess struct {
	db     *tsdb.DB
	engine *promql.Engine
	write  http.Handler
	srv    *httptest.Server
}

// features are what a Prometheus does only when told to.
type features struct {
	startAsZero bool // created-timestamp-zero-ingestion: a zero where a series began
	typeAndUnit bool // type-and-unit-labels: __type__ and __unit__ from the metadata
}

// newInProcess starts one. wrap, when not nil, stands between the sender and
// the write handler.
func newInProcess(t testing.TB, accepted remoteapi.MessageTypes, wrap func(http.Handler) http.Handler) *inProcess {
	t.Helper()
	return newInProcessWith(t, features{}, accepted, wrap)
}

func newInProcessWith(t testing.TB, f features, accepted remoteapi.MessageTypes, wrap func(http.Handler) http.Handler) *inProcess {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	opts := tsdb.DefaultOptions()
	opts.EnableExemplarStorage = true
	opts.MaxExemplars = 10_000
	db, err := tsdb.Open(t.TempDir(), quiet, nil, opts, nil)
	if err != nil {
		t.Fatalf("open tsdb: %v", err)
	}
	db.DisableCompactions()
	p := &inProcess{
		db: db,
		engine: promql.NewEngine(promql.EngineOpts{
			Logger: quiet, MaxSamples: 50_000_000, Timeout: time.Minute,
			EnableAtModifier: true, EnableNegativeOffset: true,
		}),
		write: remote.NewWriteHandler(quiet, prometheus.NewRegistry(), db, accepted, f.startAsZero, f.typeAndUnit, true),
	}
	h := p.write
	if wrap != nil {
		h = wrap(h)
	}
	p.srv = httptest.NewServer(h)
	t.Cleanup(func() {
		p.srv.CloseClientConnections()
		p.srv.Close()
		if err := db.Close(); err != nil {
			t.Errorf("close tsdb: %v", err)
		}
	})
	return p
}

func (p *inProcess) writeURL() string { return p.srv.URL + "/api/v1/write" }

func (p *inProcess) queryAt(expr string, at time.Time) ([]string, error) {
	if at.IsZero() {
		at = time.Now()
	}
	q, err := p.engine.NewInstantQuery(context.Background(), p.db, nil, expr, at)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	res := q.Exec(context.Background())
	if res.Err != nil {
		return nil, res.Err
	}
	var got []string
	switch v := res.Value.(type) {
	case promql.Vector:
		for _, s := range v {
			if s.H != nil {
				got = append(got, line(s.Metric, s.H.String()))
			} else {
				got = append(got, line(s.Metric, formatFloat(s.F)))
			}
		}
	case promql.Scalar:
		got = append(got, formatFloat(v.V))
	}
	slices.Sort(got)
	return got, nil
}

// sample is one stored sample.
type sample struct {
	Time  int64
	Value float64
	Hist  string // a native histogram, Value is then its sum
	Stale bool
}

// samples returns everything stored for the series that match, by series.
func (p *inProcess) samples(t testing.TB, matchers ...*labels.Matcher) map[string][]sample {
	t.Helper()
	q, err := p.db.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	got := map[string][]sample{}
	var warnings annotations.Annotations
	set := q.Select(t.Context(), true, nil, matchers...)
	for set.Next() {
		s := set.At()
		it := s.Iterator(nil)
		var list []sample
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			list = append(list, stored(it, kind))
		}
		if err := it.Err(); err != nil {
			t.Fatal(err)
		}
		got[line(s.Labels(), "")] = list
	}
	warnings.Merge(set.Warnings())
	if err := set.Err(); err != nil {
		t.Fatalf("select: %v, warnings %v", err, warnings)
	}
	return got
}

func stored(it chunkenc.Iterator, kind chunkenc.ValueType) sample {
	if kind == chunkenc.ValFloat {
		ts, v := it.At()
		return sample{Time: ts, Value: v, Stale: value.IsStaleNaN(v)}
	}
	ts, h := it.AtFloatHistogram(nil)
	return sample{Time: ts, Value: h.Sum, Hist: h.String(), Stale: value.IsStaleNaN(h.Sum)}
}

func named(name string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name)
}

// add stores a sample directly, at a time relative to now.
func (p *inProcess) add(t testing.TB, series labels.Labels, ahead int64, v float64) {
	t.Helper()
	app := p.db.Appender(t.Context())
	if _, err := app.Append(0, series, time.Now().UnixMilli()+ahead, v); err != nil {
		t.Fatal(err)
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
}
