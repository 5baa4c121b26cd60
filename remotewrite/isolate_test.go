package remotewrite

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/pushbridge/pushbridge/group"
)

var styles = []string{"prometheus", "mimir", "thanos", "cortex"}

// onBackend runs f with a receiver of each style, in both protocols.
func onBackend(t *testing.T, k func(style string) *backend, config func(*Config), f func(t *testing.T, b *bench, k *backend)) {
	t.Helper()
	for _, style := range styles {
		for _, m := range []ProtobufMessage{Message1, Message2} {
			t.Run(style+" "+string(m), func(t *testing.T) {
				k := k(style)
				s := setup{config: func(c *Config) {
					c.ProtobufMessage = m
					if config != nil {
						config(c)
					}
				}, answer: k.answer}
				bubble(t, s, func(t *testing.T, b *bench) { f(t, b, k) })
			})
		}
	}
}

// holdBack holds back the destination for d, and its shard with a record that
// comes before: what is put meanwhile goes out in one request.
func holdBack(b *bench, d time.Duration) {
	b.t.Helper()
	b.d.line.gate.close(time.Now(), d)
	b.put("first 1", "job", "j", "first", "yes")
	synctest.Wait()
}

func withBad(style string) *backend { return &backend{style: style, bad: named("bad")} }

// One bad sample counts as one, in a small push and in a large one, whatever the
// receiver says about the others.
func TestOneBadSampleCountsAsOne(t *testing.T) {
	for _, n := range []int{3, 50, 101, 3000} {
		onBackend(t, withBad, nil, func(t *testing.T, b *bench, k *backend) {
			b.put(manySeries(n), "job", "j")
			books := settled(t, b.d)
			same(t, map[string]uint64{"refused": 1}, books.Dropped)
			if books.InDoubt != 0 || k.got() != n+1 {
				t.Errorf("%d: %d stored, books %+v", n, k.got(), books)
			}
			synctest.Wait()
			refusals := b.d.Refusals()
			if len(refusals) != 1 || refusals[0].Group.Job() != "j" || refusals[0].Samples != 1 || refusals[0].Suspect {
				t.Errorf("refusals: %+v", refusals)
			}
		})
	}
}

// What was refused is named with its group, also where the batch has others, and
// the example is one of it.
func TestTheRightGroupIsBlamed(t *testing.T) {
	onBackend(t, withBad, nil, func(t *testing.T, b *bench, k *backend) {
		holdBack(b, time.Second)
		for i := range 5 {
			text := manySeries(40)
			if i != 2 {
				text = strings.ReplaceAll(text, "bad", "fine")
			}
			b.put(text, "job", "j", "g", fmt.Sprint(i))
		}
		settled(t, b.d)
		synctest.Wait()
		refusals := b.d.Refusals()
		if len(refusals) != 1 || refusals[0].Group.String() != `{g="2",job="j"}` || refusals[0].Suspect {
			t.Errorf("refusals: %+v", refusals)
		}
		if l := b.log.lines("samples dropped"); len(l) != 1 || !strings.Contains(l[0], `bad{g=\"2\"`) {
			t.Errorf("log: %q", l)
		}
	})
}

// All that was refused of a group counts, not the first hundred.
func TestRefusalsOfAGroupAreAllCounted(t *testing.T) {
	onBackend(t, func(style string) *backend {
		return &backend{style: style, bad: func(sample) bool { return true }}
	}, nil, func(t *testing.T, b *bench, _ *backend) {
		b.put(manySeries(500), "job", "j")
		settled(t, b.d)
		refusals := b.d.Refusals()
		if len(refusals) != 1 || refusals[0].Samples != 502 {
			t.Errorf("refusals: %+v", refusals)
		}
	})
}

// Several records of a group in one batch: a series that is good has all of its
// samples delivered, though an older one is refused when it comes again.
func TestOlderSamplesOfARefusedBatch(t *testing.T) {
	onBackend(t, withBad, nil, func(t *testing.T, b *bench, k *backend) {
		holdBack(b, time.Second)
		for range 4 {
			b.put(manySeries(5), "job", "j")
			time.Sleep(time.Millisecond)
		}
		books := settled(t, b.d)
		if k.got() != 3+4*6 || len(b.r.all()[1].samples) != 4*7 {
			t.Fatalf("%d stored", k.got())
		}
		same(t, map[string]uint64{"refused": 4}, books.Dropped)
		doubt := uint64(0)
		if b.d.config.ProtobufMessage == Message1 && k.style != "prometheus" {
			doubt = 3 * 6 // whether 1.0 rolls back or keeps is not known: the newest are certain
		}
		if books.Delivered != 3+4*6-doubt || books.InDoubt != doubt {
			t.Errorf("books %+v", books)
		}
	})
}

// What could be too old for the receiver may have been refused the first time
// although a newer sample of its series is stored.
func TestOldSamplesOfARefusedBatchAreInDoubt(t *testing.T) {
	for _, style := range []string{"mimir", "thanos", "cortex"} {
		t.Run(style, func(t *testing.T) {
			k := &backend{style: style}
			s := setup{config: func(c *Config) { c.ProtobufMessage = Message2 }, answer: k.answer}
			bubble(t, s, func(t *testing.T, b *bench) {
				k.bad = func(s sample) bool { return s.time < time.Now().Add(-time.Hour).UnixMilli() }
				holdBack(b, 80*time.Minute)
				for i := range 4 { // 80, 60, 40, 20 minutes old in the end
					b.put(fmt.Sprint("a ", i), "job", "j")
					time.Sleep(20 * time.Minute)
				}
				books := settled(t, b.d)
				if books.Delivered != 3 || books.InDoubt != 9 || books.Dropped["refused"] != 3 {
					t.Errorf("%d stored, books %+v", k.got(), books)
				}
			})
		})
	}
}

// A push that is refused as a whole costs few requests, since it comes again.
func TestHopelessPushesCostLittle(t *testing.T) {
	onBackend(t, func(style string) *backend {
		return &backend{style: style, bad: func(sample) bool { return true }}
	}, nil, func(t *testing.T, b *bench, _ *backend) {
		b.put(manySeries(60), "job", "j")
		same(t, map[string]uint64{"refused": 62}, settled(t, b.d).Dropped)
		if n := len(b.r.all()); n > 30 {
			t.Errorf("%d requests", n)
		}
	})
}

// pushWithExemplar pushes a counter with an exemplar beside gauges without.
func pushWithExemplar(b *bench, good int) {
	b.putDTO(groupingKey("job", "j"), exemplarFamily(time.Now()), gaugeFamily("other", good))
}

func gaugeFamily(name string, n int) *dto.MetricFamily {
	f := &dto.MetricFamily{Name: new(name), Type: dto.MetricType_GAUGE.Enum()}
	for i := range n {
		f.Metric = append(f.Metric, &dto.Metric{
			Label: []*dto.LabelPair{{Name: new("i"), Value: new(fmt.Sprint(i))}}, Gauge: &dto.Gauge{Value: new(1.0)},
		})
	}
	return f
}

func sendExemplars(c *Config) { c.SendExemplars = true }

// Exemplars that are refused alone take no sample along.
func TestRefusedExemplarsTakeNoSampleAlong(t *testing.T) {
	onBackend(t, func(style string) *backend {
		return &backend{style: style, badEx: func(sample) bool { return true }}
	}, sendExemplars, func(t *testing.T, b *bench, k *backend) {
		pushWithExemplar(b, 10)
		books := settled(t, b.d)
		if len(books.Dropped) != 0 || books.Delivered != books.Accepted || k.got() != int(books.Accepted) {
			t.Errorf("%d stored, books %+v", k.got(), books)
		}
		if n := len(b.r.all()); n > 12 {
			t.Errorf("%d requests", n)
		}
	})
}

// A receiver that takes no exemplars says that none was written, also when it
// refuses a sample: that is no sign that the samples are stored.
func TestExemplarsThatAreOffHideNoRefusal(t *testing.T) {
	onBackend(t, func(style string) *backend {
		return &backend{style: style, noEx: true, bad: named("other")}
	}, sendExemplars, func(t *testing.T, b *bench, _ *backend) {
		pushWithExemplar(b, 1)
		same(t, map[string]uint64{"refused": 1}, settled(t, b.d).Dropped)
	})
}

// A sample with a time of its own that is too old takes nothing of its push along,
// also where its series is new.
func TestOldSampleOfANewSeriesGoesAlone(t *testing.T) {
	onBackend(t, func(style string) *backend {
		return &backend{style: style, bad: named("old")}
	}, nil, func(t *testing.T, b *bench, k *backend) {
		at := map[string]time.Time{"old": b.now().Add(-2 * time.Hour), "new": b.now().Add(-time.Minute), "now": {}}
		c := group.Change{Kind: group.KindPut, Labels: groupingKey("job", "j"), Part: timedPart(at)}
		if err := b.apply(c); err != nil {
			t.Fatal(err)
		}
		same(t, map[string]uint64{"refused": 1}, settled(t, b.d).Dropped)
		if k.got() != 4 {
			t.Errorf("%d stored", k.got())
		}
	})
}

// A request that got no answer may be stored. What is refused of it later is in
// doubt only where that can be.
func TestRefusedAfterALostAnswer(t *testing.T) {
	onBackend(t, withBad, nil, func(t *testing.T, b *bench, k *backend) {
		lost := true
		b.r.answer = func(q *request, n int) reply {
			p := k.answer(q, n)
			if lost {
				lost = false
				return reply{err: fmt.Errorf("connection reset by peer")}
			}
			return p
		}
		b.d.line.gate.close(time.Now(), time.Second)
		b.put(manySeries(20), "job", "j")
		books := settled(t, b.d)
		same(t, map[string]uint64{"refused": 1}, books.Dropped)
		if books.InDoubt != 0 {
			t.Errorf("books %+v", books)
		}
	})
}
