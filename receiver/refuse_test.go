package receiver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// v2 encodes float samples of series that are called by their name alone.
func v2(t *testing.T, samples ...testSample) []byte {
	t.Helper()
	symbols := writev2.NewSymbolTable()
	var r writev2.Request
	for _, s := range samples {
		r.Timeseries = append(r.Timeseries, writev2.TimeSeries{
			LabelsRefs: symbols.SymbolizeLabels(labels.FromStrings("__name__", s.name), nil),
			Samples:    []writev2.Sample{{Timestamp: s.time, Value: s.value}},
		})
	}
	r.Symbols = symbols.Symbols()
	return marshal(t, &r)
}

// TestRefuse sends one bad sample between two good ones, twice: what is stored, and
// what the answers say.
func TestRefuse(t *testing.T) {
	for _, row := range []struct {
		as       string
		protocol int
		status   int
		written  string
		stored   int
	}{
		{"prometheus", 1, 400, "", 0},
		{"prometheus", 2, 400, "2", 2},
		{"mimir", 1, 400, "", 2},
		{"mimir", 2, 400, "3", 2},
		{"thanos", 1, 409, "", 2},
		{"thanos", 2, 409, "", 2},
		{"cortex", 1, 400, "", 2},
		{"cortex", 2, 400, "0", 2},
		{"broken", 2, 500, "", 0},
	} {
		t.Run(fmt.Sprint(row.as, row.protocol), func(t *testing.T) {
			tr := startTestReceiver(t, 0)
			tr.control(t, fmt.Sprintf(`{"refuse": {"as": %q, "match": {"__name__": "bad"}, "body": "no"}}`, row.as))
			samples := []testSample{{"a", 1, 1}, {"bad", 1, 1}, {"b", 1, 1}}
			raw := v1(t, samples...)
			if row.protocol == 2 {
				raw = v2(t, samples...)
			}
			for range 2 { // an exact repeat is taken
				code, h, body := tr.write(t, row.protocol, raw)
				if got := h.Get("X-Prometheus-Remote-Write-Samples-Written"); code != row.status || got != row.written || body != "no" {
					t.Errorf("status %d, %q written, %q", code, got, body)
				}
			}
			if got := strings.Count(tr.get(t, "/api/v1/samples"), `"time"`); got != row.stored {
				t.Errorf("%d stored, want %d", got, row.stored)
			}
			if s := tr.store.Stats(); s.Violations != 0 {
				t.Errorf("%d violations", s.Violations)
			}
		})
	}
}

// What is not newer than its series is refused too, but for the newest itself.
func TestRefuseKeepsOrder(t *testing.T) {
	tr := startTestReceiver(t, 0)
	tr.control(t, `{"refuse": {"as": "thanos"}}`)
	for i, row := range []struct {
		s    testSample
		want int
	}{
		{testSample{"a", 5, 1}, 204},
		{testSample{"a", 7, 1}, 204},
		{testSample{"a", 7, 1}, 204},
		{testSample{"a", 7, 2}, 409},
		{testSample{"a", 5, 1}, 409},
		{testSample{"a", 6, 1}, 409},
		{testSample{"a", 8, 1}, 204},
	} {
		if code, _, _ := tr.write(t, 1, v1(t, row.s)); code != row.want {
			t.Errorf("%d: status %d, want %d", i, code, row.want)
		}
	}
}
