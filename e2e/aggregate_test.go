package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// counted is what a pod counted since its last push.
func counted(n int) string {
	return fmt.Sprintf("# TYPE sum_total counter\nsum_total %d\n# TYPE sum_seconds histogram\n"+
		"sum_seconds_bucket{le=\"0.5\"} %d\nsum_seconds_bucket{le=\"+Inf\"} %d\nsum_seconds_sum %d\nsum_seconds_count %d\n", n, n, n+1, 10*n, n+1)
}

const sumRules = `
pushbridge:
  rules:
    - match: '{job="sum"}'
      aggregate: {drop: [pod]}
`

// TestAggregate lets pods push what they counted, and asks a Prometheus what it makes of
// the sums: by remote write 2.0, which says since when a series counts, increase() is all
// that was pushed, over a push that came twice and a reset to more than there was; and a
// new series begins at zero. By 1.0 nobody can tell. A DELETE ends the series at once.
func TestAggregate(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(testing.TB) backend
		zeros bool
	}{
		{"current Prometheus", func(t testing.TB) backend {
			return newInProcessWith(t, features{startAsZero: true}, bothProtocols, nil)
		}, true},
		{"Debian's Prometheus", func(t testing.TB) backend { return startPrometheus(t, "") }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, clock := tt.start(t), newFastClock(t, 0, 1)
			g := startPushbridge(t, "--config.file="+remoteWrite(t, b, sumRules), "--test.clock-offset-file="+clock.file, "--refresh.interval=0")
			add := func(pod string, n, sum int) {
				t.Helper()
				g.post(t, "sum/pod/"+pod, counted(n), "Idempotency-Key", fmt.Sprint(pod, n))
				waitAt(t, b, clock, `sum_total`, fmt.Sprintf(`sum_total{job="sum"} %d`, sum))
				waitAt(t, b, clock, `sum_seconds_bucket{le="0.5"}`, fmt.Sprintf(`sum_seconds_bucket{job="sum",le="0.5"} %d`, sum))
				clock.jump(t, time.Minute)
			}
			add("a", 3, 3)
			add("b", 4, 7)
			add("b", 4, 7) // the answer was lost
			add("a", 5, 12)
			g.post(t, "sum/pod/c", "# TYPE sum_total counter\nsum_total{kind=\"late\"} 7\n")
			waitAt(t, b, clock, `sum_total{kind="late"}`, `sum_total{job="sum",kind="late"} 7`)
			clock.jump(t, time.Minute)

			// It begins anew, with more than there was.
			g.put(t, "sum/pod/a", counted(40))
			waitAt(t, b, clock, `sum_total`, `sum_total{job="sum"} 40`)
			if tt.zeros {
				waitAt(t, b, clock, `resets(sum_total{kind=""}[1h])`, `{job="sum"} 1`)
				waitAt(t, b, clock, `round(increase(sum_total{kind=""}[1h]))`, fmt.Sprintf(`{job="sum"} %d`, 12+40))
				waitAt(t, b, clock, `round(increase(sum_seconds_bucket{le="0.5"}[1h]))`, fmt.Sprintf(`{job="sum",le="0.5"} %d`, 12+40))
				waitAt(t, b, clock, `min_over_time(sum_total{kind="late"}[1h])`, `{job="sum",kind="late"} 0`)
			} else {
				waitAt(t, b, clock, `resets(sum_total{kind=""}[1h])`, `{job="sum"} 0`)
				waitAt(t, b, clock, `sum_total - min_over_time(sum_total[1h])`, fmt.Sprintf(`{job="sum"} %d`, 40-3))
			}
			g.delete(t, "sum")
			waitAt(t, b, clock, `sum_total`)
			waitAt(t, b, clock, `sum_seconds_count`)
			if n := g.metric(t, "pushbridge_group_repeated_pushes_total"); n != 1 {
				t.Errorf("%g pushes were repeated", n)
			}
			code, body, err := send(t.Context(), http.MethodPost, g.url+"/metrics/job/sum", "# TYPE sum_total counter\nsum_total -1\n", nil)
			if err != nil || code != http.StatusBadRequest {
				t.Errorf("a negative counter: %d %s %v", code, body, err)
			}
		})
	}
}
