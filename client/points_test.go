package client

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string // nil: as it is
	}{
		{"no history", "# TYPE a gauge\na 1 5\nb 2 6\n# EOF\n", nil},
		{"not OpenMetrics", "a 1 5\na 2 6\n", nil},
		{"no times", "a 1\na 2\n# EOF\n", nil},
		{"one without a time", "a 1 5\na 2\n# EOF\n", nil},
		{"not understood", "a 1 5\na 2 6\n{\"a\"} 2 7\n# EOF\n", nil},
		{"the same time twice is for the gateway to refuse", "a 1 5\na 2 5\n# EOF\n", nil},
		{"the newest of all come last", "# HELP a h\n# TYPE a gauge\na{x=\"1\"} 1 5\na{x=\"1\"} 2 6.5\na{x=\"2\"} 3 1\n# TYPE b gauge\nb 7 9\n# EOF\n", []string{
			"# HELP a h\n# TYPE a gauge\na{x=\"1\"} 1 5\n# EOF\n",
			"# HELP a h\n# TYPE a gauge\na{x=\"1\"} 2 6.5\na{x=\"2\"} 3 1\n# TYPE b gauge\nb 7 9\n# EOF\n",
		}},
		{"out of order", "a 3 7\na 1 5\na 2 6\n# EOF\n", []string{"a 1 5\n# EOF\n", "a 2 6\n# EOF\n", "a 3 7\n# EOF\n"}},
		{"a time that comes back", "# TYPE s summary\ns{quantile=\"0.5\"} 1 5\ns{quantile=\"0.5\"} 2 6\ns_count 1 5\n# EOF\n", []string{
			"# TYPE s summary\ns{quantile=\"0.5\"} 1 5\ns_count 1 5\n# EOF\n", "# TYPE s summary\ns{quantile=\"0.5\"} 2 6\n# EOF\n",
		}},
		{"a point of several lines", "# TYPE h histogram\nh_bucket{le=\"1\",a=\"x, }\\\"\"} 1 5 # {t=\"1\"} 2 3\nh_bucket{a=\"x, }\\\"\",le=\"+Inf\"} 2 5\nh_count{a=\"x, }\\\"\"} 2 5\nh_bucket{a=\"x, }\\\"\",le=\"+Inf\"} 3 6\n# EOF\n", []string{
			"# TYPE h histogram\nh_bucket{le=\"1\",a=\"x, }\\\"\"} 1 5 # {t=\"1\"} 2 3\nh_bucket{a=\"x, }\\\"\",le=\"+Inf\"} 2 5\nh_count{a=\"x, }\\\"\"} 2 5\n# EOF\n",
			"# TYPE h histogram\nh_bucket{a=\"x, }\\\"\",le=\"+Inf\"} 3 6\n# EOF\n",
		}},
		{"one name begins as another", "up 1 5\nup 2 7\nupper 3 6\nupper 4 8\n# EOF\n", []string{
			"up 1 5\nupper 3 6\n# EOF\n", "up 2 7\nupper 4 8\n# EOF\n",
		}},
		{"by turns", "# TYPE c counter\nc_total 1 5\nc_totals 3 6\nc_total 2 7\nc_totals 4 8\n# EOF\n", []string{
			"# TYPE c counter\nc_total 1 5\nc_totals 3 6\n# EOF\n", "# TYPE c counter\nc_total 2 7\nc_totals 4 8\n# EOF\n",
		}},
		{"a counter and its creation", "# TYPE c counter\nc_total 1 5\nc_created 1 5\nc_total 2 6\nc_created 1 6\n# EOF\n", []string{
			"# TYPE c counter\nc_total 1 5\nc_created 1 5\n# EOF\n", "# TYPE c counter\nc_total 2 6\nc_created 1 6\n# EOF\n",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if want == nil {
				want = []string{tt.text}
			}
			var got []string
			for _, text := range split([]byte(tt.text)) {
				got = append(got, string(text))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestSplitLoses makes a history of many metrics and finds every line of it in the texts.
func TestSplitLoses(t *testing.T) {
	var lines []string
	for i := range 300 {
		lines = append(lines, "m"+string(rune('a'+i%7))+"{l=\""+string(rune('a'+i%3))+"\"} 1 "+strings.Repeat("1", 1+i%9))
	}
	seen := map[string]int{}
	for _, text := range split([]byte(strings.Join(lines, "\n") + "\n# EOF\n")) {
		for line := range strings.Lines(string(text)) {
			seen[strings.TrimSpace(line)]++
		}
	}
	for _, line := range lines {
		if seen[line]--; seen[line] < 0 {
			t.Errorf("lost: %s", line)
		}
	}
}
