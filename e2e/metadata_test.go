package e2e

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/record"
	"github.com/prometheus/prometheus/tsdb/wlog"
)

// described returns families of every type, native histograms only when asked for,
// with help and unit: the body of a push, and what a backend should know of them,
// and of the gateway's own, by name.
func described(native bool) (body string, want map[string]metadata.Metadata) {
	want = map[string]metadata.Metadata{
		"push_time_seconds":         {Type: model.MetricTypeGauge, Help: "Last Unix time when changing this group in the Pushgateway succeeded."},
		"push_failure_time_seconds": {Type: model.MetricTypeGauge, Help: "Last Unix time when changing this group in the Pushgateway failed."},
	}
	for _, typ := range everyType() {
		if typ.native && !native {
			continue
		}
		typ.family.Unit = new("seconds")
		body += delimited(typ.family)
		want[typ.family.GetName()] = metadata.Metadata{
			Type: metadataTypes[typ.family.GetType()], Help: typ.family.GetHelp(), Unit: "seconds",
		}
	}
	return body, want
}

var metadataTypes = map[dto.MetricType]model.MetricType{
	dto.MetricType_COUNTER:         model.MetricTypeCounter,
	dto.MetricType_GAUGE:           model.MetricTypeGauge,
	dto.MetricType_UNTYPED:         model.MetricTypeUnknown,
	dto.MetricType_SUMMARY:         model.MetricTypeSummary,
	dto.MetricType_HISTOGRAM:       model.MetricTypeHistogram,
	dto.MetricType_GAUGE_HISTOGRAM: model.MetricTypeGaugeHistogram,
}

// anotherHelp is a change of one of the described families.
const anotherHelp = "# HELP type_gauge Another help.\n# TYPE type_gauge gauge\ntype_gauge 1\n"

// TestMetadataIsStored pushes families of every type by remote write 2.0 and
// reads the metadata of each series where the current Prometheus keeps it, in its
// write-ahead log.
func TestMetadataIsStored(t *testing.T) {
	b := newInProcess(t, onlyV2, nil)
	g := startPushbridge(t, "--remote-write.url="+b.writeURL())
	body, want := described(true)
	waitStored := func() {
		t.Helper()
		eventually(t, "metadata", func() error {
			got := map[string]metadata.Metadata{}
			for series, m := range b.metadata(t) {
				family := familyOf(series, want)
				if diff := cmp.Diff(want[family], m); diff != "" {
					return fmt.Errorf("%s (-want +got):\n%s", series, diff)
				}
				got[family] = m
			}
			if diff := cmp.Diff(want, got); diff != "" {
				return fmt.Errorf("families (-want +got):\n%s", diff)
			}
			return nil
		})
	}
	g.put(t, "types", body, "Content-Type", protobufType)
	waitStored()
	g.post(t, "types", anotherHelp)
	want["type_gauge"] = metadata.Metadata{Type: model.MetricTypeGauge, Help: "Another help."}
	waitStored()
}

// familyOf returns the family of a series: its name, without the suffix of a
// component.
func familyOf(series string, families map[string]metadata.Metadata) string {
	name, _, _ := strings.Cut(series, "{")
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if family, ok := strings.CutSuffix(name, suffix); ok && families[family].Type != "" {
			return family
		}
	}
	return name
}

// metadata returns what the write-ahead log has last on each series.
func (p *inProcess) metadata(t testing.TB) map[string]metadata.Metadata {
	t.Helper()
	segments, err := wlog.NewSegmentsReader(filepath.Join(p.db.Dir(), "wal"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = segments.Close() }()
	decode := record.NewDecoder(labels.NewSymbolTable(), slog.New(slog.DiscardHandler))
	series, got := map[chunks.HeadSeriesRef]string{}, map[string]metadata.Metadata{}
	r := wlog.NewReader(segments)
	for r.Next() {
		if kind := decode.Type(r.Record()); kind == record.Series {
			list, err := decode.Series(r.Record(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range list {
				series[s.Ref] = line(s.Labels, "")
			}
		} else if kind == record.Metadata {
			list, err := decode.Metadata(r.Record(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range list {
				got[series[m.Ref]] = metadata.Metadata{Type: record.ToMetricType(m.Type), Unit: m.Unit, Help: m.Help}
			}
		}
	}
	return got // the log may end in the middle of a record that is being written
}

// TestTypeAndUnitAreLabels asks a Prometheus that makes labels of type and unit,
// so that they are part of what a series is, also for the marker that ends it.
func TestTypeAndUnitAreLabels(t *testing.T) {
	b := newInProcessWith(t, features{typeAndUnit: true}, onlyV2, nil)
	g := startPushbridge(t, "--remote-write.url="+b.writeURL())
	body, _ := described(true)
	g.put(t, "types", body, "Content-Type", protobufType)
	waitQuery(t, b, `count by (__type__, __unit__) ({job="types",__name__!~"push_.*"})`,
		`{__type__="counter",__unit__="seconds"} 1`, `{__type__="gauge",__unit__="seconds"} 1`, `{__unit__="seconds"} 1`,
		`{__type__="summary",__unit__="seconds"} 4`,
		`{__type__="histogram",__unit__="seconds"} 8`, `{__type__="gaugehistogram",__unit__="seconds"} 7`)
	g.delete(t, "types") // the markers must have the same type and unit
	waitQuery(t, b, `{job="types"}`)

	g.put(t, "nightly", nightly) // a text push has no units
	waitQuery(t, b, `count by (__type__, __unit__) ({job="nightly",__name__!~"push_.*"})`,
		`{__type__="counter"} 2`, `{__type__="gauge"} 1`, `{__type__="histogram"} 6`, `{__type__="summary"} 4`, `{} 1`)
	g.delete(t, "nightly")
	waitQuery(t, b, `{job="nightly"}`)
}

// TestMetadataRequests pushes by remote write 1.0, where metadata comes in
// requests of its own and no backend here keeps it. Prometheus' own decoder finds in
// them what is known of each family, once, and the backend takes them.
func TestMetadataRequests(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(testing.TB) backend
	}{
		{"current Prometheus", func(t testing.TB) backend { return newInProcess(t, onlyV1, nil) }},
		{"Debian's Prometheus", func(t testing.TB) backend { return startPrometheus(t, "") }},
		{"Debian's VictoriaMetrics", func(t testing.TB) backend { return startVictoriaMetrics(t) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.start(t)
			e := newEavesdropper(t, b)
			g := startPushbridge(t, "--config.file="+remoteWrite(t, e, "    protobuf_message: prometheus.WriteRequest\n"))
			body, want := described(false)
			g.put(t, "types", body, "Content-Type", protobufType)
			e.waitFor(t, want)
			g.post(t, "types", anotherHelp)
			e.waitFor(t, map[string]metadata.Metadata{"type_gauge": {Type: model.MetricTypeGauge, Help: "Another help."}})
			waitQuery(t, b, "type_gauge", `type_gauge{job="types"} 1`)
		})
	}
}

// eavesdropper stands before a backend and listens for metadata in remote write 1.0.
type eavesdropper struct {
	backend
	url string

	mu      sync.Mutex
	heard   map[string]metadata.Metadata // by family
	problem error
}

func newEavesdropper(t testing.TB, b backend) *eavesdropper {
	t.Helper()
	e := &eavesdropper{backend: b, heard: map[string]metadata.Metadata{}}
	srv := httptest.NewServer(e)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	e.url = srv.URL + "/api/v1/write"
	return e
}

func (e *eavesdropper) writeURL() string { return e.url }

func (e *eavesdropper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var headers []string
	for name := range r.Header {
		headers = append(headers, name, r.Header.Get(name))
	}
	code, answer, err := send(r.Context(), r.Method, e.backend.writeURL(), string(body), headers)
	if err != nil {
		code, answer = http.StatusBadGateway, err.Error()
	}
	e.hear(body, code, answer)
	w.WriteHeader(code)
	_, _ = io.WriteString(w, answer) // nobody may be there to read it
}

// hear notes the metadata of a request, and a request with some that the backend
// does not take.
func (e *eavesdropper) hear(body []byte, code int, answer string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	raw, err := snappy.Decode(nil, body)
	var req prompb.WriteRequest
	if err == nil {
		err = req.Unmarshal(raw)
	}
	switch {
	case err != nil:
		e.problem = err
	case len(req.Metadata) > 0 && len(req.Timeseries) > 0:
		e.problem = errors.New("metadata and samples in one request")
	case len(req.Metadata) > 0 && code/100 != 2:
		e.problem = fmt.Errorf("metadata is answered %d: %s", code, answer)
	}
	for _, m := range req.Metadata {
		e.heard[m.MetricFamilyName] = metadata.Metadata{
			Type: model.MetricType(strings.ToLower(m.Type.String())), Help: m.Help, Unit: m.Unit,
		}
	}
}

// waitFor waits until exactly this was heard since the last time.
func (e *eavesdropper) waitFor(t *testing.T, want map[string]metadata.Metadata) {
	t.Helper()
	eventually(t, "metadata", func() error {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.problem != nil {
			t.Fatal(e.problem)
		}
		if diff := cmp.Diff(want, e.heard); diff != "" {
			return fmt.Errorf("(-want +got):\n%s", diff)
		}
		clear(e.heard)
		return nil
	})
}
