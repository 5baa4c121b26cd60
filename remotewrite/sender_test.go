package remotewrite

import (
	"testing"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

// Pushes bring no custom buckets, but other ways into the log may.
func TestCustomBucketsDoNotLeaveIn1(t *testing.T) {
	bubble(t, setup{config: func(c *Config) { c.SendNativeHistograms = true }}, func(t *testing.T, b *bench) {
		for i, p := range []Protocol{Protocol1, Protocol2} {
			now := b.now().UnixMilli() + int64(i)
			hist := convert.Series{Labels: labelsOf("__name__", "n"), Time: now, Hist: &histogram.Histogram{Schema: -53, CustomValues: []float64{1}}}
			plain := convert.Series{Labels: labelsOf("__name__", "p"), Time: now, Value: 1}
			record := &group.Record{Kind: group.KindRefresh, Labels: groupingKey("job", "j"), Time: now}
			w := &batch{kind: stored, into: &stretch{}, protocol: p, series: []convert.Series{hist, plain}, parts: []part{{item: item{record: record}}}}
			if err := b.d.shards[0].sender.send(t.Context(), t.Context(), w); err != nil {
				t.Fatal(err)
			}
		}
		all := b.r.all()
		if len(all) != 2 || len(all[0].samples) != 1 || len(all[1].samples) != 2 {
			t.Errorf("%d requests", len(all))
		}
		if n := b.d.ledger.run().Dropped[nhcbNotSupported.String()]; n != 1 {
			t.Errorf("%d dropped", n)
		}
		b.d.ledger.accept(stored, 4)
	})
}

func TestMiddleCutsBetweenRecords(t *testing.T) {
	series := func(times ...int64) []convert.Series {
		var out []convert.Series
		for _, at := range times {
			out = append(out, convert.Series{Time: at, Family: convert.FamilyInfo{Name: "f"}})
		}
		return out
	}
	families := series(1, 1, 1, 1, 1, 1, 1, 1)
	families[3].Family.Name = "e"
	for name, row := range map[string]struct {
		series []convert.Series
		want   int
	}{
		"two":             {series(1, 1), 1},
		"three":           {series(1, 1, 1), 1},
		"one record":      {series(1, 1, 1, 1, 1, 1, 1, 1), 4},
		"records":         {series(1, 1, 1, 2, 2, 2, 2, 2), 3},
		"far from middle": {series(1, 2, 2, 2, 2, 2, 2, 2), 4},
		"families":        {families, 4},
	} {
		if got := middle(row.series); got != row.want {
			t.Errorf("%s: cut at %d, want %d", name, got, row.want)
		}
	}
}
