package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// TestDeleteByMatcher deletes 5,000 of 6,000 groups by a matcher, after asking
// which ones would go. Each of their series is ended once, the others live on.
func TestDeleteByMatcher(t *testing.T) {
	const all, gone = 6_000, 5_000
	b := newInProcess(t, bothProtocols, nil)
	g := startPushbridge(t, "--web.enable-admin-api", "--remote-write.url="+b.writeURL())
	driveTo(t, 32, all, func(_, i int) (string, string) {
		job := "ci-build"
		if i >= gone {
			job = "nightly"
		}
		return fmt.Sprintf("%s/metrics/job/%s/run/%d", g.url, job, i), fmt.Sprintf("run_value %d\nrun_other 1\n", i)
	})
	waitQuery(t, b, `count by (job) (run_value)`, fmt.Sprintf(`{job="ci-build"} %d`, gone), fmt.Sprintf(`{job="nightly"} %d`, all-gone))

	query := g.url + "/api/v1/groups?" + url.Values{"match[]": {`{job=~"ci-.*"}`}}.Encode()
	code, body, err := send(t.Context(), http.MethodDelete, query+"&dry_run=1", "", nil)
	var would struct{ Data []map[string]string }
	if err == nil {
		err = json.Unmarshal([]byte(body), &would)
	}
	if err != nil || code != http.StatusOK || len(would.Data) != gone {
		t.Fatalf("dry run: %d %v, %d groups: %.200s", code, err, len(would.Data), body)
	}
	if n := len(apiGroups(t, g)); n != all {
		t.Fatalf("%d groups after the dry run", n)
	}

	begin := time.Now()
	must(t, http.MethodDelete, query, "")
	answered := time.Since(begin)
	waitQuery(t, b, `count by (job) (run_value)`, fmt.Sprintf(`{job="nightly"} %d`, all-gone))
	t.Logf("%d groups deleted in %v, gone at the receiver after %v", gone, answered, time.Since(begin))
	markers := 0
	for series, samples := range b.samples(t, named("run_other"), labels.MustNewMatcher(labels.MatchEqual, "job", "ci-build")) {
		if err := endsWell(strings.TrimSpace(series), samples); err != nil {
			t.Fatal(err)
		}
		markers++
	}
	if markers != gone {
		t.Errorf("%d series ended", markers)
	}
}

// TestTimestampsInPushes pushes samples with times of their own. They keep them,
// the view shows them without, and a later push without times is the newer one.
func TestTimestampsInPushes(t *testing.T) {
	b := newInProcess(t, bothProtocols, nil)
	g := startPushbridge(t, "--push.accept-timestamps", "--remote-write.url="+b.writeURL())
	at := time.Now().Add(-10 * time.Minute).UnixMilli()
	for i := range int64(3) {
		g.put(t, "timed", fmt.Sprintf("timed_value %d %d\n", i, at+i*60_000))
	}
	want := []sample{{Time: at, Value: 0}, {Time: at + 60_000, Value: 1}, {Time: at + 120_000, Value: 2}}
	eventually(t, "samples with their own times", func() error {
		got := b.samples(t, named("timed_value"))[`timed_value{job="timed"} `]
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("got %v, want %v", got, want)
		}
		return nil
	})
	if shown := mustGet(t, g.url+"/metrics"); !strings.Contains(shown, "timed_value{instance=\"\",job=\"timed\"} 2\n") {
		t.Errorf("the view does not show the value without its time:\n%s", shown)
	}
	g.put(t, "timed", "timed_value 9\n")
	waitQuery(t, b, "timed_value", `timed_value{job="timed"} 9`)
	g.delete(t, "timed")
	waitQuery(t, b, "timed_value")
	code, _, err := send(t.Context(), http.MethodPut, g.url+"/metrics/job/timed", fmt.Sprintf("timed_value 1 %d\n", time.Now().Add(-2*time.Hour).UnixMilli()), nil)
	if err != nil || code != http.StatusBadRequest {
		t.Errorf("a time beyond --push.max-age is answered %d %v", code, err)
	}
}
