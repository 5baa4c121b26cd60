package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestScrapeAsPushgateway lets one real Prometheus scrape pushbridge and the
// real Pushgateway, both with honor_labels, and compares what it stores.
func TestScrapeAsPushgateway(t *testing.T) {
	ours, theirs := startPushbridge(t), startPushgateway(t)
	for _, g := range []*gateway{ours, theirs} {
		g.put(t, "nightly/instance/db1", nightly)
		g.put(t, "nightly", "batch_note 1\n")
		g.post(t, "weekly/region/eu", "# HELP weekly_rows Rows.\n# TYPE weekly_rows gauge\nweekly_rows{instance=\"body\"} 2\n")
	}
	prometheus := startPrometheus(t, fmt.Sprintf(`
global: { scrape_interval: 1s }
scrape_configs:
  - job_name: pushbridge
    honor_labels: true
    static_configs: [{ targets: [%q], labels: { from: pushbridge } }]
  - job_name: pushgateway
    honor_labels: true
    static_configs: [{ targets: [%q], labels: { from: pushgateway } }]
`, strings.TrimPrefix(ours.url, "http://"), strings.TrimPrefix(theirs.url, "http://")))

	series := func(from string) []string {
		var all []string
		for _, expr := range []string{`{from=%q,__name__=~"(batch|weekly)_.*"}`, `push_failure_time_seconds{from=%q}`, `push_time_seconds{from=%q} > bool 0`} {
			all = append(all, query(t, prometheus, fmt.Sprintf(expr, from))...)
		}
		for i, s := range all {
			all[i] = strings.Replace(s, fmt.Sprintf("from=%q", from), `from="x"`, 1)
		}
		return all
	}
	eventually(t, "both are scraped", func() error {
		want, got := series("pushgateway"), series("pushbridge")
		if len(want) < 14+2+3*2 { // the pushed series, and two times for each group
			return fmt.Errorf("only %d series of Pushgateway", len(want))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("(-Pushgateway +pushbridge):\n%s", diff)
		}
		return nil
	})
	waitQuery(t, prometheus, `sum by (from) (up)`, `{from="pushbridge"} 1`, `{from="pushgateway"} 1`)
}
