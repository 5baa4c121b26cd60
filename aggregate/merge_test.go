package aggregate

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/pushbridge/pushbridge/group"
)

// rig adds pushes to one group, as the state does.
type rig struct {
	t        testing.TB
	how      group.Aggregation
	prepared Preparer
	shapes   group.Shapes
	g        *group.Group
	now      time.Time
	some     bool // all series of the last push were known
}

var key = group.Labels{{Name: "job", Value: "a"}}

func newRig(t testing.TB, how group.Aggregation) *rig {
	return &rig{t: t, how: how, now: time.UnixMilli(1_700_000_000_000)}
}

// families reads text in the exposition format, or, behind "proto:", a message as text for
// each line.
func families(t testing.TB, text string) []*dto.MetricFamily {
	t.Helper()
	var mfs []*dto.MetricFamily
	if messages, ok := strings.CutPrefix(text, "proto:"); ok {
		for line := range strings.SplitSeq(strings.TrimSpace(messages), "\n") {
			mf := &dto.MetricFamily{}
			if err := prototext.Unmarshal([]byte(line), mf); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			mfs = append(mfs, mf)
		}
		return mfs
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	byName, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, mf := range byName {
		mfs = append(mfs, mf)
	}
	return mfs
}

// add adds a push: to what is there, or, as a PUT, in its place.
func (r *rig) add(kind group.Kind, mfs []*dto.MetricFamily) error {
	r.t.Helper()
	p, err := group.FromDTO(mfs, group.BuildOptions{AcceptTimestamps: true})
	if err != nil {
		r.t.Fatal(err)
	}
	old, when := r.g, When{Now: r.now}
	if old != nil {
		when.After = old.Last
	}
	if kind == group.KindPut {
		old = nil
	}
	before := printed(r.g)
	p, err = r.prepared.Prepare(p, &r.how)
	if err != nil {
		return err
	}
	p.Shape = r.shapes.Share(p.Shape)
	sum, err := Merge(old, p, &r.how, when, &r.shapes)
	if after := printed(r.g); after != before {
		r.t.Fatalf("what is there has changed:\n%s", gocmp.Diff(before, after))
	}
	if err != nil {
		return err
	}
	rec := &group.Record{Kind: kind, Labels: key, Time: r.now.UnixMilli(), Push: r.now.UnixNano(), Part: sum.Part, Members: sum.Part.Members()}
	rec.Merge = group.Merge{Pushes: 1, Some: sum.Some}
	next := r.g.Next(rec, &r.shapes)
	r.shapes.Replace(r.g, next)
	r.g, r.some = next, sum.Some
	r.now = r.now.Add(time.Second)
	return nil
}

// printed prints what a group holds, created timestamps left out.
func printed(g *group.Group) string {
	if g == nil {
		return ""
	}
	var b strings.Builder
	for _, m := range g.Members {
		mf := m.DTO(nil)
		native := false
		for i, metric := range mf.Metric {
			mf.Metric[i].Label = m.MetricDTO(i, m.Part.Shape.AppendLabels(nil, &m.Metrics()[i])).Label
			native = native || m.Part.NativeOf(&m.Metrics()[i]) != nil
			switch {
			case metric.Counter != nil:
				metric.Counter.CreatedTimestamp = nil
			case metric.Summary != nil:
				metric.Summary.CreatedTimestamp = nil
			case metric.Histogram != nil:
				metric.Histogram.CreatedTimestamp = nil
			}
		}
		if native {
			fmt.Fprintf(&b, "%s\n", strings.ReplaceAll(prototext.MarshalOptions{}.Format(mf), "  ", " "))
			continue
		}
		if _, err := expfmt.MetricFamilyToText(&b, mf); err != nil {
			panic(err)
		}
	}
	return b.String()
}

const (
	oneHistogram = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"5\"} 2\nh_bucket{le=\"+Inf\"} 4\nh_sum 20.5\nh_count 4\n"
	twoNatives   = `proto:name:"n" type:HISTOGRAM metric{histogram{sample_count:3 sample_sum:6 schema:1 zero_threshold:0.001 zero_count:1 positive_span{offset:0 length:2} positive_delta:1 positive_delta:0}}`
)

// TestMerge goes through what becomes of each type: pushes one behind the other, of which
// the last is one of series that are all known where that is said.
func TestMerge(t *testing.T) {
	last, sum := group.Aggregation{}, group.Aggregation{Gauges: group.GaugeSum}
	for _, row := range []struct {
		name   string
		how    group.Aggregation
		pushes []string // behind PUT: one that takes the place
		want   string
		some   bool
	}{
		{"counters add up", last, []string{"# TYPE c counter\nc{a=\"1\"} 2\nc 1\n", "# TYPE c counter\nc{a=\"1\"} 3\n"}, "# TYPE c counter\nc{a=\"1\"} 5\nc 1\n", true},
		{"in any order of labels", last, []string{"# TYPE c counter\nc{a=\"1\",b=\"2\"} 2\n", "# TYPE c counter\nc{b=\"2\",a=\"1\"} 3\n"}, "# TYPE c counter\nc{a=\"1\",b=\"2\"} 5\n", true},
		{"a new series joins its family", last, []string{"# TYPE c counter\nc{a=\"1\"} 2\n", "# TYPE c counter\nc{a=\"2\"} 3\nc{a=\"1\"} 1\n"}, "# TYPE c counter\nc{a=\"1\"} 3\nc{a=\"2\"} 3\n", false},
		{"families that are not pushed stay", last, []string{"# TYPE c counter\nc 2\n", "# TYPE d counter\nd 1\n", "# TYPE c counter\nc 3\n"}, "# TYPE c counter\nc 5\n# TYPE d counter\nd 1\n", true},
		{"help stays as it came first", last, []string{"# HELP c First.\n# TYPE c counter\nc 2\n", "# HELP c Second.\n# TYPE c counter\nc 2\nc{a=\"1\"} 1\n"}, "# HELP c First.\n# TYPE c counter\nc 4\nc{a=\"1\"} 1\n", false},
		{"PUT begins anew", last, []string{"# TYPE c counter\nc 2\nc{a=\"1\"} 1\n", "PUT# TYPE c counter\nc 1\n", "# TYPE c counter\nc 1\n"}, "# TYPE c counter\nc 2\n", true},
		{"gauges: last", last, []string{"# TYPE g gauge\ng 2\nu 1\n", "# TYPE g gauge\ng 1\nu 4\n"}, "# TYPE g gauge\ng 1\n# TYPE u untyped\nu 4\n", true},
		{"gauges: sum", sum, []string{"# TYPE g gauge\ng 2\nu 1\n", "# TYPE g gauge\ng -1\nu 4\n"}, "# TYPE g gauge\ng 1\n# TYPE u untyped\nu 5\n", true},
		{"gauges: max", group.Aggregation{Gauges: group.GaugeMax}, []string{"# TYPE g gauge\ng NaN\nu 5\n", "# TYPE g gauge\ng 1\nu 4\n", "# TYPE g gauge\ng NaN\nu -4\n"}, "# TYPE g gauge\ng 1\n# TYPE u untyped\nu 5\n", true},
		{"gauges: min", group.Aggregation{Gauges: group.GaugeMin}, []string{"# TYPE g gauge\ng NaN\nu 5\n", "# TYPE g gauge\ng 1\nu 4\n", "# TYPE g gauge\ng NaN\nu 7\n"}, "# TYPE g gauge\ng 1\n# TYPE u untyped\nu 4\n", true},
		{"a failure time is no sum", sum, []string{"# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds 2\n", "# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds 3\n"}, "# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds 3\n", true},
		{
			"summaries lose their quantiles", last,
			[]string{"# TYPE s summary\ns{quantile=\"0.5\"} 9\ns_sum 2\ns_count 1\n", "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 3\ns_count 2\n"},
			"# TYPE s summary\ns_sum 5\ns_count 3\n", true,
		},
		{
			"histograms add up bucket by bucket", last,
			[]string{oneHistogram, oneHistogram},
			"# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"5\"} 4\nh_bucket{le=\"+Inf\"} 8\nh_sum 41\nh_count 8\n", true,
		},
		{
			"buckets that are not there yet can go", last,
			[]string{"# TYPE h histogram\nh_bucket{le=\"5\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n", oneHistogram},
			"# TYPE h histogram\nh_bucket{le=\"5\"} 3\nh_bucket{le=\"+Inf\"} 6\nh_sum 21.5\nh_count 6\n", false,
		},
		{
			"up to +Inf are all", last,
			[]string{oneHistogram, "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"5\"} 1\nh_sum 1\nh_count 2\n"},
			"# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"5\"} 3\nh_bucket{le=\"+Inf\"} 6\nh_sum 21.5\nh_count 6\n", false,
		},
		{
			"native histograms add up", last,
			[]string{twoNatives, twoNatives},
			`name:"n" type:HISTOGRAM metric:{histogram:{sample_count:6 sample_sum:12 schema:1 zero_threshold:0.001 zero_count:2 positive_span:{offset:0 length:2} positive_delta:2 positive_delta:0}}` + "\n", true,
		},
		{
			"the coarser schema and the wider zero bucket count", last,
			[]string{twoNatives, `proto:name:"n" type:HISTOGRAM metric{histogram{sample_count:2 sample_sum:3 schema:0 zero_threshold:0.01 zero_count:1 positive_span{offset:1 length:1} positive_delta:1}}`},
			`name:"n" type:HISTOGRAM metric:{histogram:{sample_count:5 sample_sum:9 schema:0 zero_threshold:0.01 zero_count:2 positive_span:{offset:0 length:2} positive_delta:1 positive_delta:1}}` + "\n", true,
		},
		{
			"of whole numbers and floats come floats", last,
			[]string{twoNatives, `proto:name:"n" type:HISTOGRAM metric{histogram{sample_count_float:1.5 sample_sum:3 schema:1 zero_threshold:0.001 zero_count_float:0.5 positive_span{offset:0 length:1} positive_count:1}}`},
			`name:"n" type:HISTOGRAM metric:{histogram:{sample_count_float:4.5 sample_sum:9 schema:1 zero_threshold:0.001 zero_count_float:1.5 positive_span:{offset:0 length:2} positive_count:2 positive_count:1}}` + "\n", false,
		},
		{
			"labels that are dropped make one of several",
			group.Aggregation{Drop: []string{"pod"}},
			[]string{"# TYPE c counter\nc{pod=\"x\"} 2\nc{pod=\"y\",a=\"1\"} 1\nc 5\n", "# TYPE c counter\nc{pod=\"z\"} 3\n"},
			"# TYPE c counter\nc 10\nc{a=\"1\"} 1\n", true,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, row.how)
			for _, push := range row.pushes {
				kind, text := group.KindPost, push
				if rest, ok := strings.CutPrefix(push, "PUT"); ok {
					kind, text = group.KindPut, rest
				}
				if err := r.add(kind, families(t, text)); err != nil {
					t.Fatal(err)
				}
			}
			if diff := gocmp.Diff(row.want, printed(r.g)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if r.some != row.some {
				t.Errorf("all series known: %v", r.some)
			}
		})
	}
}

// TestMerge_Refused: what cannot be added exactly changes nothing, and says what to do.
func TestMerge_Refused(t *testing.T) {
	for _, row := range []struct{ name, first, push, want string }{
		{"a negative counter", "", "# TYPE c counter\nc{a=\"1\"} -1\n", `metric c{a="1"}: is -1: a counter that is added up must not be negative`},
		{"one that is known", "# TYPE c counter\nc 1\n", "# TYPE c counter\nc -1\n", `metric c: is -1: a counter that is added up must not be negative`},
		{"a counter that is no number", "", "# TYPE c counter\nc NaN\n", "metric c: is not a number: a counter that is added up would be none for ever"},
		{"another type", "# TYPE c counter\nc 1\n", "# TYPE c gauge\nc 1\n", `metric family "c": is a gauge, and what it is to be added to is a counter: push that, or begin anew, by a PUT or after a DELETE of the group`},
		{"a time", "", "c 1 1000\n", "must not have timestamps: what is added up is as of its latest push"},
		{"twice", "", "# TYPE c counter\nc 1\nc 2\n", "metric c: was pushed twice with the same name and labels"},
		{
			"other bounds", oneHistogram, "# TYPE h histogram\nh_bucket{le=\"2\"} 1\nh_bucket{le=\"5\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
			"metric h: has buckets up to 2.0, 5.0, +Inf, and those that it is to be added to are up to 1.0, 5.0, +Inf: push those, or begin anew, by a PUT or after a DELETE of the group",
		},
		{"no native buckets", twoNatives, "# TYPE n histogram\nn_sum 1\nn_count 1\n", "metric n: has no native buckets, and what it is to be added to is otherwise: push it as that was, or begin anew, by a PUT or after a DELETE of the group"},
		{
			"too many", `proto:name:"h" type:HISTOGRAM metric{histogram{sample_count:18446744073709551615 sample_sum:2}}`,
			"# TYPE h histogram\nh_sum 1\nh_count 1\n", "metric h: the count would be too large: it is 18446744073709551615",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, group.Aggregation{})
			if row.first != "" {
				if err := r.add(group.KindPost, families(t, row.first)); err != nil {
					t.Fatal(err)
				}
			}
			err := r.add(group.KindPost, families(t, row.push))
			var invalid *group.InvalidError
			if !errors.As(err, &invalid) || err.Error() != row.want {
				t.Errorf("got %v\nwant %s", err, row.want)
			}
		})
	}
}

// TestMerge_Created: a series has counted since the push that brought it, or since what that
// says, but not from before the group began anew.
func TestMerge_Created(t *testing.T) {
	counter := func(created int64) []*dto.MetricFamily {
		mf := families(t, `proto:name:"c" type:COUNTER metric{counter{value:1}}`)
		if created > 0 {
			proto.Merge(mf[0].Metric[0].Counter, families(t, fmt.Sprintf(`proto:metric{counter{created_timestamp{seconds:%d}}}`, created))[0].Metric[0].Counter)
		}
		return mf
	}
	r := newRig(t, group.Aggregation{})
	begun := func(kind group.Kind, says int64) string {
		t.Helper()
		if err := r.add(kind, counter(says)); err != nil {
			t.Fatal(err)
		}
		c, _ := r.g.Members[0].Part.CreatedOf(0)
		return time.Unix(c.Seconds, int64(c.Nanos)).Sub(time.UnixMilli(1_700_000_000_000)).String()
	}
	for _, row := range []struct {
		kind group.Kind
		says int64
		want string
	}{
		{group.KindPost, 0, "-1ms"},               // at 0s
		{group.KindPost, 0, "-1ms"},               // at 1s
		{group.KindPost, 1_600_000_000, "-1ms"},   // at 2s: others have begun since
		{group.KindPut, 0, "2.999s"},              // at 3s
		{group.KindPut, 1_600_000_000, "3.999s"},  // at 4s: what it was before is newer
		{group.KindPut, 1_800_000_000, "4.999s"},  // at 5s: that is to come
		{group.KindPost, 1_600_000_000, "4.999s"}, // at 6s
	} {
		if got := begun(row.kind, row.says); got != row.want {
			t.Errorf("%+v: began at %s", row, got)
		}
	}
	r = newRig(t, group.Aggregation{})
	if got, want := begun(group.KindPost, 1_699_999_000), "-16m40s"; got != want {
		t.Errorf("began at %s, want %s", got, want)
	}
}

// TestMerge_Random compares what a group holds after many pushes with sums that are made
// in the plainest way.
func TestMerge_Random(t *testing.T) {
	some := 0
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 7))
		r, want := newRig(t, group.Aggregation{Drop: []string{"pod"}, Gauges: group.GaugeSum}), map[string]float64{}
		for range 40 {
			var text strings.Builder
			pushed := map[string]bool{}
			for f := range 3 {
				if rng.IntN(3) == 0 {
					continue
				}
				fmt.Fprintf(&text, "# TYPE c%d %s\n", f, []string{"counter", "gauge", "untyped"}[f])
				for range rng.IntN(6) {
					series := fmt.Sprintf("c%d{a=\"%d\"", f, rng.IntN(8))
					pod := fmt.Sprintf("%s,pod=\"%d\"} ", series, rng.IntN(3))
					if pushed[pod] {
						continue
					}
					pushed[pod] = true
					v := float64(rng.IntN(100))
					want[series+"} "] += v
					fmt.Fprintf(&text, "%s%g\n", pod, v)
				}
			}
			if err := r.add(group.KindPost, families(t, text.String())); err != nil {
				t.Fatal(err)
			}
			if r.some {
				some++
			}
		}
		got := map[string]float64{}
		for _, m := range r.g.Members {
			for i, metric := range m.Metrics() {
				l := m.Part.Shape.AppendLabels(nil, &m.Metrics()[i])
				got[m.Of().Name+"{a=\""+l[0].Value+"\"} "] = math.Float64frombits(m.Part.ValuesOf(&metric)[0])
			}
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
	if some == 0 {
		t.Error("no push was of known series alone")
	}
}
