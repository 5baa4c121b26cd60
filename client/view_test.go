package client

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompare(t *testing.T) {
	const own = "# TYPE go_goroutines gauge\ngo_goroutines 7\n# TYPE pushbridge_group_overdue gauge\npushbridge_group_overdue{job=\"a\"} 1\n"
	group := func(labels string, at int) string { return fmt.Sprintf("push_time_seconds{%s} %d\n", labels, at) }
	view := func(text string) View {
		t.Helper()
		_, c := newGateway(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
		v, err := c.View(t.Context(), "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, tt := range []struct {
		name string
		a, b string
		want string
	}{
		{"push times and what gateways show of themselves do not count", own + group(`instance="",job="a"`, 1), group(`instance="",job="a"`, 2), ""},
		{
			"only at one", group(`instance="",job="a"`, 1), group(`instance="i",job="a"`, 1),
			"group {instance=\"i\",job=\"a\"}: only at B\ngroup {job=\"a\"}: only at A\n",
		},
		{
			"value and type",
			group(`instance="",job="a"`, 1) + "# TYPE m gauge\n" + `m{instance="",job="a"} 1` + "\n",
			group(`instance="",job="a"`, 1) + "# TYPE m counter\n" + `m{instance="",job="a"} 2` + "\n",
			"group {job=\"a\"}:\n  type of m: gauge, counter\n  - m{instance=\"\",job=\"a\"} 1\n  + m{instance=\"\",job=\"a\"} 2\n",
		},
		{
			"the order of series does not matter, the histogram's buckets do",
			group(`instance="",job="a"`, 1) + "# TYPE h histogram\nh_bucket{instance=\"\",job=\"a\",le=\"1\"} 1\nh_bucket{instance=\"\",job=\"a\",le=\"+Inf\"} 2\n",
			"# TYPE h histogram\nh_bucket{le=\"1\",job=\"a\",instance=\"\"} 2\nh_bucket{le=\"+Inf\",job=\"a\",instance=\"\"} 2\n" + group(`instance="",job="a"`, 1),
			"group {job=\"a\"}:\n  - h_bucket{instance=\"\",job=\"a\",le=\"1\"} 1\n  + h_bucket{instance=\"\",job=\"a\",le=\"1\"} 2\n",
		},
		{
			"a series belongs to the group with the most labels",
			group(`instance="",job="a"`, 1) + group(`instance="",job="a",x="y"`, 1) + "m{instance=\"\",job=\"a\",x=\"y\"} 1\n",
			group(`instance="",job="a"`, 1) + group(`instance="",job="a",x="y"`, 1),
			"group {job=\"a\",x=\"y\"}:\n  - m{instance=\"\",job=\"a\",x=\"y\"} 1\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got strings.Builder
			n := Compare(&got, view(tt.a), view(tt.b), "A", "B")
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if want := strings.Count(tt.want, "group "); n != want {
				t.Errorf("%d groups differ, want %d", n, want)
			}
		})
	}
}
