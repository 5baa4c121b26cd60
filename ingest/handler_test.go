package ingest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
)

// step is one request and its answer.
type step struct {
	request string // method and path
	body    string // text, or protobuf written as text behind "proto:", or its bytes behind "raw:"
	status  int
	say     string // part of the answer's body; empty: the body is empty
}

func (s step) run(t *testing.T, g *rig) {
	t.Helper()
	method, path, _ := strings.Cut(s.request, " ")
	contentType := "text/plain"
	body := s.body
	if family, ok := strings.CutPrefix(body, "proto:"); ok {
		body, contentType = delimited(t, family), protoType
	}
	if raw, ok := strings.CutPrefix(body, "raw:"); ok {
		body, contentType = raw, protoType
	}
	w := g.do(method, path, body, "Content-Type: "+contentType)
	answer := w.Body.String()
	if w.Code != s.status || !strings.Contains(answer, s.say) || (s.say == "") != (answer == "") {
		t.Errorf("%s: got %d %q, want %d %q", s.request, w.Code, answer, s.status, s.say)
	}
}

func put(path, body string) step { return step{"PUT /metrics/job/" + path, body, 200, ""} }
func post(body string) step      { return step{"POST /metrics/job/a", body, 200, ""} }

var del = step{"DELETE /metrics/job/a", "", 202, ""}

// refused is a PUT that is answered 400.
func refused(path, body, say string) step { return step{"PUT /metrics/job/" + path, body, 400, say} }

const inconsistent = "pushed metrics are invalid or inconsistent with existing metrics: "

func TestAnswers(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options Options
		steps   []step
		want    string // the state afterwards
	}{
		{
			name: "PUT is answered 200 with an empty body", steps: []step{put("a", "m 1\n")},
			want: "{job=\"a\"} pushed\n\tm{instance=\"\",job=\"a\"} 1\n",
		},
		{
			name: "POST is answered 200 with an empty body", steps: []step{post("m 1\n")},
			want: "{job=\"a\"} pushed\n\tm{instance=\"\",job=\"a\"} 1\n",
		},
		{name: "DELETE is answered 202", steps: []step{put("a", "m 1\n"), del}},
		{name: "DELETE of an absent group is answered 202", steps: []step{del}},
		{name: "DELETE takes exactly one group", steps: []step{put("a/x/1", ""), put("a", ""), del}, want: "{job=\"a\",x=\"1\"} pushed\n"},
		{name: "DELETE with a malformed path", steps: []step{{"DELETE /metrics/job/a/x", "", 400, "odd number"}}},
		{name: "malformed text leaves no trace", steps: []step{refused("a", "m\n", "line 1, column 2")}},
		{name: "malformed protobuf leaves no trace", steps: []step{refused("a", "raw:\x04abcd", "protobuf body: message 1")}},
		{name: "malformed path leaves no trace", steps: []step{refused("a/x", "m 1\n", "odd number of components")}},
		{name: "the path is looked at before the body", steps: []step{refused("a/x", "m\n", "odd number of components")}},
		{
			name: "malformed text leaves a group as it was", steps: []step{put("a", "m 1\n"), refused("a", "m 2\nn\n", "line 2")},
			want: "{job=\"a\"} pushed\n\tm{instance=\"\",job=\"a\"} 1\n",
		},
		{
			name: "explicit timestamp", steps: []step{refused("a", "m 1 1000\n", inconsistent+"metric m: pushed metrics must not have timestamps")},
			want: "{job=\"a\"} failed\n",
		},
		{
			name: "explicit timestamp of push_time_seconds", steps: []step{refused("a", "push_time_seconds 1 1000\n", inconsistent+"metric family \"push_time_seconds\": pushed metrics must not have timestamps")},
			want: "{job=\"a\"} failed\n",
		},
		{
			name: "explicit timestamp 0", steps: []step{refused("a", "m{x=\"y\"} 1 0\n", inconsistent+"metric m{x=\"y\"}: pushed metrics must not have timestamps")},
			want: "{job=\"a\"} failed\n",
		},
		{
			name: "duplicate series in one push", steps: []step{refused("a", "m{x=\"1\"} 1\nm{x=\"1\"} 2\n", inconsistent+"metric m{instance=\"\",job=\"a\",x=\"1\"}")},
			want: "{job=\"a\"} failed\n",
		},
		{
			name: "a refused push keeps the families", steps: []step{put("a", "m 1\n"), refused("a", "n 1 2\n", inconsistent)},
			want: "{job=\"a\"} pushed failed\n\tm{instance=\"\",job=\"a\"} 1\n",
		},
		{
			name: "a refused POST keeps the families", steps: []step{put("a", "m 1\n"), {"POST /metrics/job/a", "m 1 2\n", 400, inconsistent}},
			want: "{job=\"a\"} pushed failed\n\tm{instance=\"\",job=\"a\"} 1\n",
		},
		{
			name: "success keeps the failure time", steps: []step{refused("a", "n 1 2\n", inconsistent), put("a", "")},
			want: "{job=\"a\"} pushed failed\n",
		},
		{
			name: "DELETE resets both times", steps: []step{refused("a", "n 1 2\n", inconsistent), put("a", ""), del, put("a", "")},
			want: "{job=\"a\"} pushed\n",
		},

		{name: "unchecked push is answered 202", options: Options{Unchecked: true}, steps: []step{{"PUT /metrics/job/a", "m 1\n", 202, ""}}, want: "{job=\"a\"} pushed\n\tm{instance=\"\",job=\"a\"} 1\n"},
		{
			name: "unchecked push with a timestamp is dropped", options: Options{Unchecked: true},
			steps: []step{{"PUT /metrics/job/a", "m 1\n", 202, ""}, {"PUT /metrics/job/a", "m 2 0\n", 202, ""}},
			want:  "{job=\"a\"} pushed failed\n\tm{instance=\"\",job=\"a\"} 1\n",
		},
		{
			name: "unchecked pushes may be inconsistent", options: Options{Unchecked: true},
			steps: []step{{"PUT /metrics/job/a", "# TYPE m gauge\nm 1\n", 202, ""}, {"PUT /metrics/job/b", "# TYPE m counter\nm 1\n", 202, ""}},
			want:  "{job=\"a\"} pushed\n\tm{instance=\"\",job=\"a\"} 1\n{job=\"b\"} pushed\n\tm{instance=\"\",job=\"b\"} 1\n1 conflict\n",
		},
		{name: "unchecked push that is malformed", options: Options{Unchecked: true}, steps: []step{refused("a", "m\n", "line 1")}},

		{
			name: "wipe ends every group", options: Options{AdminAPI: true},
			steps: []step{put("a", "m 1\n"), put("b/x/y", "m 1\n"), refused("c", "m 1 1", inconsistent), {"PUT /api/v1/admin/wipe", "", 202, ""}},
		},
		{name: "wipe of nothing", options: Options{AdminAPI: true}, steps: []step{{"PUT /api/v1/admin/wipe", "", 202, ""}}},
		{
			name: "wipe is PUT only", options: Options{AdminAPI: true},
			steps: []step{put("a", ""), {"POST /api/v1/admin/wipe", "", 405, "Method Not Allowed"}, {"DELETE /api/v1/admin/wipe", "", 405, "Method Not Allowed"}},
			want:  "{job=\"a\"} pushed\n",
		},
		{
			name:  "wipe without the admin API",
			steps: []step{put("a", ""), {"PUT /api/v1/admin/wipe", "", 404, "404"}, {"GET /api/v1/admin/wipe", "", 404, "404"}, {"OPTIONS /api/v1/admin/wipe", "", 200, ""}},
			want:  "{job=\"a\"} pushed\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, tc.options)
			for _, s := range tc.steps {
				s.run(t, g)
			}
			if diff := cmp.Diff(tc.want, g.state()); diff != "" {
				t.Errorf("state (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGroups(t *testing.T) {
	for _, tc := range []struct {
		name  string
		steps []step
		want  string // the state afterwards
	}{
		{name: "PUT replaces the group", steps: []step{put("a", "m 1\nn 1\n"), put("a", "m 2\n")}, want: "{job=\"a\"} pushed\n\tm{instance=\"\",job=\"a\"} 2\n"},
		{name: "PUT with an empty body empties the group", steps: []step{put("a", "m 1\n"), put("a", "")}, want: "{job=\"a\"} pushed\n"},
		{
			name: "POST with an empty body keeps the families", steps: []step{put("a", "m 1\n"), post("")},
			want: "{job=\"a\"} pushed\n\tm{instance=\"\",job=\"a\"} 1\n",
		},
		{name: "POST with an empty body makes a group", steps: []step{post("")}, want: "{job=\"a\"} pushed\n"},
		{
			name: "POST replaces whole families", steps: []step{put("a", "m{x=\"1\"} 1\nm{x=\"2\"} 2\nn 1\n"), post("m{x=\"3\"} 3\n")},
			want: "{job=\"a\"} pushed\n\tm{instance=\"\",job=\"a\",x=\"3\"} 3\n\tn{instance=\"\",job=\"a\"} 1\n",
		},
		{
			name: "POST may change the type", steps: []step{put("a", "# TYPE m gauge\nm 1\nn 1\n"), post("# TYPE m counter\nm 3\n")},
			want: "{job=\"a\"} pushed\n\tm{instance=\"\",job=\"a\"} 3\n\tn{instance=\"\",job=\"a\"} 1\n",
		},
		{
			name: "labels of the URL win", steps: []step{put("a/x/1", "m{x=\"2\",job=\"b\",y=\"3\"} 1\n")},
			want: "{job=\"a\",x=\"1\"} pushed\n\tm{instance=\"\",job=\"a\",x=\"1\",y=\"3\"} 1\n",
		},
		{
			name: "instance of the body is kept", steps: []step{put("a", "m{instance=\"i\"} 1\n")},
			want: "{job=\"a\"} pushed\n\tm{instance=\"i\",job=\"a\"} 1\n",
		},
		{
			name: "instance of the URL wins", steps: []step{put("a/instance/u", "m{instance=\"i\"} 1\n")},
			want: "{instance=\"u\",job=\"a\"} pushed\n\tm{instance=\"u\",job=\"a\"} 1\n",
		},
		{
			name: "an empty label makes another series", steps: []step{put("a", "m{x=\"\"} 1\nm 2\n")},
			want: "{job=\"a\"} pushed\n\tm{instance=\"\",job=\"a\",x=\"\"} 1\n\tm{instance=\"\",job=\"a\"} 2\n",
		},
		{
			name: "same series in two groups", steps: []step{put("a/x/1", "m{y=\"2\"} 1\n"), refused("a/y/2", "m{x=\"1\"} 1\n", inconsistent+"metric m{instance=\"\",job=\"a\",x=\"1\",y=\"2\"}")},
			want: "{job=\"a\",x=\"1\"} pushed\n\tm{instance=\"\",job=\"a\",x=\"1\",y=\"2\"} 1\n{job=\"a\",y=\"2\"} failed\n",
		},
		{
			name: "the message names the other group", steps: []step{put("a/x/1", "m{y=\"2\"} 1\n"), refused("a/y/2", "m{x=\"1\"} 1\n", "in group {job=\"a\",x=\"1\"}")},
			want: "{job=\"a\",x=\"1\"} pushed\n\tm{instance=\"\",job=\"a\",x=\"1\",y=\"2\"} 1\n{job=\"a\",y=\"2\"} failed\n",
		},
		{
			name: "type conflict between groups", steps: []step{put("a", "# TYPE m gauge\nm 1\n"), refused("b", "# TYPE m counter\nm 1\n", inconsistent+"metric family \"m\"")},
			want: "{job=\"a\"} pushed\n\tm{instance=\"\",job=\"a\"} 1\n{job=\"b\"} failed\n",
		},
		{
			name: "summary against a family with its count's name", steps: []step{put("a", "s_count 1\n"), refused("b", "# TYPE s summary\ns_count 1\n", inconsistent)},
			want: "{job=\"a\"} pushed\n\ts_count{instance=\"\",job=\"a\"} 1\n{job=\"b\"} failed\n",
		},
		{
			name: "a family with a histogram's bucket name", steps: []step{put("a", "# TYPE h histogram\nh_count 1\n"), refused("b", "h_bucket 1\n", inconsistent)},
			want: "{job=\"a\"} pushed\n\th_bucket{instance=\"\",job=\"a\",le=\"+Inf\"} 1\n\th_sum{instance=\"\",job=\"a\"} 0\n\th_count{instance=\"\",job=\"a\"} 1\n{job=\"b\"} failed\n",
		},
		{
			name: "different help between groups", steps: []step{put("a", "# HELP m one\nm 1\n"), put("b", "# HELP m two\nm 1\n")},
			want: "{job=\"a\"} pushed\n\tm{instance=\"\",job=\"a\"} 1\n{job=\"b\"} pushed\n\tm{instance=\"\",job=\"b\"} 1\n",
		},
		{
			name: "own family with the same type", steps: []step{put("a", "# TYPE go_goroutines gauge\ngo_goroutines 1\n")},
			want: "{job=\"a\"} pushed\n\tgo_goroutines{instance=\"\",job=\"a\"} 1\n",
		},
		{
			name: "own family with another type", steps: []step{refused("a", "# TYPE go_goroutines counter\ngo_goroutines 1\n", inconsistent+"metric family \"go_goroutines\"")},
			want: "{job=\"a\"} failed\n",
		},
		{name: "pushed push_time_seconds is overwritten", steps: []step{put("a", "push_time_seconds 1\n")}, want: "{job=\"a\"} pushed\n"},
		{
			name: "pushed push_failure_time_seconds is stored", steps: []step{put("a", "push_failure_time_seconds 1\n")},
			want: "{job=\"a\"} pushed\n\tpush_failure_time_seconds{instance=\"\",job=\"a\"} 1\n",
		},
		{
			name: "own times of two groups collide", steps: []step{put("a", "m 1\n"), refused("a/instance@base64/=", "n 1\n", inconsistent)},
			want: "{job=\"a\"} pushed\n\tm{instance=\"\",job=\"a\"} 1\n",
		},
		{
			name: "reserved label in the body", steps: []step{refused("a", "m{__x=\"y\"} 1\n", inconsistent+"metric m{__x=\"y\"}: invalid label name \"__x\"")},
			want: "{job=\"a\"} failed\n",
		},
		{
			name:  "protobuf names need not be legacy names",
			steps: []step{put("a", `proto:name: "m.n" type: UNTYPED metric { label { name: "x.y" value: "z" } untyped { value: 1 } }`)},
			want:  "{job=\"a\"} pushed\n\t{\"m.n\",instance=\"\",job=\"a\",\"x.y\"=\"z\"} 1\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, Options{})
			for _, s := range tc.steps {
				s.run(t, g)
			}
			if diff := cmp.Diff(tc.want, g.state()); diff != "" {
				t.Errorf("state (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFaults has what Pushgateway accepts and is broken by.
func TestFaults(t *testing.T) {
	native := func(rest string) string {
		return `name: "h" type: HISTOGRAM metric { histogram { sample_count: 2 sample_sum: 3 schema: 1 zero_threshold: 0.1 ` + rest + ` } }`
	}
	for _, tc := range []struct {
		name   string
		family string // protobuf as text
		status int
		say    string
	}{
		{"family without a name", `type: GAUGE metric { gauge { value: 1 } }`, 400, "has no name"},
		{"family without a name and metrics", `help: "x"`, 400, "has no name"},
		{"unknown type", `name: "m" type: 99`, 400, "unknown metric type 99"},
		{"gauge histogram without histogram", `name: "m" type: GAUGE_HISTOGRAM metric { gauge { value: 1 } }`, 400, "is not a gauge_histogram"},
		{"gauge without gauge", `name: "m" type: GAUGE metric { counter { value: 1 } }`, 400, "is not a gauge"},
		{"native histogram", native(`positive_span { offset: 0 length: 2 } positive_delta: 1 positive_delta: 0`), 200, ""},
		{"native histogram with missing buckets", native(`positive_span { offset: 0 length: 3 } positive_delta: 1 positive_delta: 0`), 400, "metric h:"},
		{"native histogram with a negative bucket", native(`positive_span { offset: 0 length: 2 } positive_delta: 1 positive_delta: -2`), 400, "metric h:"},
		{"native histogram whose count is too small", native(`positive_span { offset: 0 length: 2 } positive_delta: 5 positive_delta: 0`), 400, "metric h:"},
		{"push_failure_time_seconds that is no gauge", `name: "push_failure_time_seconds" type: COUNTER metric { counter { value: 1 } }`, 400, "is a counter, but a gauge of that name exists"},
		{"label value that is not UTF-8", `name: "m" type: GAUGE metric { label { name: "x" value: "\xff" } gauge { value: 1 } }`, 400, "is not valid UTF-8"},
		{"family name that is not UTF-8", `name: "\xff" type: GAUGE metric { gauge { value: 1 } }`, 400, "is not valid UTF-8"},
		{"classic histogram whose buckets and count disagree", `name: "h" type: HISTOGRAM metric { histogram { sample_count: 1 bucket { upper_bound: 1 cumulative_count: 5 } } }`, 200, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, Options{})
			w := g.do("PUT", "/metrics/job/a", delimited(t, tc.family), "Content-Type: "+protoType)
			if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.say) {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tc.status, tc.say)
			}
			if w := g.do("PUT", "/metrics/job/b", "other 1\n"); w.Code != 200 {
				t.Errorf("a later push: %d %q", w.Code, w.Body)
			}
		})
	}
}

func TestRefusedPushesAreBounded(t *testing.T) {
	g := newRig(t, Options{})
	for i := range 2000 {
		if w := g.do("PUT", fmt.Sprintf("/metrics/job/%d", i), "m 1 1\n"); w.Code != 400 {
			t.Fatalf("got %d %q", w.Code, w.Body)
		}
	}
	if n := len(g.keys()); n > 1000 {
		t.Errorf("%d groups exist because of refused pushes", n)
	}
}

func TestStateLimits(t *testing.T) {
	for _, tc := range []struct {
		name   string
		limits Limits
		steps  []step
		want   string // the groups afterwards
	}{
		{"groups", Limits{MaxGroups: 1}, []step{put("a", "m 1\n"), put("a", "m 2\n"), refused("b", "m 1\n", "--push.max-groups=1")}, `{job="a"}`},
		{"groups of refused pushes", Limits{MaxGroups: 1}, []step{put("a", "m 1\n"), refused("b", "m 1 1\n", "timestamp")}, `{job="a"}`},
		{"series of a push", Limits{MaxSeries: 2}, []step{put("a", "m 1\nn 1\n"), refused("b", "m 1\nn 1\no 1\n", "--push.max-series-per-group=2")}, `{job="a"} {job="b"}`},
		{"series of a group", Limits{MaxSeries: 2}, []step{put("a", "m 1\nn 1\n"), {"POST /metrics/job/a", "o 1\n", 400, "--push.max-series-per-group=2"}}, `{job="a"}`},
		{"label value in the body", Limits{MaxLabelLength: 5}, []step{put("a", "m{x=\"12345\"} 1\n"), refused("b", "m{x=\"123456\"} 1\n", "--push.max-label-length=5")}, `{job="a"} {job="b"}`},
		{"label name in the body", Limits{MaxLabelLength: 5}, []step{refused("b", "m{abcdef=\"1\"} 1\n", "--push.max-label-length=5")}, `{job="b"}`},
		{"label value in the path", Limits{MaxLabelLength: 5}, []step{refused("abcdef", "m 1\n", "--push.max-label-length")}, ``},
		{"labels of a series", Limits{MaxLabels: 2}, []step{put("a", "m{x=\"1\",y=\"=\"} 1\n"), refused("b", "m{x=\"1\",y=\"2\",z=\"3\"} 1\n", "--push.max-labels-per-series=2")}, `{job="a"} {job="b"}`},
		{"labels of a series without line end", Limits{MaxLabels: 1}, []step{refused("b", "m{x=\"1\",y=\"2\",z=\"3\"} 1", "--push.max-labels-per-series=1")}, `{job="b"}`},
		{"labels of a bucket", Limits{MaxLabels: 2}, []step{put("a", "# TYPE h histogram\nh_bucket{x=\"1\",y=\"2\",le=\"1\"} 1\nh_count{x=\"1\",y=\"2\"} 1\n")}, `{job="a"}`},
		{"labels in protobuf", Limits{MaxLabels: 1}, []step{refused("b", `proto:name: "m" type: GAUGE metric { label { name: "x" value: "1" } label { name: "y" value: "2" } gauge { value: 1 } }`, "--push.max-labels-per-series=1")}, `{job="b"}`},
		{"labels in the path", Limits{MaxLabels: 2}, []step{put("a/x/1", "m 1\n"), refused("b/x/1/y/2", "m 1\n", "--push.max-labels-per-series")}, `{job="a",x="1"}`},
		{"a mistake before too many labels", Limits{MaxLabels: 1}, []step{refused("b", "m\nm{a=\"1\",b=\"2\",c=\"3\"} 1\n", "line 1, column 2")}, ``},
		{"without checks", Limits{MaxSeries: 1}, []step{refused("a", "m 1\nn 1\n", "--push.max-series-per-group=1")}, `{job="a"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, Options{Limits: tc.limits, Unchecked: tc.name == "without checks"})
			for _, s := range tc.steps {
				s.run(t, g)
			}
			if got := strings.Join(g.keys(), " "); got != tc.want {
				t.Errorf("groups %s, want %s", got, tc.want)
			}
		})
	}
}

func TestUnavailable(t *testing.T) {
	g := newRig(t, Options{AdminAPI: true})
	put("a", "m 1\n").run(t, g)
	g.stopLog()
	for _, request := range []string{"PUT /metrics/job/a", "POST /metrics/job/a", "DELETE /metrics/job/a", "PUT /api/v1/admin/wipe"} {
		method, path, _ := strings.Cut(request, " ")
		w := g.do(method, path, "m 2\n")
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "not known to be kept") {
			t.Errorf("%s: got %d %v %q", request, w.Code, w.Header(), w.Body)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, GroupsPath+`?match[]={job="a"}`, nil)
	g.ServeGroups(w, r)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"errorType":"unavailable"`) {
		t.Errorf("DELETE by matcher: got %d %v %q", w.Code, w.Header(), w.Body)
	}
	step{"PUT /metrics/job/a/x", "m 2\n", 400, "odd number"}.run(t, g)
	if diff := cmp.Diff("{job=\"a\"} pushed\n\tm{instance=\"\",job=\"a\"} 1\n", g.state()); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestClassify(t *testing.T) {
	for _, tc := range []struct {
		err        error
		status     int
		why        reason
		retryAfter string
	}{
		{pathErrorf("x"), 400, reasonPath, ""},
		{bodyErrorf("x"), 400, reasonBody, ""},
		{&TooLargeError{}, 413, reasonTooLarge, ""},
		{&group.InvalidError{Err: errors.New("x")}, 400, reasonInvalid, ""},
		{&group.InvalidError{Err: group.ErrLimit}, 400, reasonLimit, ""},
		{&group.ConflictError{}, 400, reasonConflict, ""},
		{fmt.Errorf("wrapped: %w", &group.ConflictError{}), 400, reasonConflict, ""},
		{ErrInFlight, 503, reasonBusy, "1"},
		{fmt.Errorf("%w: %w", gateway.ErrNotKept, queue.ErrBusy), 503, reasonBusy, "1"},
		{fmt.Errorf("%w: %w", gateway.ErrNotKept, queue.ErrFull), 503, reasonUnavailable, "5"},
		{errors.New("x"), 500, reasonInternal, ""},
	} {
		status, why, retryAfter := classify(tc.err)
		if status != tc.status || why != tc.why || retryAfter != tc.retryAfter {
			t.Errorf("%v: got %d %s %q", tc.err, status, why, retryAfter)
		}
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	shared := RequestCounter(reg)
	g := newRig(t, Options{Registerer: reg, AdminAPI: true})
	put("a", "m 1\n").run(t, g)
	refused("a", "m\n", "line 1").run(t, g)
	del.run(t, g)
	step{"PUT /api/v1/admin/wipe", "", 202, ""}.run(t, g)
	step{"GET /metrics/job/a", "", 405, "Method"}.run(t, g)

	const requests = "pushgateway_http_requests_total"
	want := `
# HELP pushgateway_http_requests_total HTTP requests processed, scrapes excluded, under the name that Pushgateway uses.
# TYPE pushgateway_http_requests_total counter
pushgateway_http_requests_total{code="200",handler="push",method="put"} 1
pushgateway_http_requests_total{code="202",handler="delete",method="delete"} 1
pushgateway_http_requests_total{code="202",handler="wipe",method="put"} 1
pushgateway_http_requests_total{code="400",handler="push",method="put"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), requests); err != nil {
		t.Error(err)
	}
	if RequestCounter(reg) != shared {
		t.Error("a second counter of requests")
	}
	if got := testutil.ToFloat64(g.metrics.refused.WithLabelValues("body")); got != 1 {
		t.Errorf("refused for the body: %v", got)
	}
	for _, name := range []string{"pushgateway_http_push_size_bytes", "pushgateway_http_push_duration_seconds"} {
		if n, err := testutil.GatherAndCount(reg, name); err != nil || n != 1 {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

func TestLimitsValidate(t *testing.T) {
	if err := (Limits{}).Validate(); err != nil {
		t.Error(err)
	}
	err := Limits{MaxSeries: -1}.Validate()
	if err == nil || !strings.Contains(err.Error(), "--push.max-series-per-group") {
		t.Errorf("got %v", err)
	}
}

func TestTTL(t *testing.T) {
	for _, tc := range []struct {
		name  string
		query string
		want  time.Duration
		say   string
	}{
		{"default", "", time.Hour, ""},
		{"other parameters", "?x=y", time.Hour, ""},
		{"of the push", "?ttl=26h", 26 * time.Hour, ""},
		{"days", "?ttl=1d", 24 * time.Hour, ""},
		{"for ever", "?ttl=0", 0, ""},
		{"not a duration", "?ttl=soon", 0, "ttl in the query: not a valid duration string"},
		{"empty", "?ttl=", 0, "ttl in the query: empty duration string"},
		{"negative", "?ttl=-1h", 0, "ttl in the query"},
		{"a semicolon behind it", "?ttl=26h;x=y", 0, "the query cannot be read: invalid semicolon separator in query"},
		{"an escape that is none", "?ttl=%zz", 0, "the query cannot be read: invalid URL escape"},
		{"something else that cannot be read", "?x=%zz", time.Hour, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, Options{})
			g.store.SetRules(group.NewRules(group.Policy{TTL: time.Hour}, nil))
			s := put("a"+tc.query, "m 1\n")
			if tc.say != "" {
				s.status, s.say = 400, tc.say
			}
			s.run(t, g)
			for _, gr := range g.store.Groups() {
				if got := time.Duration(gr.TTL); got != tc.want {
					t.Errorf("the group lives %v, want %v", got, tc.want)
				}
			}
		})
	}
}

// TestOneTime holds that one push has one time.
func TestOneTime(t *testing.T) {
	now := time.Unix(1_700_000_000, 123_456_789)
	g := newRig(t, Options{Now: func() time.Time { return now }})
	put("a", "m 1\n").run(t, g)
	refused("a", "m 1 1\n", inconsistent).run(t, g)
	g.settle()
	gr := g.store.Groups()[0]
	if gr.Push != now.UnixNano() || gr.Fail != now.UnixNano() {
		t.Errorf("push time %d, failure time %d, want %d", gr.Push, gr.Fail, now.UnixNano())
	}
}

// FuzzPush takes bodies all the way: whatever is pushed is accepted or refused,
// and what was accepted can be shown and deleted.
func FuzzPush(f *testing.F) {
	f.Add([]byte("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_count 1\n"), false)
	f.Add([]byte("a{x=\"\"} 1\na 2\npush_failure_time_seconds 3\n"), false)
	f.Add([]byte(delimited(f, `name: "h" type: HISTOGRAM metric { histogram { sample_count: 2 schema: 1 positive_span { length: 2 } positive_delta: 1 positive_delta: 0 } }`)), true)
	f.Add([]byte(delimited(f, `name: "s" type: SUMMARY metric { label { name: "a.b" value: "c" } summary { quantile { quantile: 0.5 value: 1 } } }`)), true)
	shared := newRig(f, Options{})
	f.Fuzz(func(t *testing.T, body []byte, protobuf bool) {
		g := *shared
		g.t = t
		contentType := "text/plain"
		if protobuf {
			contentType = protoType
		}
		for _, method := range []string{"PUT", "POST", "PUT"} {
			if w := g.do(method, "/metrics/job/a/x/y", string(body), "Content-Type: "+contentType); w.Code != 200 && w.Code != 400 && w.Code != 413 {
				t.Errorf("%s: %d %q", method, w.Code, w.Body)
			}
		}
		for _, gr := range g.store.Groups() {
			for _, m := range gr.Members {
				m.DTO(gr.Labels)
			}
		}
		if w := g.do("DELETE", "/metrics/job/a/x/y", ""); w.Code != 202 {
			t.Errorf("DELETE: %d %q", w.Code, w.Body)
		}
		g.settle()
		if n := len(g.store.Groups()); n != 0 {
			t.Errorf("%d groups are left", n)
		}
		g.idle()
	})
}
