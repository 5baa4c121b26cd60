package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestOverdueArrives expects a job every hour and asks the destination what the
// alert of docs/lifecycle.md asks: pushbridge_group_overdue is 0 until an hour
// after the push, then 1 without anybody pushing, and 0 again after the next push.
// A group of which no push ever succeeded is overdue from the start; groups
// that nobody expects do not have the series.
func TestOverdueArrives(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(testing.TB) backend
	}{
		{"current Prometheus", func(t testing.TB) backend { return newInProcess(t, bothProtocols, nil) }},
		{"Debian's Prometheus", func(t testing.TB) backend { return startPrometheus(t, "") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, clock := tt.start(t), newFastClock(t, 2*time.Hour, 1)
			g := startPushbridge(t, "--refresh.interval=1s", "--test.clock-offset-file="+clock.file, "--config.file="+remoteWrite(t, b, `
pushbridge:
  rules:
    - match: job="hourly"
      expect_every: 1h
`))
			const overdue, alert = "pushbridge_group_overdue", "pushbridge_group_overdue == 1"
			g.put(t, "hourly", "hourly_value 1\n")
			g.put(t, "whenever", "hourly_value 1\n")
			refuse(t, g.url+"/metrics/job/hourly/run/refused")
			waitAt(t, b, clock, overdue, `pushbridge_group_overdue{job="hourly",run="refused"} 1`, `pushbridge_group_overdue{job="hourly"} 0`)
			g.put(t, "hourly/run/refused", "hourly_value 1\n")
			waitAt(t, b, clock, alert)

			// Between the two looks lies more than a query looks back: what is found was sent since.
			clock.jump(t, 50*time.Minute)
			waitAt(t, b, clock, overdue, `pushbridge_group_overdue{job="hourly",run="refused"} 0`, `pushbridge_group_overdue{job="hourly"} 0`)
			clock.jump(t, 11*time.Minute)
			waitAt(t, b, clock, alert, `pushbridge_group_overdue{job="hourly",run="refused"} 1`, `pushbridge_group_overdue{job="hourly"} 1`)
			g.put(t, "hourly", "hourly_value 2\n")
			waitAt(t, b, clock, overdue, `pushbridge_group_overdue{job="hourly",run="refused"} 1`, `pushbridge_group_overdue{job="hourly"} 0`)
			g.delete(t, "hourly/run/refused")
			waitAt(t, b, clock, overdue, `pushbridge_group_overdue{job="hourly"} 0`)
			if p, ok := b.(*inProcess); ok {
				checkOverdue(t, p, time.Hour)
			}
		})
	}
}

// refuse makes a push that contradicts other groups, and so a group without a
// successful one.
func refuse(t *testing.T, url string) {
	t.Helper()
	code, body, err := send(t.Context(), http.MethodPut, url, "# TYPE hourly_value counter\nhourly_value 1\n", nil)
	if err != nil || code != http.StatusBadRequest {
		t.Fatalf("bad push: %d %v\n%s", code, err, body)
	}
}

// checkOverdue holds each stored sample to the time of the last push that was
// sent beside it, and asks for both values.
func checkOverdue(t *testing.T, b *inProcess, expect time.Duration) {
	t.Helper()
	pushTimes := b.samples(t, named("push_time_seconds"))
	seen := map[float64]int{}
	for series, samples := range b.samples(t, named("pushbridge_group_overdue")) {
		beside := map[int64]float64{}
		for _, s := range pushTimes[strings.Replace(series, "pushbridge_group_overdue", "push_time_seconds", 1)] {
			beside[s.Time] = s.Value
		}
		for _, s := range samples {
			pushed, ok := beside[s.Time]
			if !ok {
				t.Errorf("%s has a sample at %d, and no push time is beside it", series, s.Time)
			}
			want := 0.0
			if float64(s.Time)/1000-pushed > expect.Seconds() {
				want = 1
			}
			if s.Value != want && !s.Stale {
				t.Errorf("%s is %v at %d, when the last push was %v", series, s.Value, s.Time, pushed)
			}
			seen[s.Value]++
		}
	}
	if seen[0] < 3 || seen[1] < 2 {
		t.Errorf("samples by value: %v", seen)
	}
}
