package state

import (
	"bytes"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/pushbridge/pushbridge/group"
)

// snapshotView is a state with everything a snapshot can hold.
func fullView(t testing.TB) group.View {
	t.Helper()
	s := New(Options{})
	seq := uint64(0)
	var queued []*group.Record
	push := func(kind group.Kind, p *group.Part, ttl time.Duration, labels ...group.Label) {
		t.Helper()
		err := s.Apply(group.Change{Kind: kind, Labels: group.NewLabels(labels), Part: p, TTL: ttl}, time.UnixMilli(1_700_000_000_000), func(r *group.Record) { queued = append(queued, r) })
		if err != nil {
			t.Fatal(err)
		}
	}
	job := func(i int) []group.Label {
		return []group.Label{{Name: "job", Value: "j"}, {Name: "instance", Value: strconv.Itoa(i)}}
	}
	push(group.KindPut, everyType(t), time.Hour, job(0)...)
	for i := 1; i < 4; i++ {
		push(group.KindPut, part(t, "a 1\nb{x=\"\"} 2\nb 3\nc 4\n"), 0, job(i)...)
	}
	push(group.KindPost, part(t, "b 5\n# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds 7\n"), 0, job(2)...)
	push(group.KindFail, nil, 0, job(3)...)
	push(group.KindFail, nil, 0, job(4)...)
	push(group.KindPut, nil, 0, job(5)...)
	for _, r := range queued {
		seq++
		s.Fold(r, seq)
	}
	return s.View()
}

func TestSnapshotRoundTrip(t *testing.T) {
	want := fullView(t)
	var b bytes.Buffer
	if err := group.EncodeSnapshot(&b, want); err != nil {
		t.Fatal(err)
	}
	s := New(Options{})
	refill(t, s, 0, func() error { return s.Load(&b) })
	got := s.View()
	if got.Seq != want.Seq || got.Floor != want.Floor {
		t.Errorf("seq %d floor %d, want %d %d", got.Seq, got.Floor, want.Seq, want.Floor)
	}
	if diff := gocmp.Diff(printGroups(want.Groups), printGroups(got.Groups)); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	shapes := map[*group.Shape]bool{}
	for i := 1; i < 4; i++ {
		g := s.Lookup(group.NewLabels([]group.Label{{Name: "job", Value: "j"}, {Name: "instance", Value: strconv.Itoa(i)}}))
		m, _ := g.Member("a")
		shapes[m.Part.Shape] = true
	}
	if len(shapes) != 1 {
		t.Errorf("equal shapes are stored %d times", len(shapes))
	}
}

// everyType is a push with all that values are kept in.
func everyType(t testing.TB) *group.Part {
	t.Helper()
	var mfs []*dto.MetricFamily
	for _, text := range []string{
		`name:"g" type:GAUGE help:"Help." unit:"seconds" metric{label{name:"a" value:"1"} label{name:"b" value:""} gauge{value:1.5}} metric{gauge{value:-inf} timestamp_ms:77}`,
		`name:"c" type:COUNTER help:"" metric{counter{value:3 exemplar{label{name:"t" value:"x"} value:1 timestamp{seconds:-1 nanos:2}} created_timestamp{seconds:8 nanos:7}}}`,
		`name:"e" type:UNTYPED`,
		`name:"s" type:SUMMARY metric{summary{sample_count:7 sample_sum:2.5 quantile{quantile:0.5 value:1} quantile{quantile:0.9 value:nan}}}`,
		`name:"h" type:HISTOGRAM metric{histogram{sample_count:3 sample_sum:2 schema:1 zero_threshold:0.1 zero_count:1 positive_span{offset:1 length:2} positive_delta:1 positive_delta:0 bucket{cumulative_count:1 upper_bound:0.5}}}`,
	} {
		mfs = append(mfs, family(t, text))
	}
	p, err := group.FromDTO(mfs, group.BuildOptions{AcceptTimestamps: true})
	if err != nil {
		t.Fatal(err)
	}
	return p
}
