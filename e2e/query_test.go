package e2e

import (
	"testing"
	"time"
)

// nightly is what a batch job pushes: each type of the text format.
const nightly = `# HELP batch_rows_total Rows that were copied.
# TYPE batch_rows_total counter
batch_rows_total{table="users"} 120
batch_rows_total{table="orders"} 4.5e+06
# TYPE batch_last_success_timestamp_seconds gauge
batch_last_success_timestamp_seconds 1.7e+09
# TYPE batch_step_seconds histogram
batch_step_seconds_bucket{le="0.5"} 2
batch_step_seconds_bucket{le="1"} 3
batch_step_seconds_bucket{le="250000"} 4
batch_step_seconds_bucket{le="+Inf"} 5
batch_step_seconds_sum 250001.25
batch_step_seconds_count 5
# TYPE batch_lag_seconds summary
batch_lag_seconds{quantile="0.5"} 0.25
batch_lag_seconds{quantile="1"} 3
batch_lag_seconds_sum 10
batch_lag_seconds_count 12
batch_note{text="a \"quoted\" \\ value\nand ünïcode"} -0.125
`

// nightlySeries is what a query finds of it, in the spelling that Prometheus
// stores after a scrape.
func nightlySeries() []string {
	return []string{
		`batch_rows_total{instance="db1",job="nightly",table="users"} 120`,
		`batch_rows_total{instance="db1",job="nightly",table="orders"} 4.5e+06`,
		`batch_last_success_timestamp_seconds{instance="db1",job="nightly"} 1.7e+09`,
		`batch_step_seconds_bucket{instance="db1",job="nightly",le="0.5"} 2`,
		`batch_step_seconds_bucket{instance="db1",job="nightly",le="1.0"} 3`,
		`batch_step_seconds_bucket{instance="db1",job="nightly",le="250000.0"} 4`,
		`batch_step_seconds_bucket{instance="db1",job="nightly",le="+Inf"} 5`,
		`batch_step_seconds_sum{instance="db1",job="nightly"} 250001.25`,
		`batch_step_seconds_count{instance="db1",job="nightly"} 5`,
		`batch_lag_seconds{instance="db1",job="nightly",quantile="0.5"} 0.25`,
		`batch_lag_seconds{instance="db1",job="nightly",quantile="1.0"} 3`,
		`batch_lag_seconds_sum{instance="db1",job="nightly"} 10`,
		`batch_lag_seconds_count{instance="db1",job="nightly"} 12`,
		`batch_note{instance="db1",job="nightly",text="a \"quoted\" \\ value\nand ünïcode"} -0.125`,
	}
}

// pushed selects what a job pushed, without the times that the gateway adds.
const pushed = `{job="nightly",__name__!~"push_(failure_)?time_seconds"}`

// TestPushIsQueryable pushes, changes and deletes a group, and asks real
// backends after each step: everything pushed is there with its labels and
// values, and what ended is gone at once, not after the five minutes that a
// query looks back.
func TestPushIsQueryable(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(testing.TB) backend
	}{
		{"Debian's Prometheus", func(t testing.TB) backend { return startPrometheus(t, "") }},
		{"current Prometheus, remote write 1.0", func(t testing.TB) backend { return newInProcess(t, onlyV1, nil) }},
		{"current Prometheus, remote write 2.0", func(t testing.TB) backend { return newInProcess(t, onlyV2, nil) }},
		{"current Prometheus, both", func(t testing.TB) backend { return newInProcess(t, bothProtocols, nil) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.start(t)
			g := startPushbridge(t, "--remote-write.url="+b.writeURL())
			checkLifeOfGroup(t, g, b)
		})
	}
}

func checkLifeOfGroup(t *testing.T, g *gateway, b backend) {
	g.put(t, "nightly/instance/db1", nightly)
	waitQuery(t, b, pushed, nightlySeries()...)
	waitQuery(t, b, `time() - push_time_seconds{job="nightly"} < bool 120`, `{instance="db1",job="nightly"} 1`)
	waitQuery(t, b, `push_failure_time_seconds`, `push_failure_time_seconds{instance="db1",job="nightly"} 0`)

	// POST replaces families of the same name, and only those.
	g.post(t, "nightly/instance/db1", "# TYPE batch_rows_total counter\nbatch_rows_total{table=\"users\"} 121\n")
	after := append(nightlySeries()[2:], `batch_rows_total{instance="db1",job="nightly",table="users"} 121`)
	waitQuery(t, b, pushed, after...)

	// PUT replaces the group: fewer buckets, another label.
	g.put(t, "nightly/instance/db1", `# TYPE batch_step_seconds histogram
batch_step_seconds_bucket{le="1.0"} 3
batch_step_seconds_bucket{le="+Inf"} 5
batch_step_seconds_sum 7
batch_step_seconds_count 5
`)
	waitQuery(t, b, pushed,
		`batch_step_seconds_bucket{instance="db1",job="nightly",le="1.0"} 3`,
		`batch_step_seconds_bucket{instance="db1",job="nightly",le="+Inf"} 5`,
		`batch_step_seconds_sum{instance="db1",job="nightly"} 7`,
		`batch_step_seconds_count{instance="db1",job="nightly"} 5`,
	)

	// Without an instance in the URL there is no instance label.
	g.put(t, "nightly", "batch_note 1\n")
	waitQuery(t, b, `batch_note`, `batch_note{job="nightly"} 1`)

	begin := time.Now()
	g.delete(t, "nightly/instance/db1")
	g.delete(t, "nightly")
	answered := time.Now()
	waitQuery(t, b, `{job="nightly"}`)
	t.Logf("DELETE answered after %v, no series left %v later", answered.Sub(begin), time.Since(answered))
}
