package remotewrite

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/value"

	"github.com/pushbridge/pushbridge/group"
)

// putDTO pushes families that text cannot say.
func (g *rig) putDTO(labels group.Labels, families ...*dto.MetricFamily) {
	g.t.Helper()
	if err := g.apply(group.Change{Kind: group.KindPut, Labels: labels, Part: partOfDTO(g.t, families...)}); err != nil {
		g.t.Fatal(err)
	}
}

func rules(t testing.TB, text string) func(*Config) {
	return func(c *Config) { c.WriteRelabelConfigs = relabelRules(t, text) }
}

func TestExternalLabels(t *testing.T) {
	s := setup{options: Options{External: groupingKey("cluster", "eu", "job", "not this", "zone", "", "__secret", "x")}}
	bubble(t, s, func(t *testing.T, b *bench) {
		b.put("a{cluster=\"own\"} 1\nb{x=\"y\"} 2", "job", "j")
		settled(t, b.d)
		same(t, []string{"a{cluster=own,job=j} 1", "b{cluster=eu,job=j,x=y} 2"}, b.r.got())
	})
}

func TestExternalLabelsComeBeforeRelabelling(t *testing.T) {
	s := setup{options: Options{External: groupingKey("cluster", "eu", "__tmp", "t")}, config: rules(t, `
- {source_labels: [cluster, __tmp], target_label: where}
- {regex: cluster, action: labeldrop}
`)}
	bubble(t, s, func(t *testing.T, b *bench) {
		b.put("a 1", "job", "j")
		settled(t, b.d)
		same(t, []string{"a{job=j,where=eu;t} 1"}, b.r.got())
	})
}

func TestLabelsAfterRelabelling(t *testing.T) {
	for _, row := range []struct {
		name, rules, text string
		want              []string
		dropped           map[string]uint64
	}{
		{"drop", "[{source_labels: [__name__], regex: 'push_.*|a', action: drop}]", "a 1\nb 2", []string{"b{job=j} 2"}, map[string]uint64{"dropped_series": 3}},
		{"sorted again", "[{regex: job, replacement: zzz, action: labelmap}, {regex: job, action: labeldrop}]", "a{b=\"c\"} 1", []string{"a{b=c,zzz=j} 1"}, nil},
		{"empty value goes", "[{target_label: b, replacement: ''}]", "a{b=\"c\"} 1", []string{"a{job=j} 1"}, nil},
		{"reserved names go", "[{target_label: __x, replacement: y}]", "a 1", []string{"a{job=j} 1"}, nil},
		{"no name", "[{source_labels: [__name__], regex: a, target_label: __name__, replacement: ''}]", "a 1", nil, map[string]uint64{"no_metric_name": 1}},
		{"renamed", "[{source_labels: [__name__], regex: a, target_label: __name__, replacement: b}]", "a 1", []string{"b{job=j} 1"}, nil},
		{"merged", "[{regex: x, action: labeldrop}]", "a{x=\"1\"} 1\na{x=\"2\"} 2", []string{"a{job=j} 1"}, map[string]uint64{"duplicate_series": 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, setup{config: rules(t, row.rules)}, func(t *testing.T, b *bench) {
				b.put(row.text, "job", "j")
				books := settled(t, b.d)
				same(t, row.want, b.r.got())
				if row.dropped == nil {
					row.dropped = map[string]uint64{}
				}
				same(t, row.dropped, books.Dropped)
			})
		})
	}
}

// A push with such a label is refused, but not each way into the state goes
// through that check.
func TestReservedLabelsNeverLeave(t *testing.T) {
	in := groupingKey("__name__", "a", "__x", "1", "_y", "2", "job", "j")
	want := groupingKey("__name__", "a", "_y", "2", "job", "j")
	for name, r := range map[string]*relabeler{
		"plain":    newRelabeler(nil, nil, model.NoEscaping),
		"external": newRelabeler(groupingKey("__z", "z", "job", "k"), nil, model.NoEscaping),
		"rules":    newRelabeler(nil, relabelRules(t, "[{regex: other, action: labeldrop}]"), model.NoEscaping),
		"escaping": newRelabeler(nil, nil, model.UnderscoreEscaping),
	} {
		got, _, ok := r.one(in)
		if !ok || !slices.Equal(got, want) {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestLabelsThatAreNotUTF8AreDropped(t *testing.T) {
	r := newRelabeler(nil, relabelRules(t, "[{regex: other, action: labeldrop}]"), model.NoEscaping)
	if _, why, ok := r.one(groupingKey("__name__", "a", "x", "\xff")); ok || why != invalidLabel {
		t.Errorf("got %v, %v", why, ok)
	}
}

func TestEscaping(t *testing.T) {
	for _, row := range []struct {
		scheme model.EscapingScheme
		want   string
	}{
		{model.NoEscaping, "a.b{job=j,l.m=ö} 1"},
		{model.UnderscoreEscaping, "a_b{job=j,l_m=ö} 1"},
		{model.DotsEscaping, "a_dot_b{job=j,l_dot_m=ö} 1"},
		{model.ValueEncodingEscaping, "U__a_2e_b{U__l_2e_m=ö,job=j} 1"},
	} {
		t.Run(row.scheme.String(), func(t *testing.T) {
			bubble(t, setup{options: Options{Traits: Traits{Escaping: row.scheme}}}, func(t *testing.T, b *bench) {
				b.put("{\"a.b\",\"l.m\"=\"ö\"} 1", "job", "j")
				settled(t, b.d)
				same(t, []string{row.want}, b.r.got())
			})
		})
	}
}

func TestEscapingMakesNoLabelTwice(t *testing.T) {
	bubble(t, setup{options: Options{Traits: Traits{Escaping: model.UnderscoreEscaping}}}, func(t *testing.T, b *bench) {
		b.put("{\"a\",\"l.m\"=\"1\",\"l_m\"=\"2\"} 1", "job", "j")
		settled(t, b.d)
		if got := b.r.got(); len(got) != 1 {
			t.Errorf("got %q", got)
		}
	})
}

func TestDuplicateIdentityIsCounted(t *testing.T) {
	bubble(t, setup{}, func(t *testing.T, b *bench) {
		b.put("m 1\nm{x=\"\"} 2", "job", "j")
		books := settled(t, b.d)
		same(t, []string{"m{job=j} 1"}, b.r.got())
		same(t, map[string]uint64{"duplicate_identity": 1}, books.Dropped)
	})
}

// Labels that external labels make equal: the first one is sent.
func TestDuplicatesByExternalLabels(t *testing.T) {
	bubble(t, setup{options: Options{External: groupingKey("x", "1")}}, func(t *testing.T, b *bench) {
		b.put("m 1\nm{x=\"1\"} 2\nm{x=\"2\"} 3", "job", "j")
		books := settled(t, b.d)
		same(t, []string{"m{job=j,x=1} 1", "m{job=j,x=2} 3"}, b.r.got())
		same(t, map[string]uint64{"duplicate_series": 1}, books.Dropped)
	})
}

// A marker of what ended under the labels of another kind of series leaves before
// that one.
func TestMarkersOfAnotherKindLeaveFirst(t *testing.T) {
	typed := setup{config: func(c *Config) { c.ProtobufMessage = Message2 }}
	bubble(t, typed, func(t *testing.T, b *bench) {
		b.put("# TYPE m gauge\nm 1", "job", "j")
		b.put("# TYPE m counter\nm 2", "job", "j")
		b.put("# TYPE m counter\nm 3", "job", "j")
		b.putDTO(groupingKey("job", "j"), func() *dto.MetricFamily { f := nativeFamily(false); f.Name = new("m"); return f }())
		b.delete("job", "j")
		settled(t, b.d)
		same(t, []string{
			"m{job=j} 1", "m{job=j} stale", "m{job=j} 2", "m{job=j} 3", "m{job=j} stale", "m{job=j} hist 10.5", "m{job=j} hist stale",
		}, b.r.got())
		var types []int32
		for _, q := range b.r.all() {
			for _, s := range q.samples {
				if strings.HasPrefix(s.series, "m{") {
					types = append(types, s.typ)
				}
			}
		}
		same(t, []int32{2, 2, 1, 1, 1, 3, 3}, types)
	})
	plain := setup{config: func(c *Config) { c.SendNativeHistograms = true }}
	bubble(t, plain, func(t *testing.T, b *bench) {
		b.put("# TYPE n gauge\nn 1", "job", "j")
		b.put("# TYPE n counter\nn 2", "job", "j")
		b.putDTO(groupingKey("job", "j"), nativeFamily(false))
		b.delete("job", "j")
		settled(t, b.d)
		same(t, []string{
			"n{job=j} 1", "n{job=j} 2", "n{job=j} stale", "n{job=j} hist 10.5",
			"n{job=j} hist stale", "n_sum{job=j} stale", "n_count{job=j} stale",
		}, b.r.got())
	})
}

func TestNoMarkerBesideASample(t *testing.T) {
	s := setup{config: rules(t, "[{regex: x, action: labeldrop}]")}
	bubble(t, s, func(t *testing.T, b *bench) {
		b.put("m{x=\"1\"} 1\nn 1", "job", "j")
		b.put("m{x=\"2\"} 2", "job", "j")
		books := settled(t, b.d)
		same(t, []string{"m{job=j} 1", "n{job=j} 1", "m{job=j} 2", "n{job=j} stale"}, b.r.got())
		same(t, map[string]uint64{"marker_not_needed": 1}, books.Dropped)
	})
}

func TestMarkersAreRelabelled(t *testing.T) {
	s := setup{options: Options{External: groupingKey("c", "d")}, config: rules(t, `
- {source_labels: [__name__], regex: 'push_.*', action: drop}
- {source_labels: [__name__], regex: a, target_label: __name__, replacement: b}
`)}
	bubble(t, s, func(t *testing.T, b *bench) {
		b.put("a 1", "job", "j")
		b.delete("job", "j")
		settled(t, b.d)
		same(t, []string{"b{c=d,job=j} 1", "b{c=d,job=j} stale"}, b.r.got())
	})
}

func TestSpecialValuesPassBitForBit(t *testing.T) {
	values := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 5e-324, math.MaxFloat64, 0}
	for _, m := range []ProtobufMessage{Message1, Message2} {
		bubble(t, setup{config: func(c *Config) { c.ProtobufMessage = m }}, func(t *testing.T, b *bench) {
			f := &dto.MetricFamily{Name: new("v"), Type: dto.MetricType_GAUGE.Enum()}
			for i, v := range append(values, math.Float64frombits(value.StaleNaN)) {
				f.Metric = append(f.Metric, &dto.Metric{
					Label: []*dto.LabelPair{{Name: new("i"), Value: new(fmt.Sprint(i))}}, Gauge: &dto.Gauge{Value: new(v)},
				})
			}
			b.putDTO(groupingKey("job", "j"), f)
			settled(t, b.d)
			for i, s := range b.r.all()[0].samples[:len(values)] {
				if s.bits != math.Float64bits(values[i]) {
					t.Errorf("%v became %x", values[i], s.bits)
				}
			}
			// The bits of a stale marker are for stale markers.
			if s := b.r.all()[0].samples[len(values)]; s.bits != value.NormalNaN {
				t.Errorf("pushed marker bits became %x", s.bits)
			}
		})
	}
}

func TestOneTimestampPerPush(t *testing.T) {
	bubble(t, setup{}, func(t *testing.T, b *bench) {
		b.put("a 1\nb 2\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2", "job", "j")
		settled(t, b.d)
		all := b.r.all()[0].samples
		for _, s := range all {
			if s.time != all[0].time {
				t.Errorf("%v beside %v", s, all[0])
			}
		}
	})
}

// nativeFamily is a histogram with buckets of both forms.
func nativeFamily(classic bool) *dto.MetricFamily {
	h := &dto.Histogram{
		SampleCount: new(uint64(6)), SampleSum: new(10.5), Schema: new(int32(1)), ZeroThreshold: new(1e-3), ZeroCount: new(uint64(1)),
		PositiveSpan: []*dto.BucketSpan{{Offset: new(int32(0)), Length: new(uint32(2))}}, PositiveDelta: []int64{2, 1},
	}
	if classic {
		h.Bucket = []*dto.Bucket{{UpperBound: new(1.0), CumulativeCount: new(uint64(4))}}
	}
	return &dto.MetricFamily{Name: new("n"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: h}}}
}

func TestNativeHistograms(t *testing.T) {
	native, classic := []string{"n{job=j} hist 10.5"}, []string{"n_bucket{job=j,le=1.0} 4", "n_bucket{job=j,le=+Inf} 6", "n_sum{job=j} 10.5", "n_count{job=j} 6"}
	both := append(append([]string{}, native...), classic...)
	for _, row := range []struct {
		name    string
		m       ProtobufMessage
		send    bool
		both    bool // pushed with classic buckets
		natives Natives
		want    []string
		dropped map[string]uint64
	}{
		{"1.0 not wanted", Message1, false, true, NativesSafe, classic, map[string]uint64{"native_not_sent": 1}},
		{"1.0 not wanted, nothing else", Message1, false, false, NativesSafe, nil, map[string]uint64{"native_not_sent": 1}},
		{"1.0 wanted", Message1, true, true, NativesSafe, native, map[string]uint64{"classic_not_sent": 4}},
		{"1.0 both", Message1, true, true, NativesBeside, both, map[string]uint64{}},
		{"1.0 left out", Message1, true, true, NativesNever, classic, map[string]uint64{"native_not_sent": 1}},
		{"2.0 not known to be held", Message2, false, true, NativesSafe, both, map[string]uint64{}},
		{"2.0 known to be held", Message2, true, true, NativesSafe, native, map[string]uint64{"classic_not_sent": 4}},
		{"2.0 alone", Message2, false, true, NativesAlone, native, map[string]uint64{"classic_not_sent": 4}},
		{"2.0 both", Message2, true, true, NativesBeside, both, map[string]uint64{}},
		{"2.0 left out", Message2, true, true, NativesNever, classic, map[string]uint64{"native_not_sent": 1}},
		{"2.0 left out, nothing else", Message2, false, false, NativesNever, nil, map[string]uint64{"native_not_sent": 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := setup{config: func(c *Config) { c.ProtobufMessage, c.SendNativeHistograms = row.m, row.send }, options: Options{Traits: Traits{Natives: row.natives}}}
			bubble(t, s, func(t *testing.T, b *bench) {
				b.putDTO(groupingKey("job", "j"), nativeFamily(row.both))
				books := settled(t, b.d)
				same(t, row.want, b.r.got())
				same(t, row.dropped, books.Dropped)
			})
		})
	}
}

func TestNativeHistogramsFallBackToClassic(t *testing.T) {
	bubble(t, setup{config: negotiating, answer: only1(reply{status: 415})}, func(t *testing.T, b *bench) {
		b.putDTO(groupingKey("job", "j"), nativeFamily(true))
		books := settled(t, b.d)
		same(t, []string{"n_bucket{job=j,le=1.0} 4", "n_bucket{job=j,le=+Inf} 6", "n_sum{job=j} 10.5", "n_count{job=j} 6"}, b.r.got())
		same(t, map[string]uint64{"native_not_sent": 1}, books.Dropped)
	})
}

func TestNativeStaleMarker(t *testing.T) {
	for _, m := range []ProtobufMessage{Message1, Message2} {
		bubble(t, setup{config: func(c *Config) { c.ProtobufMessage, c.SendNativeHistograms = m, true }}, func(t *testing.T, b *bench) {
			b.putDTO(groupingKey("job", "j"), nativeFamily(false))
			b.delete("job", "j")
			settled(t, b.d)
			same(t, []string{"n{job=j} hist 10.5", "n{job=j} hist stale"}[0:1], b.r.got()[0:1])
			last := b.r.got()[1]
			if !strings.Contains(last, "stale") {
				t.Errorf("got %s", last)
			}
			for _, s := range b.r.stored {
				if s.stale() && strings.HasPrefix(s.series, "n{") && (s.hist == nil || s.hist.Count != 0 || len(s.hist.PositiveSpans) != 0) {
					t.Errorf("marker %v: %+v", s, s.hist)
				}
			}
		})
	}
}

func exemplarFamily(at time.Time) *dto.MetricFamily {
	e := &dto.Exemplar{Label: []*dto.LabelPair{{Name: new("trace_id"), Value: new("t")}}, Value: new(1.0)}
	if !at.IsZero() {
		e.Timestamp = timestampProto(at)
	}
	return &dto.MetricFamily{Name: new("c_total"), Type: dto.MetricType_COUNTER.Enum(), Metric: []*dto.Metric{{Counter: &dto.Counter{Value: new(1.0), Exemplar: e}}}}
}

func TestExemplars(t *testing.T) {
	for _, m := range []ProtobufMessage{Message1, Message2} {
		for _, send := range []bool{false, true} {
			t.Run(fmt.Sprint(m, send), func(t *testing.T) {
				bubble(t, setup{config: func(c *Config) { c.ProtobufMessage, c.SendExemplars = m, send }}, func(t *testing.T, b *bench) {
					old := time.Now().Add(-time.Hour)
					for _, at := range []time.Time{old, old, old.Add(-time.Minute), old.Add(time.Minute)} {
						b.putDTO(groupingKey("job", "j"), exemplarFamily(at))
						settled(t, b.d)
					}
					var got []int
					for _, q := range b.r.all() {
						got = append(got, len(q.samples[0].exemplars))
					}
					want := []int{0, 0, 0, 0}
					if send {
						want = []int{1, 0, 0, 1} // once, and no older one after a newer one
					}
					same(t, want, got)
				})
			})
		}
	}
}

func TestExemplarsCountTowardsTheBatch(t *testing.T) {
	s := setup{config: func(c *Config) { c.SendExemplars, c.Queue.MaxSamplesPerSend = true, 10 }}
	bubble(t, s, func(t *testing.T, b *bench) {
		f := exemplarFamily(time.Now())
		one := f.Metric[0]
		f.Metric = nil
		for i := range 20 {
			f.Metric = append(f.Metric, &dto.Metric{Counter: one.Counter, Label: []*dto.LabelPair{{Name: new("i"), Value: new(fmt.Sprint(i))}}})
		}
		b.putDTO(groupingKey("job", "j"), f)
		settled(t, b.d)
		for _, q := range b.r.all() {
			n := len(q.samples)
			for _, s := range q.samples {
				n += len(s.exemplars)
			}
			if n > 11 {
				t.Errorf("a request with %d samples and exemplars", n)
			}
		}
	})
}

func TestStartTimestamps(t *testing.T) {
	for _, m := range []ProtobufMessage{Message1, Message2} {
		bubble(t, setup{config: func(c *Config) { c.ProtobufMessage = m }}, func(t *testing.T, b *bench) {
			at := time.Now().Add(-time.Hour)
			f := exemplarFamily(time.Time{})
			f.Metric[0].Counter.CreatedTimestamp = timestampProto(at)
			b.putDTO(groupingKey("job", "j"), f)
			settled(t, b.d)
			want := int64(0)
			if m == Message2 {
				want = at.UnixMilli()
			}
			if got := b.r.all()[0].samples[0].start; got != want {
				t.Errorf("%s: got %d, want %d", m, got, want)
			}
		})
	}
}

func TestMetadataOnEverySeriesOf2(t *testing.T) {
	bubble(t, setup{config: func(c *Config) { c.ProtobufMessage = Message2 }}, func(t *testing.T, b *bench) {
		b.put("# HELP h how long\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n# HELP c count\n# TYPE c counter\nc 1\nu 2", "job", "j")
		settled(t, b.d)
		for _, s := range b.r.all()[0].samples {
			name, _, _ := strings.Cut(s.series, "{")
			want := map[string]string{
				"h_bucket": "3 how long", "h_sum": "3 how long", "h_count": "3 how long", "c": "1 count", "u": "0 ",
			}[name]
			if got := fmt.Sprint(s.typ, " ", s.help); want != "" && got != want {
				t.Errorf("%s: got %q, want %q", s.series, got, want)
			}
		}
	})
}

func metadataRequests(b *bench) (names []string) {
	all := b.r.all()
	for _, q := range all {
		for _, m := range q.metadata {
			names = append(names, fmt.Sprintf("%s %v %q", m.MetricFamilyName, m.Type, m.Help))
		}
	}
	return names
}

func TestMetadataTravelsAloneIn1(t *testing.T) {
	s := setup{config: func(c *Config) {
		c.Metadata.Send = true
		rules(t, "[{source_labels: [__name__], regex: 'push_.*', action: drop}]")(c)
	}}
	bubble(t, s, func(t *testing.T, b *bench) {
		b.put("# HELP a help of a\n# TYPE a counter\na 1\n# TYPE b gauge\nb 2", "job", "j")
		time.Sleep(5 * time.Second)
		names := metadataRequests(b)
		both := []string{`a COUNTER "help of a"`, `b GAUGE ""`}
		same(t, both, names)
		b.put("# HELP a new help\n# TYPE a counter\na 1", "job", "j") // changed
		time.Sleep(5 * time.Second)
		names = metadataRequests(b)
		same(t, append(both, `a COUNTER "new help"`), names)
		time.Sleep(55 * time.Second) // send_interval
		names = metadataRequests(b)
		if len(names) != 5 {
			t.Errorf("got %q", names)
		}
		time.Sleep(2 * time.Hour) // nothing pushed any more
		before := metadataRequests(b)
		time.Sleep(10 * time.Minute)
		if after := metadataRequests(b); len(after) != len(before) {
			t.Errorf("%d more after two hours of silence", len(after)-len(before))
		}
	})
}

func TestMetadataNeverDelaysSamples(t *testing.T) {
	s := setup{config: func(c *Config) { c.Metadata.Send, c.Metadata.MaxSamplesPerSend = true, 2 }}
	s.answer = func(q *request, _ int) reply {
		if len(q.metadata) > 2 {
			return reply{status: 413}
		}
		if len(q.metadata) > 0 {
			return reply{status: 500}
		}
		return reply{}
	}
	bubble(t, s, func(t *testing.T, b *bench) {
		for i := range 10 {
			b.put("# HELP a x\na 1", "job", "j")
			settled(t, b.d)
			time.Sleep(time.Duration(i) * time.Second)
		}
		if got := len(b.r.got()); got != 10 {
			t.Errorf("%d stored", got)
		}
	})
}

func TestNoMetadataRequestsIn2(t *testing.T) {
	s := setup{config: func(c *Config) { c.ProtobufMessage, c.Metadata.Send = Message2, true }}
	bubble(t, s, func(t *testing.T, b *bench) {
		b.put("a 1", "job", "j")
		time.Sleep(5 * time.Minute)
		if n := len(b.r.all()); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

// Help texts of any size: requests with metadata stay below what receivers take,
// and what is remembered is bounded.
func TestMetadataOfManyBytes(t *testing.T) {
	s := setup{config: func(c *Config) {
		c.Metadata.Send, c.Metadata.SendInterval = true, model.Duration(40*time.Minute)
		rules(t, "[{source_labels: [__name__], regex: 'push_.*', action: drop}]")(c)
	}}
	bubble(t, s, func(t *testing.T, b *bench) {
		for i := range 20 {
			b.put(fmt.Sprintf("# HELP m%d %s\n# TYPE m%d gauge\nm%d 1", i, strings.Repeat("x", 1_000_000), i, i), "job", "j")
		}
		settled(t, b.d)
		time.Sleep(5 * time.Second)
		sent := 0
		for _, q := range b.r.all() {
			bytes := 0
			for _, m := range q.metadata {
				bytes += len(m.Help)
			}
			if sent += len(q.metadata); bytes > maxBatchBytes {
				t.Errorf("a request with %d bytes of help", bytes)
			}
		}
		remembered := func() int {
			b.d.metadata.mu.Lock()
			defer b.d.metadata.mu.Unlock()
			return b.d.metadata.bytes
		}
		if most := maxMetadataBytes / 1_000_000; sent != most || remembered() > maxMetadataBytes {
			t.Errorf("%d families were sent, and %d bytes are remembered; want %d families", sent, remembered(), most)
		}
		time.Sleep(2 * time.Hour) // nothing is sent of them any more
		if n := remembered(); n != 0 {
			t.Errorf("%d bytes are still remembered", n)
		}
	})
}

// What waits for a shard is bounded in samples and in bytes; one item always fits.
func TestInboxBounds(t *testing.T) {
	in := newInbox(10)
	for _, step := range []struct {
		put            item
		samples, bytes int
		full           bool
	}{
		{item{samples: 50, bytes: 2 * maxInboxBytes}, 50, 2 * maxInboxBytes, false},
		{item{samples: 1, bytes: 1}, 50, 2 * maxInboxBytes, true},
	} {
		if ok := in.tryPut(step.put); ok == step.full || in.samples != step.samples || in.bytes != step.bytes {
			t.Errorf("%+v: %t, then %d samples, %d bytes", step, ok, in.samples, in.bytes)
		}
	}
	in.take()
	for i := range 4 {
		if ok := in.tryPut(item{samples: 3, bytes: 100}); ok != (i < 3) {
			t.Errorf("item %d: %t", i, ok)
		}
	}
	for range 3 {
		in.take()
	}
	for i := range 4 {
		if ok := in.tryPut(item{samples: 1, bytes: maxInboxBytes / 3}); ok != (i < 3) {
			t.Errorf("large item %d: %t", i, ok)
		}
	}
	for range 3 {
		in.take()
	}
	if in.samples != 0 || in.bytes != 0 {
		t.Errorf("empty, with %d samples, %d bytes", in.samples, in.bytes)
	}
}
