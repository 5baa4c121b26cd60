package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
)

// meant is a difference from Pushgateway that is meant: a row of the tables in
// docs/compatibility.md.
type meant struct {
	name  string
	steps []step
	// The statuses of the steps, and what /metrics then shows, lines that begin
	// with one of shown, in their order.
	shown        []string
	ours, theirs outcome
}

type outcome struct {
	Statuses []int
	Lines    []string
}

// TestMeantDifferences holds docs/compatibility.md to a current Pushgateway: it
// does what the tables say that it does, and we do not.
func TestMeantDifferences(t *testing.T) {
	checked, unchecked := []string{"--web.enable-admin-api"}, []string{"--web.enable-admin-api", "--push.disable-consistency-check"}
	for _, mode := range []struct {
		name  string
		args  []string
		meant []meant
	}{{"checked", checked, meantDifferences()}, {"unchecked", unchecked, meantUnchecked()}} {
		t.Run(mode.name, func(t *testing.T) {
			ours, theirs := startPushbridge(t, mode.args...), startCurrentPushgateway(t, mode.args...)
			for _, d := range mode.meant {
				t.Run(d.name, func(t *testing.T) {
					if diff := cmp.Diff(d.ours, d.on(t, ours)); diff != "" {
						t.Errorf("pushbridge (-want +got):\n%s", diff)
					}
					if diff := cmp.Diff(d.theirs, d.on(t, theirs)); diff != "" {
						t.Errorf("Pushgateway (-want +got):\n%s", diff)
					}
				})
				wipe(t, ours, theirs)
			}
		})
	}
}

func (d meant) on(t *testing.T, g *gateway) outcome {
	t.Helper()
	var got outcome
	for _, s := range d.steps {
		got.Statuses = append(got.Statuses, do(t, g.url, s).status)
	}
	_, view, err := get(g.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(view) {
		if slices.ContainsFunc(d.shown, func(p string) bool { return strings.HasPrefix(line, p) }) {
			got.Lines = append(got.Lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return got
}

func meantDifferences() []meant {
	const classic = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n"
	const gaugeHistogram = "# TYPE h gaugehistogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n"
	family := func(name, help string) step {
		return put("a", delimited(&dto.MetricFamily{
			Name: &name, Help: &help, Type: dto.MetricType_GAUGE.Enum(),
			Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: proto.Float64(1)}}},
		})).with("Content-Type", protobufType)
	}
	zero, five := `push_failure_time_seconds{instance="",job="a"} 0`, `push_failure_time_seconds{instance="",job="a"} 5`
	return []meant{
		{
			name: "order of series within a group", steps: []step{put("a", "m{b=\"2\"} 1\nm 2\nm{b=\"1\"} 3\n")}, shown: []string{"m{"},
			ours:   outcome{[]int{200}, []string{`m{b="2",instance="",job="a"} 1`, `m{instance="",job="a"} 2`, `m{b="1",instance="",job="a"} 3`}},
			theirs: outcome{[]int{200}, []string{`m{instance="",job="a"} 2`, `m{b="1",instance="",job="a"} 3`, `m{b="2",instance="",job="a"} 1`}},
		},
		{
			name: "pushed failure time in a new group", steps: []step{put("a", failedAt5)}, shown: []string{"push_failure_time_seconds"},
			ours: outcome{[]int{200}, []string{five}}, theirs: outcome{[]int{200}, []string{zero}},
		},
		{
			name: "pushed failure time without a type", steps: []step{put("a", gauge1), put("a", "push_failure_time_seconds 5\n")}, shown: []string{"# TYPE push_f", "push_failure_time_seconds"},
			ours:   outcome{[]int{200, 200}, []string{"# TYPE push_failure_time_seconds gauge", five}},
			theirs: outcome{[]int{200, 200}, []string{"# TYPE push_failure_time_seconds untyped", five}},
		},
		{
			name: "label le on a histogram", steps: []step{put("a/le/x", classic)}, shown: []string{"h_sum"},
			ours: outcome{[]int{400}, nil}, theirs: outcome{[]int{200}, []string{`h_sum{instance="",job="a",le="x"} 1`}},
		},
		{
			name: "help that is not UTF-8", steps: []step{family("m", "a\xffb")}, shown: []string{"# HELP m "},
			ours: outcome{[]int{200}, []string{"# HELP m a\uFFFDb"}}, theirs: outcome{[]int{200}, []string{"# HELP m a\xffb"}},
		},
		{
			name: "metric name that is not UTF-8", steps: []step{family("\xff", "help")}, shown: []string{"_{"},
			ours: outcome{[]int{400}, nil}, theirs: outcome{[]int{200}, []string{`_{instance="",job="a"} 1`}},
		},
		{
			name: "DELETE of a value that is not UTF-8", steps: []step{req(http.MethodDelete, "/metrics/job/a/l@base64/_w")},
			ours: outcome{[]int{400}, nil}, theirs: outcome{[]int{202}, nil},
		},
		{
			name: "gauge histogram beside a histogram", steps: []step{put("a", gaugeHistogram), put("b", classic)}, shown: []string{"h_sum"},
			ours:   outcome{[]int{200, 400}, []string{`h_sum{instance="",job="a"} 1`}},
			theirs: outcome{[]int{200, 200}, []string{`h_sum{instance="",job="a"} 1`, `h_sum{instance="",job="b"} 1`}},
		},
		{
			name: "gauge histogram beside the name of a component", steps: []step{put("a", gaugeHistogram), put("b", "h_sum 2\n")}, shown: []string{"h_sum"},
			ours:   outcome{[]int{200, 400}, []string{`h_sum{instance="",job="a"} 1`}},
			theirs: outcome{[]int{200, 200}, []string{`h_sum{instance="",job="a"} 1`, `h_sum{instance="",job="b"} 2`}},
		},
		{
			name: "reload", steps: []step{req(http.MethodPost, "/-/reload")},
			ours: outcome{[]int{403}, nil}, theirs: outcome{[]int{404}, nil},
		},
		{
			name: "files of the page", steps: []step{req(http.MethodGet, "/static/page.css"), req(http.MethodGet, "/static/prometheus.css")},
			ours: outcome{[]int{200, 404}, nil}, theirs: outcome{[]int{404, 200}, nil},
		},
	}
}

func meantUnchecked() []meant {
	return []meant{{
		name: "unchecked push with a reserved label", steps: []step{put("a", "m{__x=\"y\"} 1\n"), req(http.MethodGet, "/metrics")}, shown: []string{"push_time_seconds"},
		ours: outcome{[]int{202, 200}, []string{`push_time_seconds{instance="",job="a"} 0`}}, theirs: outcome{[]int{202, 500}, nil},
	}}
}
