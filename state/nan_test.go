package state

import (
	"bytes"
	"fmt"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/pushbridge/pushbridge/group"
)

// TestNaNCounts carries counts that are no number through all that keeps them:
// the log and the snapshot.
func TestNaNCounts(t *testing.T) {
	const text = `name:"h" type:HISTOGRAM metric{histogram{sample_count_float:nan sample_sum:1 bucket{cumulative_count:3 upper_bound:1} bucket{cumulative_count_float:nan upper_bound:2}}}`
	const want = "3 NaN NaN"
	counts := func(when string, p *group.Part) {
		t.Helper()
		m := &p.Shape.All()[0]
		v := p.ValuesOf(m)
		if diff := gocmp.Diff(want, fmt.Sprint(m.Form.Count(v[2]), m.Form.Count(v[3]), m.Form.Count(v[1]))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	p, err := group.FromDTO([]*dto.MetricFamily{family(t, text)}, group.BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	counts("built", p)
	g := newRig(t, Options{CheckConsistency: true})
	if err := g.s.Apply(group.Change{Kind: group.KindPut, Labels: labelsOf("job=a"), Part: p}, g.now, g.enqueue); err != nil {
		t.Fatal(err)
	}
	r, err := group.DecodeRecord(group.EncodeRecord(nil, g.log[len(g.log)-1]))
	if err != nil {
		t.Fatal(err)
	}
	counts("after the log", r.Part)
	g.commit()
	var b bytes.Buffer
	if err := group.EncodeSnapshot(&b, g.s.View()); err != nil {
		t.Fatal(err)
	}
	restored := New(Options{})
	refill(t, restored, 0, func() error { return restored.Load(&b) })
	counts("after a snapshot", restored.Groups()[0].Members[0].Part)
}
