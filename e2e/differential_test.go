package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// step is one request that pushbridge and the real Pushgateway both get.
type step struct {
	method, path, body string
	headers            []string // pairs of name and value

	differ *difference // what Pushgateway answers instead
	former *difference // what only 1.5.1 answers instead
}

// difference is a status that is not ours, and the reason.
type difference struct {
	ours, theirs int
	why          string
}

// with adds headers to a step.
func (s step) with(headers ...string) step {
	s.headers = append(slices.Clone(s.headers), headers...)
	return s
}

// but notes a difference in the status that is meant.
func (s step) but(ours, theirs int, why string) step {
	s.differ = &difference{ours, theirs, why}
	return s
}

// formerly notes a status of Pushgateway 1.5.1 that newer ones do not answer.
func (s step) formerly(theirs int, why string) step {
	s.former = &difference{0, theirs, why}
	return s
}

func (s step) String() string { return s.method + " " + s.path }

func put(path, body string) step {
	return step{method: http.MethodPut, path: "/metrics/job/" + path, body: body}
}

func post(path, body string) step {
	return step{method: http.MethodPost, path: "/metrics/job/" + path, body: body}
}

func remove(path string) step      { return step{method: http.MethodDelete, path: "/metrics/job/" + path} }
func req(method, path string) step { return step{method: method, path: path} }

// answer is what a client sees of an answer and can depend on.
type answer struct {
	status  int
	headers map[string]string
}

// scenario is a list of requests to two empty gateways. After the last one
// both must show the same.
type scenario struct {
	name  string
	steps []step
	// views says why the views differ afterwards; empty when they must not.
	views string
	// viewsFormerly says the same of Pushgateway 1.5.1 alone.
	viewsFormerly string
}

// TestSameAsPushgateway sends the same requests to pushbridge and to a current
// Pushgateway, and compares statuses, the headers that matter, /metrics (own
// metrics excluded) and the JSON API.
func TestSameAsPushgateway(t *testing.T) {
	sameAs(t, false, startCurrentPushgateway)
}

// TestSameAsPushgateway1_5 does the same with Debian's 1.5.1. What has changed
// since then stands in the table.
func TestSameAsPushgateway1_5(t *testing.T) {
	sameAs(t, true, startPushgateway)
}

func sameAs(t *testing.T, former bool, start func(testing.TB, ...string) *gateway) {
	for _, mode := range []struct {
		name      string
		args      []string
		scenarios []scenario
	}{
		{"checked", []string{"--web.enable-admin-api"}, checkedScenarios()},
		{"unchecked", []string{"--web.enable-admin-api", "--push.disable-consistency-check"}, uncheckedScenarios()},
		{"defaults", nil, defaultScenarios()},
		{"prefix", []string{"--web.route-prefix=/gate"}, prefixScenarios()},
		{"telemetry path", []string{"--web.telemetry-path=/telemetry"}, telemetryScenarios()},
	} {
		t.Run(mode.name, func(t *testing.T) {
			ours, theirs := startPushbridge(t, mode.args...), start(t, mode.args...)
			for _, sc := range mode.scenarios {
				t.Run(sc.name, func(t *testing.T) { both(t, sc, former, ours, theirs) })
				if slices.Contains(mode.args, "--web.enable-admin-api") {
					wipe(t, ours, theirs)
				}
			}
		})
	}
}

func wipe(t *testing.T, gateways ...*gateway) {
	t.Helper()
	for _, g := range gateways {
		must(t, http.MethodPut, g.url+"/api/v1/admin/wipe", "")
	}
	eventually(t, "wipe", func() error { return noGroups(t, gateways...) })
}

// noGroups waits for the end of Pushgateway's wipe, which goes on after its answer.
func noGroups(t *testing.T, gateways ...*gateway) error {
	for _, g := range gateways {
		if groups := apiGroups(t, g); len(groups) > 0 {
			return fmt.Errorf("still there: %v", slices.Collect(maps.Keys(groups)))
		}
	}
	return nil
}

func both(t *testing.T, sc scenario, former bool, ours, theirs *gateway) {
	for _, s := range sc.steps {
		got, want := do(t, ours.url, s), do(t, theirs.url, s)
		differ := s.differ
		if former && s.former != nil {
			differ = &difference{got.status, s.former.theirs, s.former.why}
		}
		if differ != nil {
			if got.status != differ.ours || want.status != differ.theirs {
				t.Errorf("%v: pushbridge %d, Pushgateway %d; known were %d and %d (%s)",
					s, got.status, want.status, differ.ours, differ.theirs, differ.why)
			}
		} else if diff := cmp.Diff(want, got, cmp.AllowUnexported(answer{})); diff != "" {
			t.Errorf("%v (-Pushgateway +pushbridge):\n%s", s, diff)
		}
	}
	if sc.views == "" && (sc.viewsFormerly == "" || !former) {
		sameViews(t, ours, theirs)
	}
}

// sameViews waits until both show the same: Pushgateway carries some changes out
// after its answer.
func sameViews(t *testing.T, ours, theirs *gateway) {
	t.Helper()
	eventuallyWithin(t, 3*time.Second, "same views (-Pushgateway +pushbridge)", func() error {
		diff := cmp.Diff(pushedFamilies(t, theirs), pushedFamilies(t, ours)) + cmp.Diff(apiGroups(t, theirs), apiGroups(t, ours))
		if diff != "" {
			return errors.New(diff)
		}
		return nil
	})
}

// do makes one request and returns the parts of the answer that clients see.
func do(t *testing.T, url string, s step) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), s.method, url+s.path, strings.NewReader(s.body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(s.headers); i += 2 {
		req.Header.Set(s.headers[i], s.headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%v: %v", s, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatalf("%v: %v", s, err)
	}
	a := answer{status: resp.StatusCode, headers: map[string]string{}}
	for _, h := range []string{"Allow", "Location", "Access-Control-Allow-Origin", "Access-Control-Allow-Methods"} {
		if v := resp.Header.Get(h); v != "" {
			a.headers[h] = v
		}
	}
	return a
}

// exactFamilies returns what /metrics shows of pushes: for each family its
// type, its help and its metrics, in no order.
func exactFamilies(t *testing.T, g *gateway) map[string][]string {
	t.Helper()
	return shownFamilies(t, g, metricText)
}

// pushedFamilies is the same, with push times only told apart from zero.
func pushedFamilies(t *testing.T, g *gateway) map[string][]string {
	t.Helper()
	return shownFamilies(t, g, func(name string, m *dto.Metric) string {
		if (name == "push_time_seconds" || name == "push_failure_time_seconds") && m.GetGauge().GetValue() != 0 {
			m.Gauge.Value = proto.Float64(1)
		}
		return metricText(name, m)
	})
}

func shownFamilies(t *testing.T, g *gateway, text func(name string, m *dto.Metric) string) map[string][]string {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	mfs, err := p.TextToMetricFamilies(strings.NewReader(mustGet(t, g.base+"/metrics")))
	if err != nil {
		t.Fatalf("parse /metrics: %v", err)
	}
	got := map[string][]string{}
	for name, mf := range mfs {
		if own(name) {
			continue
		}
		lines := []string{fmt.Sprintf("type %v, help %q", mf.GetType(), mf.GetHelp())}
		for _, m := range mf.Metric {
			lines = append(lines, text(name, m))
		}
		slices.Sort(lines[1:])
		got[name] = lines
	}
	return got
}

func metricText(_ string, m *dto.Metric) string {
	slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	b, err := prototext.MarshalOptions{}.Marshal(m)
	if err != nil {
		panic("e2e: " + err.Error())
	}
	// The library puts blanks in at random, so that nobody compares its text.
	return strings.ReplaceAll(string(b), "  ", " ")
}

// own reports whether a family is the gateway's own.
func own(name string) bool {
	for _, prefix := range []string{"go_", "process_", "pushgateway_", "pushbridge_", "promhttp_", "prometheus_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// apiGroups returns what the JSON API shows, by grouping labels, with all times
// made equal.
func apiGroups(t *testing.T, g *gateway) map[string]any {
	t.Helper()
	var got struct {
		Status string           `json:"status"`
		Data   []map[string]any `json:"data"`
	}
	body := mustGet(t, g.base+"/api/v1/metrics")
	if err := json.Unmarshal([]byte(body), &got); err != nil || got.Status != "success" {
		t.Fatalf("API: %v in %s", err, body)
	}
	groups := map[string]any{}
	for _, group := range got.Data {
		for name, family := range group {
			f, ok := family.(map[string]any)
			if !ok || f["time_stamp"] == nil {
				continue
			}
			f["time_stamp"] = "a time"
			metrics, _ := f["metrics"].([]any) // null for an empty family
			for _, m := range metrics {
				if v := m.(map[string]any); strings.HasPrefix(name, "push_") && v["value"] != "0" {
					v["value"] = "a time"
				}
			}
			slices.SortFunc(metrics, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		key, err := json.Marshal(group["labels"])
		if err != nil {
			t.Fatal(err)
		}
		groups[string(key)] = group
	}
	return groups
}
