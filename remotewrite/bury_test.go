package remotewrite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/model/value"
	"go.yaml.in/yaml/v2"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/deadletter"
	"github.com/pushbridge/pushbridge/group"
)

func newLetters(t *testing.T) *deadletter.Store {
	t.Helper()
	s, err := deadletter.Open(t.TempDir(), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// inLetters are the samples of all dead letters, as the receiver of these tests prints
// them, without times.
func inLetters(t *testing.T, s *deadletter.Store) (out []string) {
	t.Helper()
	if err := s.Each("", func(l deadletter.Letter) error {
		series, err := unpackLetter(l.Body)
		if err != nil {
			return err
		}
		if len(series) != l.Series {
			t.Errorf("letter %+v holds %d series", l, len(series))
		}
		for i := range series {
			v := fmt.Sprint(series[i].Value)
			if series[i].Stale {
				v = "stale"
			}
			out = append(out, group.Labels(series[i].Labels).Get(nameLabel)+" "+v)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// dropping is a rule that leaves out one name.
func dropping(t *testing.T, name string) []*relabel.Config {
	t.Helper()
	var c Config
	text := "url: http://x/\nwrite_relabel_configs: [{source_labels: [__name__], regex: " + name + ", action: drop}]\n"
	if err := yaml.UnmarshalStrict([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c.WriteRelabelConfigs
}

// refusing refuses each request that holds a series of one of these names, as Prometheus
// does: in 2.0 it stores the others and says how many.
func refusing(mended *atomic.Bool, stores bool, names ...string) func(*request, int) reply {
	return func(q *request, _ int) reply {
		bad := 0
		for _, s := range q.samples {
			name, _, _ := strings.Cut(s.series, "{")
			if slices.Contains(names, name) {
				bad++
			}
		}
		if bad == 0 || mended.Load() {
			return reply{}
		}
		p := reply{status: 400, body: "out of bounds"}
		if stores && q.protocol == Protocol2 {
			p.header = map[string]string{
				"X-Prometheus-Remote-Write-Samples-Written": fmt.Sprint(len(q.samples) - bad), "X-Prometheus-Remote-Write-Histograms-Written": "0",
				"X-Prometheus-Remote-Write-Exemplars-Written": "0",
			}
		}
		return p
	}
}

// TestLettersHoldWhatWasRefused: what was refused is kept, and nothing else, and replaying
// it after the receiver was mended delivers it, in order, each once.
func TestLettersHoldWhatWasRefused(t *testing.T) {
	for _, row := range []struct {
		name   string
		m      ProtobufMessage
		stores bool
	}{{"1.0", Message1, false}, {"2.0", Message2, false}, {"2.0 with counts", Message2, true}} {
		t.Run(row.name, func(t *testing.T) {
			var mended atomic.Bool
			letters := newLetters(t)
			s := setup{options: Options{Letters: letters}, answer: refusing(&mended, row.stores, "bad")}
			s.config = func(c *Config) {
				c.ProtobufMessage = row.m
				c.WriteRelabelConfigs = dropping(t, "left_out")
			}
			bubble(t, s, func(t *testing.T, b *bench) {
				for i := range 3 {
					b.put(fmt.Sprintf("good %d\nbad %d\nleft_out %d", i, i, i), "job", "j")
					settled(t, b.d)
				}
				b.delete("job", "j")
				settled(t, b.d)
				same(t, []string{"bad 0", "bad 1", "bad 2", "bad stale"}, inLetters(t, letters))
				if l, err := letters.Read(1); err != nil || l.Text != "out of bounds" || l.Status != 400 || l.Group != `{job="j"}` || l.Reason != "refused" {
					t.Errorf("letter %+v, %v", l, err)
				}
				if !row.stores {
					mended.Store(true)
					b.d.Replay()
					await(t, "replayed", func() bool { return len(letters.IDs("", "")) == 0 })
					same(t, []string{"bad{job=j} 0", "bad{job=j} 1", "bad{job=j} 2", "bad{job=j} stale"}, b.r.gotOf("bad"))
				}
				status := b.d.Status().Books
				checkBooks(t, status)
				if row.stores {
					return
				}
				same(t, map[string]uint64{"dropped_series": 4}, status.Dropped)
				if status.Delivered != status.Accepted-4 {
					t.Errorf("books %+v", status)
				}
			})
		})
	}
}

func (r *receiver) gotOf(name string) []string {
	return slices.DeleteFunc(r.got(), func(s string) bool { return !strings.HasPrefix(s, name+"{") })
}

// TestWhatIsStillRefusedStays: replaying delivers what can be, and leaves the rest.
func TestWhatIsStillRefusedStays(t *testing.T) {
	for _, m := range []ProtobufMessage{Message1, Message2} {
		t.Run(string(m), func(t *testing.T) {
			var mended, worse atomic.Bool
			letters := newLetters(t)
			first, second := refusing(&mended, false, "bad"), refusing(&worse, false, "worse")
			s := setup{options: Options{Letters: letters}, config: func(c *Config) { c.ProtobufMessage = m }}
			s.answer = func(q *request, n int) reply {
				if p := first(q, n); p.status != 0 {
					return p
				}
				return second(q, n)
			}
			bubble(t, s, func(t *testing.T, b *bench) {
				for i := range 3 {
					b.put(fmt.Sprintf("good %d\nbad %d\nworse %d", i, i, i), "job", "j")
					settled(t, b.d)
				}
				mended.Store(true)
				b.d.Replay()
				await(t, "replayed", func() bool { return deadletter.Total(letters.Redeemed(b.d.ID())) == 3 })
				same(t, []string{"bad{job=j} 0", "bad{job=j} 1", "bad{job=j} 2"}, b.r.gotOf("bad"))
				same(t, []string{"worse 0", "worse 1", "worse 2"}, inLetters(t, letters))
				same(t, map[string]uint64{"refused": 3}, b.d.Status().Books.Dropped)
				worse.Store(true)
				b.d.Replay()
				await(t, "replayed", func() bool { return len(letters.IDs("", "")) == 0 })
				same(t, []string{"worse{job=j} 0", "worse{job=j} 1", "worse{job=j} 2"}, b.r.gotOf("worse"))
				checkBooks(t, b.d.Status().Books)
			})
		})
	}
}

// TestReplayWaitsForTheReceiver: one that is away while letters are replayed gets them
// when it is back.
func TestReplayWaitsForTheReceiver(t *testing.T) {
	var mended, away atomic.Bool
	letters := newLetters(t)
	refuse := refusing(&mended, false, "bad")
	s := setup{options: Options{Letters: letters}, answer: func(q *request, n int) reply {
		if away.Load() {
			return reply{status: 401}
		}
		return refuse(q, n)
	}}
	bubble(t, s, func(t *testing.T, b *bench) {
		b.put("bad 1", "job", "j")
		settled(t, b.d)
		mended.Store(true)
		away.Store(true)
		b.d.Replay()
		time.Sleep(time.Minute)
		if len(letters.IDs("", "")) != 1 {
			t.Error("the letter is gone")
		}
		away.Store(false)
		await(t, "replayed", func() bool { return len(letters.IDs("", "")) == 0 })
		same(t, []string{"bad{job=j} 1"}, b.r.gotOf("bad"))
	})
}

// TestWhatIsSetAsideBecomesALetter: samples that a receiver stumbles over, when they are
// given up.
func TestWhatIsSetAsideBecomesALetter(t *testing.T) {
	var mended atomic.Bool
	letters := newLetters(t)
	answer := func(q *request, _ int) reply {
		if !mended.Load() && slices.ContainsFunc(q.samples, func(s sample) bool { return strings.HasPrefix(s.series, "poison{") }) {
			return reply{status: 500, body: "panic"}
		}
		return reply{}
	}
	bubble(t, setup{options: Options{Letters: letters}, answer: answer}, func(t *testing.T, b *bench) {
		b.put("poison 1\ngood 1", "job", "j")
		for i := range 15 {
			time.Sleep(time.Minute)
			b.put("good 1", "job", fmt.Sprint("k", i))
		}
		books := settled(t, b.d)
		same(t, map[string]uint64{"server_error": 1}, books.Dropped)
		same(t, []string{"poison 1"}, inLetters(t, letters))
		mended.Store(true)
		b.d.Replay()
		await(t, "replayed", func() bool { return len(letters.IDs("", "")) == 0 })
		same(t, map[string]uint64{}, b.d.Status().Books.Dropped)
	})
}

// TestRefreshesAreNoLetters: what the log never had is not in the books.
func TestRefreshesAreNoLetters(t *testing.T) {
	letters := newLetters(t)
	var mended atomic.Bool
	mended.Store(true)
	bubble(t, setup{options: Options{Letters: letters}, answer: refusing(&mended, false, "bad")}, func(t *testing.T, b *bench) {
		b.put("bad 1", "job", "j")
		settled(t, b.d)
		mended.Store(false)
		before := len(b.r.all())
		b.refresh()
		await(t, "refresh", func() bool { return len(b.r.all()) > before })
		settled(t, b.d)
		if got := inLetters(t, letters); got != nil {
			t.Errorf("letters: %q", got)
		}
	})
}

// TestLettersOfGuesses: where requests did not suffice to find out what was refused, each
// sample goes alone when it is replayed, and what the receiver has already is no new one.
func TestLettersOfGuesses(t *testing.T) {
	var mended atomic.Bool
	letters := newLetters(t)
	answer := func(q *request, _ int) reply {
		if mended.Load() {
			return reply{}
		}
		return reply{status: 400}
	}
	bubble(t, setup{options: Options{Letters: letters}, answer: answer}, func(t *testing.T, b *bench) {
		b.put(manySeries(200), "job", "j")
		books := settled(t, b.d)
		same(t, map[string]uint64{"refused": 202}, books.Dropped)
		if n := len(inLetters(t, letters)); n != 202 {
			t.Errorf("%d samples in letters", n)
		}
		mended.Store(true)
		b.d.Replay()
		await(t, "replayed", func() bool { return len(letters.IDs("", "")) == 0 })
		if n := len(b.r.got()); n != 200 {
			t.Errorf("%d stored", n)
		}
		same(t, map[string]uint64{}, b.d.Status().Books.Dropped)
	})
}

// someOfEach is a series of each kind.
func someOfEach() []convert.Series {
	l := func(name string) []group.Label {
		return []group.Label{{Name: nameLabel, Value: name}, {Name: "job", Value: "j"}, {Name: "ü.x", Value: "\"\n"}}
	}
	f := func(name string, t group.Type) convert.FamilyInfo {
		return convert.FamilyInfo{Name: name, Help: "what " + name + " is", Unit: "seconds", Type: t}
	}
	spans := []histogram.Span{{Offset: -2, Length: 1}, {Offset: 3, Length: 2}}
	return []convert.Series{
		{Labels: l("a"), Time: 1, Value: -0.5, Start: 7, Family: f("a", group.Counter)},
		{Labels: l("b"), Time: -2, Value: 1e300, Family: f("b", group.Gauge)},
		{Labels: l("s"), Time: 3, Value: staleValue, Stale: true, Family: f("s", group.Summary)},
		{Labels: l("h"), Time: 4, Family: f("h", group.Histogram), Hist: &histogram.Histogram{
			Schema: 3, Count: 9, Sum: 1.5, ZeroThreshold: 0.1, ZeroCount: 2, PositiveSpans: spans, PositiveBuckets: []int64{1, 2, -1},
			NegativeSpans: spans, NegativeBuckets: []int64{4, -3, 2},
		}},
		{Labels: l("g"), Time: 5, Start: 1, Family: f("g", group.GaugeHistogram), FloatHist: &histogram.FloatHistogram{
			Schema: 1, Count: 9, Sum: 1.5, ZeroThreshold: 0.1, ZeroCount: 2, PositiveSpans: spans, PositiveBuckets: []float64{1, 2.5, 3},
			CounterResetHint: histogram.GaugeType,
		}},
		{Labels: l("u"), Time: 6, Value: 1, Family: f("u", group.Untyped)},
	}
}

var staleValue = math.Float64frombits(value.StaleNaN)

// TestLettersKeepEverySample: bit for bit, and what it is called.
func TestLettersKeepEverySample(t *testing.T) {
	want := someOfEach()
	got, err := unpackLetter(packLetter(want))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d series", len(got))
	}
	for i := range want {
		w, g := want[i], got[i]
		if w.Family.Type != g.Family.Type || w.Family.Help != g.Family.Help || w.Family.Unit != g.Family.Unit || w.Stale != g.Stale {
			t.Errorf("%s: family %+v, stale %t", w.Family.Name, g.Family, g.Stale)
		}
		one := func(x convert.Series) []byte { return new(encoder2).append(nil, []convert.Series{x}) }
		if !bytes.Equal(one(w), one(g)) {
			t.Errorf("%s goes out otherwise: %+v", w.Family.Name, g)
		}
	}
}

// TestExportOfLetters: each sample is a line, a stale marker and a histogram too.
func TestExportOfLetters(t *testing.T) {
	var out bytes.Buffer
	if err := ExportLetter(&out, deadletter.Letter{Destination: "d", Reason: "refused", Body: packLetter(someOfEach())}); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for line := range strings.Lines(out.String()) {
		var x exported
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		values[x.Labels[nameLabel]] = x.Value + x.Histogram
	}
	if values["a"] != "-0.5" || values["s"] != "stale" || !strings.Contains(values["h"], "sum:1.5") || !strings.Contains(values["g"], "sum:1.5") {
		t.Errorf("exported %v", values)
	}
}

// FuzzLetter: whatever stands in a letter, it is read or refused, and what was read goes
// out again.
func FuzzLetter(f *testing.F) {
	f.Add(packLetter(someOfEach()))
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, body []byte) {
		series, err := unpackLetter(body)
		if err != nil || len(series) == 0 {
			return
		}
		again, err := unpackLetter(packLetter(series))
		if err != nil || len(again) != len(series) {
			t.Errorf("%d series became %d: %v", len(series), len(again), err)
		}
		appendRequest1(nil, series)
	})
}
