package convert_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

// TestReceiver changes a group at random and plays the receiver: after each
// record it must hold exactly the series that a fresh start would be sent,
// everything else it ever got must be stale, and time must rise for each series.
func TestReceiver(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    convert.Options
	}{
		{"classic", classicOnly},
		{"native", nativeOnly},
		{"both", both},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for seed := range uint64(60) {
				playReceiver(t, pusher{rand.New(rand.NewPCG(seed, 7))}, tc.o)
			}
		})
	}
}

// pusher makes up pushes.
type pusher struct{ *rand.Rand }

func playReceiver(t *testing.T, r pusher, o convert.Options) {
	t.Helper()
	s := newStore()
	labels := parseGrouping(t, "job=j\nzone=")
	held := map[string]bool{}   // label set to whether it is live
	times := map[string]int64{} // label set to its newest time
	for step := range 25 {
		c := group.Change{Kind: group.KindPut, Labels: labels}
		switch r.IntN(8) {
		case 0:
			c.Kind = group.KindFail
		case 1:
			if s.Lookup(labels) != nil {
				c.Kind = group.KindDelete
			}
		case 2, 3, 4:
			c.Kind = group.KindPost
		}
		if c.Kind == group.KindPut || c.Kind == group.KindPost {
			c.Part = partOfDTO(t, families(t, r.push()...)...)
		}
		for _, x := range seriesOf(t, s.apply(t, c), o) {
			key := printLabels(x.Labels)
			if x.Time <= times[key] {
				t.Fatalf("step %d: %s at %d after %d", step, key, x.Time, times[key])
			}
			if x.Stale && !held[key] {
				t.Fatalf("step %d: %s has a marker, and did not live", step, key)
			}
			times[key], held[key] = x.Time, !x.Stale
			checkLabels(t, x.Labels)
		}
		if diff := cmp.Diff(fresh(t, s, labels, o), live(held)); diff != "" {
			t.Fatalf("step %d, %v (-stored +held):\n%s", step, c.Kind, diff)
		}
	}
}

// fresh returns the label sets that a refresh of the group sends.
func fresh(t *testing.T, s *testStore, labels group.Labels, o convert.Options) []string {
	t.Helper()
	held := map[string]bool{}
	if g := s.Lookup(labels); g != nil {
		rec := &group.Record{Kind: group.KindRefresh, Labels: g.Labels, Members: g.Members, Time: 1, Hide: g.Hide}
		for _, x := range seriesOf(t, rec, o) {
			held[printLabels(x.Labels)] = true
		}
	}
	return live(held)
}

func live(held map[string]bool) []string {
	maps.DeleteFunc(held, func(_ string, live bool) bool { return !live })
	return slices.Sorted(maps.Keys(held))
}

// checkLabels is promise 1.
func checkLabels(t *testing.T, l []group.Label) {
	t.Helper()
	named := false
	for i, p := range l {
		if p.Value == "" || i > 0 && l[i-1].Name >= p.Name {
			t.Errorf("labels %v: not sorted, or an empty value", l)
		}
		named = named || p.Name == "__name__"
	}
	if !named {
		t.Errorf("labels %v: no name", l)
	}
}

// push has some of a few families, each of some type.
func (r pusher) push() []string {
	var out []string
	for _, name := range []string{"a", "b", "c", "push_failure_time_seconds"} {
		if r.IntN(3) == 0 {
			continue
		}
		kind := r.IntN(6)
		if strings.HasPrefix(name, "push_") {
			if r.IntN(4) > 0 {
				continue
			}
			kind = 0
		}
		out = append(out, r.family(name, kind))
	}
	return out
}

func (r pusher) family(name string, kind int) string {
	types := []string{"GAUGE", "COUNTER", "SUMMARY", "HISTOGRAM", "GAUGE_HISTOGRAM", "HISTOGRAM"}
	var b strings.Builder
	fmt.Fprintf(&b, "name:%q type:%s ", name, types[kind])
	for i, l := range []string{`label:{name:"x" value:""}`, ``, `label:{name:"x" value:"1"}`, `label:{name:"job" value:"body"}label:{name:"x" value:"2"}`} {
		if i > 0 && r.IntN(2) == 0 {
			continue
		}
		fmt.Fprintf(&b, "metric:{%s %s} ", l, r.value(dto.MetricType(dto.MetricType_value[types[kind]])))
	}
	return b.String()
}

func (r pusher) value(typ dto.MetricType) string {
	switch typ {
	case dto.MetricType_COUNTER:
		return "counter:{value:1}"
	case dto.MetricType_SUMMARY:
		return "summary:{sample_count:1 sample_sum:1" + r.some("quantile:{quantile:%v value:1}", 0, 0.5, 1) + "}"
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		buckets := r.some("bucket:{upper_bound:%v cumulative_count:1}", -1, 0.0, 1, 1e6, "inf")
		count := []string{"sample_count:6 sample_sum:1", "sample_count_float:6.5", oneNative, oneFloatNative}[r.IntN(4)]
		return "histogram:{" + count + buckets + "}"
	case dto.MetricType_GAUGE, dto.MetricType_UNTYPED:
	}
	return "gauge:{value:1}"
}

// some formats a random choice of values.
func (r pusher) some(format string, values ...any) string {
	var b strings.Builder
	for _, v := range values {
		if r.IntN(2) == 0 {
			fmt.Fprintf(&b, " "+format, v)
		}
	}
	return b.String()
}
