package remotewrite

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

// faceBodies are pushes of a few shapes; VALUE stands for one.
var faceBodies = []string{
	"# HELP rows Rows.\n# TYPE rows counter\nrows{table=\"a\",job=\"own\"} VALUE\nrows{table=\"b\",empty=\"\"} 2\n",
	"# TYPE took histogram\ntook_bucket{le=\"0.1\",zone=\"x\"} VALUE\ntook_bucket{le=\"+Inf\",zone=\"x\"} 1000\ntook_sum{zone=\"x\"} 1\ntook_count{zone=\"x\"} 1000\n" +
		"# TYPE size summary\nsize{quantile=\"0.5\",a=\"b\"} VALUE\nsize_sum{a=\"b\"} 2\nsize_count{a=\"b\"} 3\n",
	"# TYPE rows counter\nrows{table=\"a\"} VALUE\n# TYPE unwanted gauge\nunwanted{table=\"a\"} VALUE\nunwanted{table=\"b\"} 1\n",
	"twice VALUE\ntwice{empty=\"\"} 2\n",
	"# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds VALUE\n",
	"",
}

// faceHistory is what random changes of a few groups make: every kind of record.
func faceHistory(t *testing.T, seed uint64) []*group.Record {
	rnd := rand.New(rand.NewPCG(seed, 1))
	g := newRig(t, rigOptions{})
	var mu sync.Mutex // the log has a goroutine of its own
	var records []*group.Record
	note := func(r ...*group.Record) {
		mu.Lock()
		defer mu.Unlock()
		records = append(records, r...)
	}
	g.OnKept(func(r *group.Record) { note(r) })
	g.start()
	for range 80 {
		labels := []string{"job", fmt.Sprint("j", rnd.IntN(2)), "instance", fmt.Sprint(rnd.IntN(2))}
		body := strings.ReplaceAll(faceBodies[rnd.IntN(len(faceBodies))], "VALUE", fmt.Sprint(rnd.IntN(1000)))
		switch rnd.IntN(9) {
		case 0:
			g.delete(labels...)
		case 3:
			c := group.Change{Kind: group.KindPut, Labels: groupingKey(labels...), Part: partOfDTO(t, nativeFamily(rnd.IntN(2) == 0))}
			if err := g.apply(c); err != nil {
				t.Fatal(err)
			}
		case 1, 2:
			g.post(body, labels...)
		default:
			g.put(body, labels...)
		}
		if rnd.IntN(6) == 0 {
			note(g.current().Records...)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(records)
}

// TestFaces compares what is sent by known faces with what is sent without any.
func TestFaces(t *testing.T) {
	rules := relabelRules(t, `
- {source_labels: [__name__], regex: unwanted, action: drop}
- {source_labels: [table], regex: b, action: drop}
- {source_labels: [__name__, instance], target_label: both}
- {regex: zone, action: labeldrop}
`)
	for _, row := range []struct {
		name  string
		ruled bool
		o     Options
	}{
		{name: "plain"},
		{name: "external labels", o: Options{External: groupingKey("table", "outside", "cluster", "eu")}},
		{name: "rules", ruled: true, o: Options{External: groupingKey("cluster", "eu")}},
		{name: "escaped", o: Options{Traits: Traits{Escaping: model.UnderscoreEscaping}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := configFor(t, "http://localhost/")
			if row.ruled {
				c.WriteRelabelConfigs = rules
			}
			hits := 0
			for seed := range uint64(4) {
				g := newRig(t, rigOptions{})
				d := g.destination(c, row.o)
				g.start()
				hits += compareFaces(t, d, faceHistory(t, seed))
			}
			if hits < 100 {
				t.Errorf("%d records were sent by a known face, want more: nothing was compared", hits)
			}
		})
	}
}

// compareFaces converts records with faces and without, and returns how often a face
// was known.
func compareFaces(t *testing.T, d *Destination, records []*group.Record) (hits int) {
	t.Helper()
	known, plain := newStage(d), newStage(d)
	plain.faces.room = &faceRoom{}
	for i, r := range records {
		p := []Protocol{Protocol1, Protocol2}[i/7%2]
		got, gotDrops := convertAlone(&known, r, p)
		want, wantDrops := convertAlone(&plain, r, p)
		if diff := cmp.Diff(wantDrops, gotDrops); diff != "" {
			t.Fatalf("record %d, dropped (-without +with faces):\n%s", i, diff)
		}
		if !bytes.Equal(appendRequest1(nil, got), appendRequest1(nil, want)) {
			t.Fatalf("record %d: 1.0\n got %v\nwant %v", i, got, want)
		}
		if !bytes.Equal(new(encoder2).append(nil, got), new(encoder2).append(nil, want)) {
			t.Fatalf("record %d: 2.0\n got %v\nwant %v", i, got, want)
		}
		if len(got) > 0 && got[0].Known != nil {
			hits++
		}
		known.reset()
		plain.reset()
	}
	return hits
}

// TestFacesTogether: records whose faces are known go into one request as others do, whatever shapes
// they have, and in the other protocol too.
func TestFacesTogether(t *testing.T) {
	g := newRig(t, rigOptions{})
	d := g.destination(configFor(t, "http://localhost/"), Options{})
	g.start()
	var records []*group.Record
	for i, size := range []int{20, 20, 3, 20, 600, 3, 50, 20} { // the one of 600 has more texts than can be numbered
		r := *benchRecord(t, size)
		r.Labels, r.Time = groupingKey("job", "together", "instance", fmt.Sprint(i%5)), r.Time+int64(i)
		records = append(records, &r)
	}
	for _, p := range []Protocol{Protocol1, Protocol2} {
		known, plain := newStage(d), newStage(d)
		plain.faces.room = &faceRoom{}
		var e encoder2
		for round := range 4 {
			var got, want []convert.Series
			for _, r := range records {
				got = known.convert(got, &loaded{item: item{record: r}, from: len(got)}, p)
				want = plain.convert(want, &loaded{item: item{record: r}, from: len(want)}, p)
			}
			if round > 1 && got[0].Known == nil {
				t.Errorf("%s, round %d: the first record has no face", p, round)
			}
			if !bytes.Equal(appendRequest1(nil, got), appendRequest1(nil, want)) {
				t.Errorf("%s, round %d: another request of 1.0", p, round)
			}
			if !bytes.Equal(e.append(nil, got), new(encoder2).append(nil, want)) {
				t.Errorf("%s, round %d: another request of 2.0", p, round)
			}
			known.reset()
			plain.reset()
		}
	}
}

func convertAlone(s *stage, r *group.Record, p Protocol) ([]convert.Series, outcome) {
	l := loaded{item: item{record: r}}
	return s.convert(nil, &l, p), l.drops
}

// TestFacesBound: what does not fit goes the long way, and what is not used any more
// makes room.
func TestFacesBound(t *testing.T) {
	s, room := newFaceStage(t)
	room.max = 20 << 10
	var records []*group.Record
	for i := range 50 {
		r := *benchRecord(t, 20)
		r.Labels = groupingKey("job", fmt.Sprint(i))
		records = append(records, &r)
	}
	send := func(records []*group.Record) (hits int) {
		for _, r := range records {
			if series, _ := convertAlone(&s, r, Protocol1); series[0].Known != nil {
				hits++
			}
			s.reset()
			if held := room.held.Load(); held > room.max {
				t.Fatalf("%d bytes are held, want at most %d", held, room.max)
			}
		}
		return hits
	}
	send(records)
	send(records)
	first := send(records)
	if first == 0 || first > 10 || send(records) != first {
		t.Fatalf("%d of 50 records have a known face, want those few that fit, again and again", first)
	}
	last := records[len(records)-first:]
	for range 2 * (facesMet + facesSweep*first) / len(last) {
		send(last)
	}
	if n := send(last); n != len(last) {
		t.Errorf("%d of %d records that alone are sent have a known face, want all: the others make room", n, len(last))
	}
}

// newFaceStage returns a stage, and the room that its faces may take.
func newFaceStage(t *testing.T) (stage, *faceRoom) {
	t.Helper()
	g := newRig(t, rigOptions{})
	d := g.destination(configFor(t, "http://localhost/"), Options{})
	g.start()
	return newStage(d), &d.metrics.faces
}

// TestFacesMakeRoom: large faces of what does not come any more do not keep those out that come
// again and again.
func TestFacesMakeRoom(t *testing.T) {
	s, room := newFaceStage(t)
	send := func(job string, times int) (known bool) {
		r := *benchRecord(t, 1000)
		r.Labels = groupingKey("job", job)
		for range times {
			series, _ := convertAlone(&s, &r, Protocol1)
			known = series[0].Known != nil
			s.reset()
		}
		return known
	}
	room.max = 1 << 30
	send("gone", 2)
	each := room.held.Load()
	room.max = 3*each + each/2
	send("also gone", 2)
	send("third", 2)
	if send("new", 3) {
		t.Fatal("a fourth face fits, want three of them to fill the room")
	}
	if !send("new", 200) {
		t.Error("after 200 records no face is known of what alone comes, want those that do not come to make room")
	}
}

// TestFaceThatNeverFits: what is larger than all the room makes nobody else go.
func TestFaceThatNeverFits(t *testing.T) {
	s, room := newFaceStage(t)
	large, small := benchRecord(t, 1000), *benchRecord(t, 20)
	small.Labels = groupingKey("job", "small")
	room.max = 64 << 10
	known := func(r *group.Record) bool {
		series, _ := convertAlone(&s, r, Protocol1)
		s.reset()
		return series[0].Known != nil
	}
	known(&small)
	if !known(&small) {
		t.Fatal("a small face is not known, want it to fit")
	}
	for range 100 {
		known(large)
	}
	if !known(&small) {
		t.Error("a face had to go for another one that does not fit into the whole room")
	}
}

// TestKnownDuplicates: a sample that comes with two records goes out once, also where the labels of the
// first are known to differ.
func TestKnownDuplicates(t *testing.T) {
	s, _ := newFaceStage(t)
	first, second := benchRecord(t, 20), *benchRecord(t, 20)
	second.Time++
	all, _ := convertAlone(&s, first, Protocol2)
	s.reset()
	for round := range 3 { // the third has known faces
		var series []convert.Series
		for i, step := range []struct {
			record *group.Record
			twice  bool
		}{{first, false}, {&second, false}, {first, true}, {&second, true}} {
			l := loaded{item: item{record: step.record}, from: len(series)}
			series = s.convert(series, &l, Protocol2)
			want := 0
			if step.twice {
				want = len(all)
			}
			if got := int(l.drops[duplicateSeries]); got != want {
				t.Errorf("round %d, record %d: %d duplicates, want %d", round, i, got, want)
			}
		}
		if round == 2 && series[0].Known == nil {
			t.Error("no face is known, want one")
		}
		s.reset()
	}
}
