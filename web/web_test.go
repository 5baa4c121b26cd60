package web

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/state"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// gateway is a store that tests push to without a log in between.
type gateway struct {
	*state.Store
	seq uint64
}

func newGateway() *gateway { return &gateway{Store: state.New(state.Options{})} }

// testTime is when a test's first push happens.
var testTime = time.Date(2026, 11, 22, 14, 43, 16, 814150788, time.UTC)

// apply makes one change and commits what comes of it.
func (g *gateway) apply(t testing.TB, c group.Change, now time.Time) {
	t.Helper()
	var records []*group.Record
	if err := g.Apply(c, now, func(r *group.Record) { records = append(records, r) }); err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		g.seq++
		g.Fold(r, g.seq)
	}
}

// put pushes families of the text format to the group job=a,instance=b.
func (g *gateway) put(t testing.TB, key, text string) {
	t.Helper()
	g.push(t, group.Change{Kind: group.KindPut}, testTime, key, parseText(t, text)...)
}

func (g *gateway) push(t testing.TB, c group.Change, now time.Time, key string, mfs ...*dto.MetricFamily) {
	t.Helper()
	part, err := group.FromDTO(mfs, group.BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.Part, c.Labels = part, keyOf(key)
	g.apply(t, c, now)
}

func (g *gateway) fail(t testing.TB, key string, now time.Time) {
	t.Helper()
	g.apply(t, group.Change{Kind: group.KindFail, Labels: keyOf(key)}, now)
}

// keyOf reads a grouping key such as job=a,instance=b.
func keyOf(key string) group.Labels {
	var l []group.Label
	for pair := range strings.SplitSeq(key, ",") {
		name, value, _ := strings.Cut(pair, "=")
		l = append(l, group.Label{Name: name, Value: value})
	}
	return group.NewLabels(l)
}

func parseText(t testing.TB, text string) []*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var mfs []*dto.MetricFamily
	for _, mf := range families {
		mfs = append(mfs, mf)
	}
	slices.SortFunc(mfs, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return mfs
}

// reply is a whole answer.
type reply struct {
	Status int
	Header http.Header
	Body   string
}

// request asks h.
func request(t testing.TB, h http.Handler, method, target string) reply {
	t.Helper()
	return serve(h, httptest.NewRequestWithContext(t.Context(), method, target, nil))
}

func serve(h http.Handler, r *http.Request) reply {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return reply{w.Code, w.Header(), w.Body.String()}
}

// inUTC makes times print alike on every machine.
func inUTC(t *testing.T) {
	t.Helper()
	local := time.Local // as Pushgateway, the API tells local time
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = local })
}

// routesOf lists every route of a handler with an address that it serves.
func routesOf(h *Handler) map[string]http.Handler {
	return map[string]http.Handler{
		"/metrics":         h.Metrics(),
		"/":                h.Pages()["/{$}"],
		"/groups":          h.Pages()["/groups"],
		"/live":            h.Pages()["/live"],
		"/static/page.css": h.Static(),
		"/debug/pprof/":    h.Pprof(),
		"/-/healthy":       h.Healthy(),
		"/-/ready":         h.Ready(),
		"/api/v1/metrics":  h.APIMetrics(),
		"/api/v1/status":   h.APIStatus(),
		"/api/v1/nothing":  Preflight(http.NotFoundHandler()),
	}
}

func newTestHandler(g *gateway) *Handler {
	return New(Options{
		Store: g.Store, Gatherer: prometheus.NewRegistry(), Process: Process{Started: testTime},
		Now: func() time.Time { return testTime.Add(90 * time.Second) },
	})
}
