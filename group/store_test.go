package group

import (
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// parse reads text in the exposition format.
func parse(t testing.TB, text string) []*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	byName, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var mfs []*dto.MetricFamily
	for _, name := range sortedKeys(byName) {
		mfs = append(mfs, byName[name])
	}
	return mfs
}

func part(t testing.TB, text string) *Part {
	t.Helper()
	p, err := FromDTO(parse(t, text), BuildOptions{AcceptTimestamps: true})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSmoke(t *testing.T) {
	s := NewStore(Options{CheckConsistency: true})
	now := time.UnixMilli(1_700_000_000_000)
	var log []*Record
	enq := func(r *Record) { log = append(log, r) }
	a := NewLabels([]Label{{"job", "a"}, {"x", "1"}})
	if err := s.Apply(Change{Kind: KindPut, Labels: a, Part: part(t, "m{l=\"1\"} 1\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 3\nh_count 2\n")}, now, enq); err != nil {
		t.Fatal(err)
	}
	s.Commit(log[0], 1)
	if n := len(s.Groups()); n != 1 {
		t.Fatal(n)
	}
	b := EncodeRecord(nil, log[0])
	r, err := DecodeRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(len(b), r.Samples(), r.Size(), r.Part.Shape.Families())
	if err := s.Apply(Change{Kind: KindPut, Labels: a, Part: part(t, "m{l=\"1\"} 1\nk 2\n")}, now, enq); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", log[1])
}
