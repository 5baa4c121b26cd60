package ingest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/group"
)

// withRule makes g add up what is pushed to job a.
func withRule(t testing.TB, g *rig, how *group.Aggregation) {
	t.Helper()
	m, err := group.ParseMatchers(`{job="a"}`)
	if err != nil {
		t.Fatal(err)
	}
	g.store.SetRules(group.NewRules(group.Policy{}, []group.Rule{{Match: []group.Matchers{m}, Aggregate: how}}))
}

// TestAggregatedAnswers: the answers are those of other pushes; a repetition has the answer
// of what it repeats, refusals set the failure time of the group that would have been added to.
func TestAggregatedAnswers(t *testing.T) {
	g := newRig(t, Options{ShapeCacheBytes: 1 << 20})
	withRule(t, g, &group.Aggregation{Drop: []string{"pod"}})
	const body = "# TYPE c counter\nc{pod=\"x\"} 1\n"
	for n := range 5 { // by the full parser, and by what is known of the text
		if w := g.do("POST", fmt.Sprintf("/metrics/job/a/pod/%d", n), body); w.Code != 200 || w.Body.Len() > 0 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	first := g.do("POST", "/metrics/job/a/pod/1", body, "Idempotency-Key: x").Header().Get(gateway.PushIDHeader)
	for _, again := range []string{"Idempotency-Key: x", gateway.PushIDHeader + ": x", gateway.PushIDHeader + ": " + first} {
		w := g.do("POST", "/metrics/job/a/pod/1", body, again)
		if w.Code != 200 || w.Body.Len() > 0 || w.Header().Get(gateway.PushIDHeader) == "" {
			t.Errorf("%s: %d %s %v", again, w.Code, w.Body, w.Header())
		}
	}
	// Of another path, or of a job that is not added up, it is another push; so is what another gateway has named.
	other := strings.Replace(first, first[:4], "ffff", 1)
	for _, path := range []string{"/metrics/job/a/pod/2", "/metrics/job/a"} {
		g.do("POST", path, body, "Idempotency-Key: x")
	}
	g.do("POST", "/metrics/job/a/pod/2", body, gateway.PushIDHeader+": "+other)
	g.do("POST", "/metrics/job/b", body, "Idempotency-Key: x")
	step{"POST /metrics/job/a/pod/1", "# TYPE c gauge\nc 1\n", 400, inconsistent + `metric family "c": is a gauge`}.run(t, g)
	want := "{job=\"a\"} pushed failed\n\tc{instance=\"\",job=\"a\"} 9\n{job=\"b\"} pushed\n\tc{instance=\"\",job=\"b\",pod=\"x\"} 1\n"
	if got := g.state(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if w := g.do("DELETE", "/metrics/job/a/pod/1", ""); w.Code != 202 {
		t.Errorf("DELETE: %d", w.Code)
	}
	if got := g.keys(); len(got) != 1 {
		t.Errorf("after a DELETE: %v", got)
	}
}

// BenchmarkAggregate says what a push of ten counters costs from the request to the answer,
// added up beside so many others of the same family; and what only parsing and adding
// costs in messages.
func BenchmarkAggregate(b *testing.B) {
	for _, stored := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("stored=%d", stored), func(b *testing.B) {
			g := newRig(b, Options{ShapeCacheBytes: 16 << 20})
			withRule(b, g, &group.Aggregation{Drop: []string{"pod"}})
			var all, ten strings.Builder
			all.WriteString("# TYPE c counter\n")
			for i := range stored {
				fmt.Fprintf(&all, "c{series=\"%d\"} 1\n", i)
				if i == 9 {
					ten.WriteString(all.String())
				}
			}
			push := func(path, body string) {
				if w := g.do("POST", path, body); w.Code != 200 {
					b.Fatal(w.Code, w.Body)
				}
			}
			b.Run("ours", func(b *testing.B) {
				push("/metrics/job/a", all.String())
				for i := 0; b.Loop(); i++ {
					push(fmt.Sprintf("/metrics/job/a/pod/%d", i%100), ten.String())
				}
			})
			b.Run("messages", func(b *testing.B) {
				theirs := messages{}
				theirs.add(b, all.String())
				for b.Loop() {
					theirs.add(b, ten.String())
				}
			})
		})
	}
}

// messages adds up pushes in the way of gateways that keep the parsed messages: each family
// is a list in order of labels, and a push makes another list of it.
type messages map[string][]*dto.Metric

func labelsKey(m *dto.Metric) string {
	slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	var b strings.Builder
	for _, l := range m.Label {
		b.WriteString(l.GetName() + "\xff" + l.GetValue() + "\xff")
	}
	return b.String()
}

// less compares metrics whose labels are in order.
func less(a, b *dto.Metric) int {
	return slices.CompareFunc(a.Label, b.Label, func(x, y *dto.LabelPair) int {
		return cmp.Or(strings.Compare(x.GetName(), y.GetName()), strings.Compare(x.GetValue(), y.GetValue()))
	})
}

func (f messages) add(t testing.TB, text string) {
	p := expfmt.NewTextParser(model.UTF8Validation)
	pushed, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, mf := range pushed {
		for _, m := range mf.Metric {
			_ = labelsKey(m)
		}
		slices.SortFunc(mf.Metric, less)
		var sum []*dto.Metric
		old, more := f[name], mf.Metric
		for len(old) > 0 && len(more) > 0 {
			switch c := less(old[0], more[0]); {
			case c < 0:
				sum, old = append(sum, old[0]), old[1:]
			case c > 0:
				sum, more = append(sum, more[0]), more[1:]
			default:
				v := old[0].Counter.GetValue() + more[0].Counter.GetValue()
				sum = append(sum, &dto.Metric{Label: old[0].Label, Counter: &dto.Counter{Value: &v}})
				old, more = old[1:], more[1:]
			}
		}
		f[name] = append(append(sum, old...), more...)
	}
}

// TestAggregatedAsMessages pushes the same to both, and compares the sums.
func TestAggregatedAsMessages(t *testing.T) {
	g, theirs := newRig(t, Options{ShapeCacheBytes: 1 << 20}), messages{}
	withRule(t, g, &group.Aggregation{})
	rng := rand.New(rand.NewPCG(1, 9))
	for range 200 {
		var text strings.Builder
		for f := range 3 {
			fmt.Fprintf(&text, "# TYPE c%d counter\n", f)
			for _, i := range rng.Perm(12)[:rng.IntN(8)] {
				fmt.Fprintf(&text, "c%d{series=\"%d\"} %d\n", f, i, rng.IntN(50))
			}
		}
		if w := g.do("POST", "/metrics/job/a", text.String()); w.Code != 200 {
			t.Fatal(w.Code, w.Body)
		}
		theirs.add(t, text.String())
	}
	series := 0
	for _, m := range g.store.Groups()[0].Members {
		got, want := map[string]float64{}, map[string]float64{}
		for _, metric := range m.DTO(nil).Metric {
			metric.Label = slices.DeleteFunc(metric.Label, func(l *dto.LabelPair) bool { return l.GetName() == group.InstanceName })
			got[labelsKey(metric)] = metric.Counter.GetValue()
			series++
		}
		for _, metric := range theirs[m.Of().Name] {
			want[labelsKey(metric)] = metric.Counter.GetValue()
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-messages +ours):\n%s", m.Of().Name, diff)
		}
	}
	if series != 36 {
		t.Errorf("%d series", series)
	}
}
