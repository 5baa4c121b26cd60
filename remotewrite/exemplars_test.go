package remotewrite

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// exemplarTimes returns, for each request, how many seconds after began its
// exemplars of the pushed series were.
func (b *bench) exemplarTimes(began time.Time) []string {
	var out []string
	for _, q := range b.r.all() {
		at := ""
		for _, e := range q.samples[0].exemplars {
			at += strconv.Itoa(int(timeOfExemplar(e).Sub(began).Seconds()))
		}
		out = append(out, at)
	}
	return out
}

// timeOfExemplar reads what decodeRequest wrote.
func timeOfExemplar(e string) time.Time {
	ms, _ := strconv.ParseInt(e[strings.LastIndex(e, "@")+1:], 10, 64)
	return time.UnixMilli(ms)
}

func exemplarSetup(m ProtobufMessage, answer func(*request, int) reply) setup {
	return setup{config: func(c *Config) { c.ProtobufMessage, c.SendExemplars = m, true }, answer: answer}
}

// One exemplar from a clock that is ahead does not stop those that follow: beyond
// what samples may be ahead it does not leave, and one that is refused is
// forgotten. It is not tried with every push either.
func TestExemplarsAheadOfTheClock(t *testing.T) {
	refuseAhead := func(limit *time.Time) func(*request, int) reply {
		return func(q *request, _ int) reply {
			for _, e := range q.samples[0].exemplars {
				if timeOfExemplar(e).After(*limit) {
					return reply{status: 400, body: "exemplar out of bounds", header: map[string]string{
						"X-Prometheus-Remote-Write-Samples-Written":    strconv.Itoa(len(q.samples)),
						"X-Prometheus-Remote-Write-Histograms-Written": "0",
						"X-Prometheus-Remote-Write-Exemplars-Written":  "0",
					}}
				}
			}
			return reply{}
		}
	}
	for _, row := range []struct {
		name   string
		second int // of the exemplar that is ahead
		refuse bool
		want   []string // by push: at 0, ahead, ahead again, at 2, at 3
	}{
		{"beyond the bound", 3600, false, []string{"0", "", "", "2", "3"}},
		{"refused", 300, true, []string{"0", "300", "" /* were the samples refused too? */, "", "2", "3"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var limit time.Time
			answer := func(*request, int) reply { return reply{} }
			if row.refuse {
				answer = refuseAhead(&limit)
			}
			bubble(t, exemplarSetup(Message2, answer), func(t *testing.T, b *bench) {
				began := time.Now()
				limit = began.Add(time.Minute)
				for _, s := range []int{0, row.second, row.second, 2, 3} {
					b.putDTO(groupingKey("job", "j"), exemplarFamily(began.Add(time.Duration(s)*time.Second)))
					settled(t, b.d)
					time.Sleep(time.Second)
				}
				same(t, row.want, b.exemplarTimes(began))
				dropped := testutil.ToFloat64(b.d.metrics.exemplars.dropped.WithLabelValues("clock_ahead"))
				if want := map[bool]float64{false: 2, true: 0}[row.refuse]; dropped != want {
					t.Errorf("%v counted as ahead, want %v", dropped, want)
				}
			})
		})
	}
}

// An exemplar is not lost because its record is converted twice: for another
// protocol, or since it did not fit into the batch at hand.
func TestExemplarsOfRecordsConvertedAgain(t *testing.T) {
	t.Run("fallback", func(t *testing.T) {
		s := exemplarSetup(Negotiate, func(q *request, _ int) reply {
			return reply{bare: q.protocol == Protocol2}
		})
		bubble(t, s, func(t *testing.T, b *bench) {
			began := time.Now()
			b.putDTO(groupingKey("job", "j"), exemplarFamily(began))
			settled(t, b.d)
			same(t, []string{"0", "0"}, b.exemplarTimes(began))
		})
	})
	t.Run("next batch", func(t *testing.T) {
		s := exemplarSetup(Message1, func(_ *request, n int) reply {
			if n == 0 {
				time.Sleep(time.Minute) // meanwhile records gather
			}
			return reply{}
		})
		config := s.config
		s.config = func(c *Config) {
			config(c)
			c.Queue.MaxSamplesPerSend = 9 // three records, but not their exemplars
		}
		bubble(t, s, func(t *testing.T, b *bench) {
			began := time.Now()
			for i := range 5 {
				b.putDTO(groupingKey("job", "j"), exemplarFamily(began.Add(time.Duration(i)*time.Second)))
			}
			settled(t, b.d)
			var n int
			for _, q := range b.r.all() {
				for _, s := range q.samples {
					n += len(s.exemplars)
				}
			}
			if n != 5 {
				t.Errorf("%d exemplars arrived, want 5", n)
			}
		})
	})
}
