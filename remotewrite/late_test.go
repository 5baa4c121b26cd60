package remotewrite

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// timedPart has a gauge per name, with a time of its own unless that is zero.
func timedPart(at map[string]time.Time) *group.Part {
	b := group.NewBuilder()
	for _, name := range slices.Sorted(maps.Keys(at)) {
		b.Family(name, group.Gauge)
		b.Metric(group.FormSingle, nil, nil, math.Float64bits(1))
		if t := at[name]; !t.IsZero() {
			b.Time(t.UnixMilli())
		}
	}
	return b.Part()
}

// TestLateSamplesGoAlone pushes samples with times of their own that are older
// than what their series had. Each record's old samples go out once, in requests
// of their own, cut until the good ones are through; what is newer, and the group's own
// series, is not held up.
func TestLateSamplesGoAlone(t *testing.T) {
	bubble(t, setup{answer: func(q *request, _ int) reply {
		for _, s := range q.samples {
			if s.series == "a{job=j}" && time.UnixMilli(s.time).Before(time.Now().Add(-time.Minute)) {
				return reply{status: 400, body: "out of order sample"}
			}
		}
		return reply{}
	}}, func(t *testing.T, b *bench) {
		now := b.now()
		push := func(at map[string]time.Time) {
			c := group.Change{Kind: group.KindPut, Labels: groupingKey("job", "j"), Part: timedPart(at)}
			if err := b.apply(c); err != nil {
				t.Fatal(err)
			}
			settled(t, b.d)
		}
		push(map[string]time.Time{"a": now.Add(-30 * time.Second), "b": now.Add(-3 * time.Minute), "c": {}})
		time.Sleep(time.Second)
		push(map[string]time.Time{"a": now.Add(-2 * time.Minute), "b": now.Add(-2 * time.Minute), "c": {}})

		var got []string
		for _, q := range b.r.all()[1:] {
			var names []string
			for _, s := range q.samples {
				names = append(names, strings.TrimSuffix(s.series, "{job=j}"))
			}
			got = append(got, strings.Join(names, " "))
		}
		same(t, []string{"b c push_time_seconds push_failure_time_seconds", "a"}, got)
		refusals := b.d.Refusals()
		if len(refusals) != 1 || refusals[0].Group.Job() != "j" || refusals[0].Samples != 1 || refusals[0].Text != "out of order sample" {
			t.Errorf("refusals: %+v", refusals)
		}
		books := b.d.ledger.run()
		if books.Dropped["refused"] != 1 {
			t.Errorf("dropped: %v", books.Dropped)
		}
	})
}
