package remotewrite

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// nativesOff answers as Prometheus 2.42, and 3.5 with its defaults, does to a native
// histogram.
func nativesOff(q *request, _ int) reply {
	for _, s := range q.samples {
		if s.hist != nil {
			return reply{status: 500, body: "native histograms are disabled"}
		}
	}
	return reply{}
}

func TestReceiverWithoutNativeHistograms(t *testing.T) {
	for _, m := range []ProtobufMessage{Message1, Message2} {
		t.Run(string(m), func(t *testing.T) {
			s := setup{config: func(c *Config) { c.ProtobufMessage, c.SendNativeHistograms = m, true }, answer: nativesOff}
			bubble(t, s, func(t *testing.T, b *bench) {
				began := time.Now()
				b.putDTO(groupingKey("job", "j"), nativeFamily(true))
				b.put("a 1", "job", "j", "g", "1")
				books := settled(t, b.d)
				same(t, []string{"n_bucket{job=j,le=1.0} 4", "n_bucket{job=j,le=+Inf} 6", "n_sum{job=j} 10.5", "n_count{job=j} 6", "a{g=1,job=j} 1"}, b.r.got())
				same(t, map[string]uint64{"native_not_sent": 1}, books.Dropped)
				if d := time.Since(began); d > time.Second {
					t.Errorf("took %v", d)
				}
				b.putDTO(groupingKey("job", "j", "g", "2"), nativeFamily(false)) // has no other form
				same(t, map[string]uint64{"native_not_sent": 2}, settled(t, b.d).Dropped)
				synctest.Wait()
				if l := b.log.lines("native histograms switched off"); len(l) != 1 || !strings.Contains(l[0], `n{job=\"j\"}`) {
					t.Errorf("log: %q", l)
				}
				if n := len(b.r.all()); n > 4 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

// A receiver that was set up anew gets them after four hours.
func TestNativeHistogramsAreTriedAgain(t *testing.T) {
	var on atomic.Bool
	answer := func(q *request, n int) reply {
		if on.Load() {
			return reply{}
		}
		return nativesOff(q, n)
	}
	s := setup{config: func(c *Config) { c.ProtobufMessage, c.SendNativeHistograms = Message2, true }, answer: answer}
	bubble(t, s, func(t *testing.T, b *bench) {
		b.putDTO(groupingKey("job", "j"), nativeFamily(true))
		settled(t, b.d)
		on.Store(true)
		time.Sleep(probeInterval)
		b.putDTO(groupingKey("job", "j"), nativeFamily(true))
		settled(t, b.d)
		if got := b.r.got(); got[4] != "n{job=j} hist 10.5" {
			t.Errorf("got %q", got)
		}
	})
}

// A record that needs several requests goes on without the native histograms of
// those that are left.
func TestNativeHistogramsInTheMiddleOfARecord(t *testing.T) {
	s := setup{config: func(c *Config) {
		c.ProtobufMessage, c.SendNativeHistograms, c.Queue.MaxSamplesPerSend = Message2, true, 10
	}, answer: nativesOff}
	bubble(t, s, func(t *testing.T, b *bench) {
		f := nativeFamily(false)
		f.Name = new("z")
		b.putDTO(groupingKey("job", "j"), gaugeFamily("a", 14), f)
		books := settled(t, b.d)
		same(t, map[string]uint64{"native_not_sent": 1}, books.Dropped)
		if books.Delivered != 16 {
			t.Errorf("books %+v, got %q", books, fmt.Sprint(b.r.got()))
		}
	})
}
