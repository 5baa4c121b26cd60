package convert_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

// TestReceiver changes a group at random and plays the receiver: after each
// record it must hold exactly the series that a fresh start would be sent,
// everything else it ever got must be stale, and time must rise for each series.
func TestReceiver(t *testing.T) {
	typed, made := nativeOnly, nativeOnly
	typed.Typed, made.MadeClassic = true, true
	for _, tc := range []struct {
		name string
		o    convert.Options
		r    backend
	}{
		{"classic", classicOnly, backend{}},
		{"native", nativeOnly, backend{}},
		{"both", both, backend{}},
		{"type and unit are labels", typed, backend{typed: true}},
		{"native becomes classic", made, backend{makes: true}},
		{"native is dropped", nativeOnly, backend{drops: true}},
		{"native is dropped, 1.0", made, backend{drops: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for seed := range uint64(30) {
				playReceiver(t, pusher{rand.New(rand.NewPCG(seed, 7))}, tc.o, tc.r)
			}
		})
	}
}

// backend is how a receiver differs from one that holds what it is sent.
type backend struct {
	typed bool // takes type and unit for labels, as Prometheus can be told to
	makes bool // makes name_sum and name_count of a native histogram, as VictoriaMetrics does
	drops bool // drops native histograms, as Cortex does unless told otherwise
}

// held is what a receiver holds.
type held struct {
	live  map[string]bool
	times map[string]int64
}

// take stores x as the backend does.
func (b backend) take(h *held, x convert.Series) error {
	native := x.Hist != nil || x.FloatHist != nil
	key := printLabels(x.Labels)
	switch {
	case native && b.drops:
		return nil
	case native && b.makes:
		// Its marker is a last value for the count.
		name, labels, _ := strings.Cut(key, "{")
		return errors.Join(h.put(name+"_count{"+labels, x.Time, true), h.put(name+"_sum{"+labels, x.Time, !x.Stale))
	case b.typed:
		key += fmt.Sprint(" ", x.Family.Type, x.Family.Unit)
	case x.Stale && !h.live[key] && !b.makes && !b.drops:
		return fmt.Errorf("%s has a marker, and did not live", key)
	}
	return h.put(key, x.Time, !x.Stale)
}

func (h *held) put(key string, time int64, live bool) error {
	if time <= h.times[key] {
		return fmt.Errorf("%s at %d after %d", key, time, h.times[key])
	}
	h.times[key], h.live[key] = time, live
	return nil
}

func (h *held) series() []string {
	maps.DeleteFunc(h.live, func(_ string, live bool) bool { return !live })
	return slices.Sorted(maps.Keys(h.live))
}

func playReceiver(t *testing.T, r pusher, o convert.Options, b backend) {
	t.Helper()
	s := newStore()
	labels := parseGrouping(t, "job=j\nzone=")
	h := held{map[string]bool{}, map[string]int64{}}
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
		if r.IntN(2) == 0 {
			s.now = s.now.Add(-time.Second) // a push within the millisecond of the one before
		}
		series := seriesOf(t, s.apply(t, c), o)
		slices.SortStableFunc(series, func(a, b convert.Series) int { return cmp.Compare(a.Time, b.Time) })
		for _, x := range series {
			if err := b.take(&h, x); err != nil {
				t.Fatalf("step %d: %v\n%s", step, err, printSeries(series))
			}
			checkLabels(t, x.Labels)
		}
		if diff := gocmp.Diff(fresh(t, s, labels, o, b), h.series()); diff != "" {
			t.Fatalf("step %d, %v (-stored +held):\n%s", step, c.Kind, diff)
		}
	}
}

// fresh returns the series that a refresh of the group makes at a new receiver.
func fresh(t *testing.T, s *testStore, labels group.Labels, o convert.Options, b backend) []string {
	t.Helper()
	h := held{map[string]bool{}, map[string]int64{}}
	if g := s.Lookup(labels); g != nil {
		rec := &group.Record{Kind: group.KindRefresh, Labels: g.Labels, Members: g.Members, Time: 1, Hide: g.Hide}
		for _, x := range seriesOf(t, rec, o) {
			if err := b.take(&h, x); err != nil {
				t.Fatal(err)
			}
		}
	}
	return h.series()
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

// pusher makes up pushes.
type pusher struct{ *rand.Rand }

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
