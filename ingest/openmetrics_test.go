package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

const openMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8"

// scraped is what Prometheus' parser makes of a text: series with value, time, type, unit
// and exemplar. Times of creation are left out where the metric is there that has them.
func scraped(t testing.TB, text []byte) (series []string, err error) {
	t.Helper()
	p := textparse.NewOpenMetricsParser(text, labels.NewSymbolTable(), textparse.WithOMParserSTSeriesSkipped())
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			slices.Sort(series)
			return series, nil
		}
		if err != nil {
			return nil, err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var l labels.Labels
		p.Labels(&l)
		_, at, v := p.Series()
		line := fmt.Sprintf("%s %v", l.WithoutEmpty(), v)
		if at != nil {
			line += fmt.Sprint(" at ", *at)
		}
		var x exemplar.Exemplar
		if p.Exemplar(&x) && hasExemplars(l.Get(model.MetricNameLabel)) {
			line += fmt.Sprintf(" # %s %v", x.Labels, x.Value)
		}
		series = append(series, line)
	}
}

// hasExemplars leaves out samples that OpenMetrics has no exemplars for, though
// Prometheus' parser takes them.
func hasExemplars(name string) bool {
	return strings.HasSuffix(name, "_total") || strings.HasSuffix(name, "_bucket")
}

// pushed is what a destination is sent of the text.
func pushed(text []byte) (series []string, err error) {
	families, err := parseOpenMetrics(text, true, 0)
	if err != nil {
		return nil, err
	}
	part, err := group.FromDTO(families, group.BuildOptions{AcceptTimestamps: true})
	if err != nil {
		return nil, err
	}
	var c convert.Converter
	r := &group.Record{Kind: group.KindPut, Part: part, Members: part.Members(), Hide: group.OwnPushTime | group.OwnFailTime}
	all, skipped := c.Append(nil, r, convert.Options{SendNative: true})
	if skipped.Total() > 0 {
		return nil, fmt.Errorf("skipped %v", skipped)
	}
	for _, x := range all {
		line := fmt.Sprintf("%s %v", lset(x.Labels), x.Value)
		if x.Time != 0 {
			line += fmt.Sprint(" at ", x.Time)
		}
		for _, e := range x.Exemplars {
			line += fmt.Sprintf(" # %s %v", lset(e.Labels), e.Value)
		}
		series = append(series, line)
	}
	slices.Sort(series)
	return series, nil
}

func lset(in []group.Label) labels.Labels {
	b := labels.NewScratchBuilder(len(in))
	for _, l := range in {
		b.Add(l.Name, l.Value)
	}
	b.Sort()
	return b.Labels()
}

// TestOpenMetricsAsScraped has a push store what a scrape of the same text stores.
func TestOpenMetricsAsScraped(t *testing.T) {
	cases := map[string]string{
		"every type": `# TYPE c counter
# UNIT c_seconds seconds
# HELP c A counter.
c_total{a="b"} 1 # {trace_id="x"} 0.5 123.4
c_created{a="b"} 100.5
# TYPE g gauge
g 2
g{x=""} 3
# TYPE u unknown
u 4
# TYPE i info
i_info{version="1"} 1
# TYPE st stateset
st{st="on"} 1
st{st="off"} 0
# TYPE s summary
s{quantile="0.5"} 1
s_sum 2
s_count 3
s_created 100
# TYPE h histogram
h_bucket{le="1.0"} 1 # {trace_id="y"} 0.5
h_bucket{le="+Inf"} 2
h_sum 3
h_count 2
h_created 100
# TYPE gh gaugehistogram
gh_bucket{le="1"} 1
gh_bucket{le="+Inf"} 2
gh_gsum 3
gh_gcount 2
`,
		"without types":                     "a 1\nb_total 2\nc_bucket{le=\"1\"} 3\nc_created 4\n",
		"times":                             "# TYPE c counter\nc_total 1 123.456\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2 5\nh_sum 3 5\nh_count 2 5\n",
		"histogram with several times":      "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2 5\nh_sum 3 6\nh_count 2 5\n",
		"histogram without a sum":           "# TYPE h histogram\nh_bucket{le=\"-1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_count 2\n",
		"histogram without a count":         "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 2\n",
		"histogram without the last bucket": "# TYPE h histogram\nh_bucket{le=\"1.0\"} 2\nh_sum 2\nh_count 2\n",
		"histogram with a part of a count":  "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2.5\nh_sum 2\nh_count 2.5\n",
		"one of two histograms is whole":    "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 2\nh_count 2\nh_bucket{a=\"b\",le=\"+Inf\"} 2\n",
		"summary without a sum":             "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_count 2\n",
		"summary without quantiles":         "# TYPE s summary\ns_sum 1\ns_count 2\n",
		"a gauge of a histogram's name":     "# TYPE h histogram\nh 1\n",
		"a counter without its suffix":      "# TYPE c counter\nc 1\nc_total 2\n",
		"a family in two places":            "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\na{x=\"y\"} 2\n",
		"NaN and infinities":                "# TYPE g gauge\ng{a=\"1\"} NaN\ng{a=\"2\"} +Inf\ng{a=\"3\"} -Inf\n# TYPE s summary\ns_sum NaN\ns_count 2\n",
		"UTF-8 names":                       "# TYPE \"my.metric\" gauge\n{\"my.metric\",\"a.b\"=\"c\"} 1\n",
		"nothing":                           "",
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) { sameAsScrape(t, []byte(text+"# EOF\n")) })
	}
}

func sameAsScrape(t *testing.T, text []byte) {
	t.Helper()
	want, wantErr := scraped(t, text)
	got, err := pushed(text)
	if (err != nil) != (wantErr != nil) {
		t.Fatalf("%v; a scrape: %v", err, wantErr)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-scraped +pushed)\n%s", diff)
	}
}

// TestOpenMetricsOfPrometheus takes the texts with which Prometheus' parser is tested.
func TestOpenMetricsOfPrometheus(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus/prometheus").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "model/textparse/testdata/*.om.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%q %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasSuffix(text, []byte("# EOF\n")) {
			text = append(bytes.TrimRight(text, "\n"), "\n# EOF\n"...)
		}
		t.Run(filepath.Base(file), func(t *testing.T) { sameAsScrape(t, text) })
	}
}

func TestOpenMetricsRefusals(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"no EOF", "a 1\n", "OpenMetrics parsing error in line 2: data does not end with # EOF (that must be the last line: without it, nobody knows whether something is missing)\n"},
		{"something behind EOF", "a 1\n# EOF\nb 1\n", "OpenMetrics parsing error in line 2: unexpected data after # EOF\n"},
		{"value", "a 1\nb x\n# EOF\n", "OpenMetrics parsing error in line 2: strconv.ParseFloat: parsing \"x\": invalid syntax while parsing: \"b x\"\n"},
		{"blank line", "a 1\n\n# EOF\n", "OpenMetrics parsing error in line 2: "},
		{"UTF-8 name", "{\"a.b\"} 1\n# EOF\n", "OpenMetrics parsing error in line 1: invalid name \"a.b\": others than [a-zA-Z_:][a-zA-Z0-9_:]* need --push.enable-utf8-names\n"},
		{"time", "a 1 1\n# EOF\n", "pushed metrics are invalid or inconsistent with existing metrics: "},
		{"twice", "a 1\na 2\n# EOF\n", "pushed metrics are invalid or inconsistent with existing metrics: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, Options{})
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/metrics/job/j", strings.NewReader(tt.body))
			r.Header.Set("Content-Type", openMetricsType)
			w := httptest.NewRecorder()
			g.ServeHTTP(w, r)
			if w.Code != http.StatusBadRequest || !strings.HasPrefix(w.Body.String(), tt.want) {
				t.Errorf("%d %q, want %q", w.Code, w.Body, tt.want)
			}
		})
	}
}

// TestOpenMetricsByContentType reads the same body as what its type says.
func TestOpenMetricsByContentType(t *testing.T) {
	const body = "# TYPE c counter\nc_total 1\n# EOF\n"
	for contentType, want := range map[string]string{
		"": "untyped c_total", "text/plain; version=0.0.4": "untyped c_total",
		openMetricsType: "counter c_total", "application/openmetrics-text": "counter c_total",
	} {
		g := newRig(t, Options{})
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/metrics/job/j", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		var got []string
		if stored := g.store.Lookup(group.NewLabels([]group.Label{{Name: "job", Value: "j"}})); stored != nil {
			for _, m := range stored.Members {
				got = append(got, fmt.Sprint(m.Of().Type, " ", m.Of().Name))
			}
		}
		if w.Code != http.StatusOK || strings.Join(got, ",") != want {
			t.Errorf("%q: %d, %q, want %q", contentType, w.Code, got, want)
		}
	}
}

func FuzzOpenMetrics(f *testing.F) {
	f.Add([]byte("# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2 # {a=\"b\"} 1\nh_sum 3\nh_count 2\n# EOF\n"))
	f.Add([]byte("# TYPE c counter\nc_total 1 5\nc_created 4\n# EOF\n"))
	f.Add([]byte("# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum NaN\n# EOF\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, want := scraped(t, text)
		_, err := parseOpenMetrics(text, true, 0)
		if (err != nil) != (want != nil) {
			t.Errorf("%v; a scrape: %v", err, want)
		}
	})
}

// TestSaysText: what says that it is text is nothing else, by the rules for media types.
func TestSaysText(t *testing.T) {
	for contentType, want := range map[string]bool{
		"":           false,
		"text/plain": true,
		"text/plain; version=0.0.4; charset=utf-8; escaping=values": true,
		" \tText/Plain;version=0.0.4":                               true,
		"text/plain; encoding=delimited; proto=io.prometheus.client.MetricFamily; x=application/vnd.google.protobuf": true,
		"text": false,
		"application/openmetrics-text; version=1.0.0":                                                           false,
		"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited":          false,
		" application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; text/=": false,
	} {
		r := &http.Request{Header: http.Header{"Content-Type": {contentType}}}
		if got := saysText(r); got != want || got && (isProtobuf(r) || isOpenMetrics(r)) {
			t.Errorf("%q: %v, want %v; protobuf %v, OpenMetrics %v", contentType, got, want, isProtobuf(r), isOpenMetrics(r))
		}
	}
}
