package ingest

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/group"
)

// TestRefusalsAreBounded notes more than there is room for, in number and in bytes: the
// latest stay, the latest one of each group too, and the metric says what they take.
func TestRefusalsAreBounded(t *testing.T) {
	key := func(name string) group.Labels { return group.NewLabels([]group.Label{{Name: "job", Value: name}}) }
	for _, tt := range []struct {
		name  string
		limit int64
		text  string
		want  int
	}{
		{"number", 10 << 20, "no", maxRefusals},
		{"bytes", 100 << 10, strings.Repeat("x", 1700), 25},
		{"off", 0, "no", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &Handler{refusals: newRefusals(tt.limit, prometheus.NewRegistry())}
			r := httptest.NewRequestWithContext(t.Context(), "PUT", "/metrics/job/a", nil)
			note := func(key group.Labels, i int) {
				h.refusals.note(r, key, time.Unix(int64(i), 0), 400, reasonInvalid, tt.text)
			}
			note(key("quiet"), 1)
			for i := range 3000 {
				note(nil, i)
				note(key("loud"), i)
			}
			got := h.Refusals()
			if len(got) != tt.want {
				t.Errorf("%d are remembered, want %d", len(got), tt.want)
			}
			if len(got) > 0 && (got[0].Time.Unix() != 2999 || got[0].Job != "loud" || got[1].Job != "") {
				t.Errorf("the latest are %+v", got[:2])
			}
			if _, ok := h.LastRefusal(key("quiet").ID()); ok != (tt.limit > 0) {
				t.Errorf("that of the quiet group is remembered: %t", ok)
			}
			if got := h.refusals.recent.bytes + h.refusals.last.bytes; got > tt.limit {
				t.Errorf("%d bytes, at most %d are allowed", got, tt.limit)
			}
			for i := range 3000 {
				note(key(fmt.Sprint(i)), i)
			}
			if n := len(h.refusals.byGroup); n != h.refusals.last.Len() || n > maxRefusals {
				t.Errorf("%d groups in a list of %d", n, h.refusals.last.Len())
			}
		})
	}
}

// TestRefusalsMetric says what refusals take.
func TestRefusalsMetric(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := newRefusals(1<<20, reg)
	s.note(httptest.NewRequestWithContext(t.Context(), "PUT", "/metrics/job/a", nil), nil, time.Unix(1, 0), 400, reasonBody, strings.Repeat("x", 1000))
	families, err := reg.Gather()
	if err != nil || len(families) != 1 {
		t.Fatal(families, err)
	}
	if n := families[0].GetMetric()[0].GetGauge().GetValue(); n < 1000 || n > 2000 {
		t.Errorf("%v bytes", n)
	}
}
