package remotewrite

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
)

// logBuffer takes log lines from several goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) lines(with string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for line := range strings.Lines(l.b.String()) {
		if strings.Contains(line, with) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// bench is a gateway in memory with one destination and a receiver, for tests in
// a synctest bubble.
type bench struct {
	*rig
	d    *Destination
	r    *receiver
	log  *logBuffer
	stop func()
}

// setup says how a bench differs from the default.
type setup struct {
	config  func(*Config)
	options Options
	answer  func(q *request, n int) reply
}

// bubble runs f with a bench in a synctest bubble. The destination has got the
// first state, an empty one, when f begins.
func bubble(t *testing.T, s setup, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := configFor(t, "http://user:hunter2@receiver/write")
		c.ProtobufMessage = Message1
		c.Metadata.Send = false
		if s.config != nil {
			s.config(&c)
		}
		b := &bench{rig: newRig(t, rigOptions{}), r: &receiver{answer: s.answer}, log: &logBuffer{}}
		o := s.options
		o.Transport = b.r
		o.Logger = slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		b.d = b.destination(c, o)
		b.start()
		b.stop = running(t, b.d)
		await(t, "first state", func() bool { return !b.d.debt.first.Load() })
		f(t, b)
		b.stop()
		noProblems(t, b.r)
		snapshot := b.d.ledger.run()
		checkBooks(t, snapshot)
		if lines := b.log.lines("hunter2"); len(lines) > 0 {
			t.Errorf("password in the log: %q", lines)
		}
	})
}

// times returns when requests arrived, since the first one.
func (b *bench) times() []time.Duration {
	var out []time.Duration
	all := b.r.all()
	for _, q := range all {
		out = append(out, q.at.Sub(all[0].at))
	}
	return out
}

func same(t testing.TB, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// failFirst fails the first n requests with status.
func failFirst(n, status int) func(*request, int) reply {
	return func(_ *request, i int) reply {
		if i < n {
			return reply{status: status}
		}
		return reply{}
	}
}

func TestRetriesSendTheSameBytes(t *testing.T) {
	for name, p := range map[string]reply{
		"5xx":         {status: 503},
		"odd 5xx":     {status: 529},
		"429":         {status: 429},
		"no answer":   {err: errors.New("connection refused")},
		"lost answer": {lost: true},
		"not HTTP":    {err: errors.New(`malformed HTTP response "x"`)},
		"timeout":     {hang: true},
	} {
		attempts := []string{"", "", "", ""} // tries that were answered
		if p.status != 0 {
			attempts = []string{"", "1", "2", "3"}
		}
		for _, m := range []ProtobufMessage{Message1, Message2} {
			t.Run(name+" "+string(m), func(t *testing.T) {
				s := setup{config: func(c *Config) { c.ProtobufMessage = m }, answer: func(_ *request, n int) reply {
					if n < 3 {
						return p
					}
					return reply{}
				}}
				bubble(t, s, func(t *testing.T, b *bench) {
					b.put("a 1", "job", "j")
					books := settled(t, b.d)
					all := b.r.all()
					if len(all) != 4 {
						t.Fatalf("%d requests", len(all))
					}
					for i, q := range all {
						if !bytes.Equal(q.body, all[0].body) {
							t.Errorf("request %d has other bytes", i)
						}
						if got, want := q.header.Get("Retry-Attempt"), attempts[i]; got != want {
							t.Errorf("Retry-Attempt %q, want %q", got, want)
						}
					}
					if books.Delivered != 3 {
						t.Errorf("books %+v", books)
					}
				})
			})
		}
	}
}

func TestBackoffBetweenTries(t *testing.T) {
	bubble(t, setup{answer: failFirst(12, 500)}, func(t *testing.T, b *bench) {
		b.d.shards[0].sender.back.random = func() float64 { return 0 }
		for _, s := range b.d.shards {
			s.sender.back.random = func() float64 { return 0 }
		}
		b.put("a 1", "job", "j")
		settled(t, b.d)
		var got []time.Duration
		times := b.times()
		for i := 1; i < len(times); i++ {
			got = append(got, times[i]-times[i-1])
		}
		const ms = time.Millisecond
		same(t, []time.Duration{30 * ms, 60 * ms, 120 * ms, 240 * ms, 480 * ms, 960 * ms, 1920 * ms, 3840 * ms, 5000 * ms, 5000 * ms, 5000 * ms, 5000 * ms}, got)
		if n := len(b.log.lines("sending fails")); n != 1 {
			t.Errorf("%d lines about failing", n)
		}
		if n := len(b.log.lines("sending works again")); n != 1 {
			t.Errorf("%d lines about working again", n)
		}
	})
}

func TestRetryAfterPausesTheWholeDestination(t *testing.T) {
	answer := func(_ *request, n int) reply {
		if n == 0 {
			return reply{status: 429, header: map[string]string{"Retry-After": "60"}}
		}
		return reply{}
	}
	bubble(t, setup{answer: answer}, func(t *testing.T, b *bench) {
		b.put("a 1", "job", "j0")
		await(t, "first try", func() bool { return len(b.r.all()) == 1 })
		synctest.Wait()     // for its answer
		for i := range 20 { // all shards
			b.put("a 1", "job", fmt.Sprint("j", i+1))
		}
		synctest.Wait()
		if s := b.d.Status(); s.State != StateFailing || s.PausedFor <= 0 {
			t.Errorf("status %+v", s)
		}
		books := settled(t, b.d)
		for i, at := range b.times()[1:] {
			if at < time.Minute {
				t.Errorf("request %d after %v", i+1, at)
			}
		}
		if books.Delivered != 63 {
			t.Errorf("books %+v", books)
		}
	})
}

func TestRetryAfterIsCapped(t *testing.T) {
	answer := func(_ *request, n int) reply {
		if n == 0 {
			return reply{status: 503, header: map[string]string{"Retry-After": "86400"}}
		}
		return reply{}
	}
	bubble(t, setup{answer: answer}, func(t *testing.T, b *bench) {
		b.put("a 1", "job", "j")
		time.Sleep(11 * time.Minute)
		settled(t, b.d)
		if at := b.times()[1]; at != 10*time.Minute {
			t.Errorf("tried again after %v", at)
		}
	})
}

func TestRateLimitDropsWhenToldTo(t *testing.T) {
	s := setup{config: func(c *Config) { c.Queue.RetryOnRateLimit = false }, answer: failFirst(1, 429)}
	bubble(t, s, func(t *testing.T, b *bench) {
		b.put("a 1", "job", "j")
		same(t, map[string]uint64{"rate_limited": 3}, settled(t, b.d).Dropped)
	})
}

// TestDroppingAnswers: what is about the samples, and with on_misconfiguration: drop also
// what is not.
func TestDroppingAnswers(t *testing.T) {
	for _, row := range []struct {
		name   string
		p      reply
		m      ProtobufMessage
		reason string
	}{
		{"401", reply{status: 401}, Message1, "rejected"},
		{"403", reply{status: 403}, Message2, "rejected"},
		{"404", reply{status: 404}, Message1, "rejected"},
		{"410", reply{status: 410}, Message1, "rejected"},
		{"small 400", reply{status: 400}, Message1, "refused"},
		{"small 409", reply{status: 409}, Message1, "refused"},
		{"small 422", reply{status: 422}, Message1, "refused"},
		{"small 413", reply{status: 413}, Message2, "refused"},
		{"2.0 400", reply{status: 400}, Message2, "refused"},
		{"2.0 409", reply{status: 409}, Message2, "refused"},
		{"415 in 1.0", reply{status: 415}, Message1, "not_understood"},
		{"415 in pinned 2.0", reply{status: 415}, Message2, "not_understood"},
		{"pinned 2.0 without headers", reply{status: 204, bare: true}, Message2, "not_understood"},
		{"301", reply{status: 301, header: map[string]string{"Location": "http://u:hunter2@elsewhere/"}}, Message1, "redirected"},
		{"101", reply{status: 101}, Message1, "bad_answer"},
		{"666", reply{status: 666}, Message2, "bad_answer"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var first atomic.Bool
			first.Store(true)
			s := setup{options: Options{Traits: Traits{DropRejected: true}}, config: func(c *Config) { c.ProtobufMessage = row.m }}
			s.answer = func(*request, int) reply {
				if first.Load() {
					p := row.p
					p.body = "because I say so"
					return p
				}
				return reply{}
			}
			bubble(t, s, func(t *testing.T, b *bench) {
				b.put("a 1", "job", "j")
				settled(t, b.d)
				first.Store(false)
				b.put("a 2", "job", "j")
				books := settled(t, b.d)
				same(t, map[string]uint64{row.reason: 3}, books.Dropped)
				same(t, []string{"a{job=j} 2"}, b.r.got())
				synctest.Wait()
				lines := b.log.lines("samples dropped")
				if len(lines) != 1 || !strings.Contains(lines[0], "example=") {
					t.Fatalf("log: %q", lines)
				}
				if row.p.status != 204 && !strings.Contains(lines[0], `answer="because I say so"`) {
					t.Errorf("log: %q", lines)
				}
				if row.reason == "redirected" && !strings.Contains(lines[0], "location=http://u:xxxxx@elsewhere/") {
					t.Errorf("log: %q", lines)
				}
			})
		})
	}
}

func TestDropsAreLoggedSeldom(t *testing.T) {
	bubble(t, setup{answer: func(*request, int) reply { return reply{status: 400, body: "no"} }}, func(t *testing.T, b *bench) {
		for i := range 120 {
			b.put(fmt.Sprintf("a %d", i), "job", "j")
			time.Sleep(10 * time.Second)
		}
		lines := b.log.lines("samples dropped")
		if len(lines) < 3 || len(lines) > 6 {
			t.Errorf("%d lines in 20 minutes: %q", len(lines), lines)
		}
	})
}

// oneBad refuses each request that holds the series named bad.
func oneBad(q *request, _ int) reply {
	for _, s := range q.samples {
		if strings.HasPrefix(s.series, "bad{") {
			return reply{status: 400, body: "out of bounds: bad"}
		}
	}
	return reply{}
}

// manySeries is n series, one of them bad.
func manySeries(n int) string {
	var b strings.Builder
	b.WriteString("# TYPE good gauge\n")
	for i := range n - 1 {
		fmt.Fprintf(&b, "good{i=\"%d\"} %d\n", i, i)
	}
	b.WriteString("# TYPE bad gauge\nbad 1\n")
	return b.String()
}

func TestOneBadSeriesDoesNotTakeTheOthersAlong(t *testing.T) {
	bubble(t, setup{answer: oneBad}, func(t *testing.T, b *bench) {
		b.put(manySeries(5000), "job", "j")
		books := settled(t, b.d)
		same(t, map[string]uint64{"refused": 1}, books.Dropped)
		if got := len(b.r.got()); books.Delivered != 5001 || got != 4999 {
			t.Errorf("%d stored, books %+v", got, books)
		}
		synctest.Wait()
		if l := b.log.lines("samples dropped"); len(l) != 1 || !strings.Contains(l[0], `bad{job=\"j\"}`) {
			t.Errorf("log: %q", l)
		}
		if n := len(b.r.all()); n > 3+cutBudget {
			t.Errorf("%d requests", n)
		}
	})
}

func TestCuttingHasABudget(t *testing.T) {
	bubble(t, setup{answer: func(*request, int) reply { return reply{status: 400} }}, func(t *testing.T, b *bench) {
		b.put(manySeries(1998), "job", "j")
		books := settled(t, b.d)
		same(t, map[string]uint64{"refused": 2000}, books.Dropped)
		if n := len(b.r.all()); n > cutBudget || n < cutBudget-2 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestCuttingKeepsTheOrder(t *testing.T) {
	// Everything arrives through cuts.
	answer := func(q *request, _ int) reply {
		if len(q.samples) > 200 {
			return reply{status: 413, body: "too large"}
		}
		return reply{}
	}
	for _, m := range []ProtobufMessage{Message1, Message2} {
		t.Run(string(m), func(t *testing.T) {
			bubble(t, setup{config: func(c *Config) { c.ProtobufMessage = m }, answer: answer}, func(t *testing.T, b *bench) {
				for range 3 {
					b.put(manySeries(500), "job", "j")
				}
				if books := settled(t, b.d); books.Delivered != books.Accepted {
					t.Errorf("books %+v", books)
				}
			})
		})
	}
}

// 2.0 stores the good samples of a refused request and says how many.
func TestWrittenCountsOfARefusal(t *testing.T) {
	answer := func(*request, int) reply {
		return reply{status: 400, body: "bad is out of bounds", header: map[string]string{
			"X-Prometheus-Remote-Write-Samples-Written": "101", "X-Prometheus-Remote-Write-Histograms-Written": "0", "X-Prometheus-Remote-Write-Exemplars-Written": "0",
		}}
	}
	bubble(t, setup{config: func(c *Config) { c.ProtobufMessage = Message2 }, answer: answer}, func(t *testing.T, b *bench) {
		b.put(manySeries(100), "job", "j")
		books := settled(t, b.d)
		same(t, map[string]uint64{"refused": 1}, books.Dropped)
		if books.Delivered != 101 || len(b.r.all()) != 1 {
			t.Errorf("%d requests, books %+v", len(b.r.all()), books)
		}
		synctest.Wait()
		if l := b.log.lines("samples dropped"); len(l) != 1 || !strings.Contains(l[0], "bad is out of bounds") {
			t.Errorf("log: %q", l)
		}
	})
}

func TestWrittenCountsOfASuccess(t *testing.T) {
	for _, row := range []struct {
		name    string
		p       reply
		dropped map[string]uint64
	}{
		{"fewer", reply{header: map[string]string{"X-Prometheus-Remote-Write-Samples-Written": "1"}}, map[string]uint64{"not_written": 2}},
		{"more than sent", reply{header: map[string]string{"X-Prometheus-Remote-Write-Samples-Written": "99"}}, map[string]uint64{}},
		{"nothing", reply{status: 200, header: map[string]string{"X-Prometheus-Remote-Write-Samples-Written": "0"}}, map[string]uint64{"not_written": 3}},
		{"nothing, HA", reply{status: 202, header: map[string]string{"X-Prometheus-Remote-Write-Samples-Written": "0"}}, map[string]uint64{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := setup{config: func(c *Config) { c.ProtobufMessage = Negotiate }, answer: func(*request, int) reply { return row.p }}
			bubble(t, s, func(t *testing.T, b *bench) {
				b.put("a 1", "job", "j")
				same(t, row.dropped, settled(t, b.d).Dropped)
				if n := len(b.r.all()); n != 1 || b.d.line.negotiation.current() != Protocol2 {
					t.Errorf("%d requests, %v", n, b.d.line.negotiation.current())
				}
			})
		})
	}
}

func TestSampleAgeLimit(t *testing.T) {
	s := setup{config: func(c *Config) { c.Queue.SampleAgeLimit = model.Duration(time.Minute) }}
	var down sync.Map
	down.Store("down", true)
	s.answer = func(*request, int) reply {
		if _, ok := down.Load("down"); ok {
			return reply{status: 500}
		}
		return reply{}
	}
	bubble(t, s, func(t *testing.T, b *bench) {
		b.put("a 1", "job", "j") // too old before a retry
		time.Sleep(30 * time.Second)
		b.put("a 2", "job", "j") // too old before the first try
		time.Sleep(50 * time.Second)
		b.put("a 3", "job", "j")
		down.Delete("down")
		books := settled(t, b.d)
		time.Sleep(time.Minute)
		same(t, []string{"a{job=j} 2", "a{job=j} 3"}, b.r.got())
		same(t, map[string]uint64{"too_old": 3}, books.Dropped)
	})
}

func TestSampleAgeLimitBeforeTheFirstTry(t *testing.T) {
	bubble(t, setup{config: func(c *Config) { c.Queue.SampleAgeLimit = model.Duration(time.Minute) }}, func(t *testing.T, b *bench) {
		b.d.line.gate.close(time.Now(), 5*time.Minute)
		b.put("a 1", "job", "j")
		b.put("a 2", "job", "j")
		time.Sleep(4 * time.Minute)
		b.put("a 3", "job", "j")
		time.Sleep(2 * time.Minute)
		settled(t, b.d)
		same(t, []string{"a{job=j} 3"}, b.r.got())
	})
}

func TestClockAhead(t *testing.T) {
	bubble(t, setup{}, func(t *testing.T, b *bench) {
		b.now = func() time.Time { return time.Now().Add(time.Hour) }
		b.put("a 1", "job", "j")
		b.put("b 1", "job", "k")
		same(t, map[string]uint64{"clock_ahead": 6}, settled(t, b.d).Dropped)
		if n := len(b.r.all()); n != 0 {
			t.Errorf("%d requests", n)
		}
		synctest.Wait() // the line follows the books
		lines := b.log.lines("level=ERROR")
		if len(lines) != 1 || !strings.Contains(lines[0], "--storage.reset-clock") {
			t.Errorf("log: %q", lines)
		}
		time.Sleep(55 * time.Minute) // less than ten minutes ahead now
		b.now = time.Now
		b.put("a 2", "job", "j")
		settled(t, b.d)
		same(t, []string{"a{job=j} 2"}, b.r.got())
	})
}

func TestOneRequestOnTheWayPerShard(t *testing.T) {
	var mu sync.Mutex
	onTheWay, most := map[string]int{}, 0
	bubble(t, setup{}, func(t *testing.T, b *bench) {
		b.d.line.client.http.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			q, err := decodeRequest(req)
			if err != nil {
				t.Error(err)
			}
			jobs := map[string]bool{}
			for _, s := range q.samples {
				jobs[s.series[strings.Index(s.series, "job="):]] = true
			}
			mu.Lock()
			for j := range jobs {
				onTheWay[j]++
				most = max(most, onTheWay[j])
			}
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			for j := range jobs {
				onTheWay[j]--
			}
			mu.Unlock()
			return response(req, reply{}, q), nil
		})
		for i := range 10 {
			b.put(fmt.Sprintf("a %d", i), "job", "j")
			b.put(fmt.Sprintf("a %d", i), "job", "k")
		}
		settled(t, b.d)
		if most != 1 {
			t.Errorf("%d requests of one job on the way", most)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestBatchesTakeWhatIsThere(t *testing.T) {
	answer := func(_ *request, n int) reply {
		if n == 0 {
			time.Sleep(time.Second)
		}
		return reply{}
	}
	bubble(t, setup{answer: answer}, func(t *testing.T, b *bench) {
		began := time.Now()
		for i := range 50 {
			b.put(fmt.Sprintf("a %d", i), "job", "j")
			await(t, "first request", func() bool { return len(b.r.all()) == 1 })
		}
		settled(t, b.d)
		all := b.r.all()
		if len(all) != 2 || len(all[0].samples)+len(all[1].samples) != 150 {
			t.Errorf("%d requests", len(all))
		}
		if d := time.Since(began); d > 1100*time.Millisecond {
			t.Errorf("took %v: something waited for more", d)
		}
	})
}

// TestBatchesWaitForCompany: what comes just after a request shares the next one, and
// what comes to an idle line leaves at once.
func TestBatchesWaitForCompany(t *testing.T) {
	s := setup{config: func(c *Config) { c.Queue.BatchSendDeadline = model.Duration(100 * time.Millisecond) }}
	bubble(t, s, func(t *testing.T, b *bench) {
		time.Sleep(time.Second) // the line is idle
		put := func(after time.Duration) {
			time.Sleep(after)
			b.put("a 1", "job", "j")
		}
		put(0)
		put(10 * time.Millisecond)
		put(20 * time.Millisecond)
		settled(t, b.d)
		put(time.Second)
		settled(t, b.d)
		var samples []int
		for _, q := range b.r.all() {
			samples = append(samples, len(q.samples))
		}
		same(t, []int{3, 6, 3}, samples)
		times := b.times()
		same(t, 100*time.Millisecond, times[1].Round(10*time.Millisecond))
	})
}

// TestFullBatchesDoNotWait: the deadline is for batches that are not full.
func TestFullBatchesDoNotWait(t *testing.T) {
	s := setup{config: func(c *Config) {
		c.Queue.BatchSendDeadline, c.Queue.MaxSamplesPerSend = model.Duration(time.Hour), 9
	}}
	bubble(t, s, func(t *testing.T, b *bench) {
		began := time.Now()
		for range 6 {
			b.put("a 1", "job", "j") // 3 samples with push times
		}
		await(t, "two full requests", func() bool { return len(b.r.all()) >= 2 })
		if d := time.Since(began); d > time.Minute {
			t.Errorf("a full batch waited %v", d)
		}
	})
}

func TestAPushStaysInOneRequestWhereItFits(t *testing.T) {
	s := setup{config: func(c *Config) { c.Queue.MaxSamplesPerSend = 100 }}
	bubble(t, s, func(t *testing.T, b *bench) {
		b.d.line.gate.close(time.Now(), time.Second)
		for range 5 {
			b.put(manySeries(58), "job", "j") // 60 samples with push times
		}
		b.put(manySeries(248), "job", "j") // 250: must be split
		settled(t, b.d)
		var sizes []int
		for _, q := range b.r.all() {
			sizes = append(sizes, len(q.samples))
		}
		same(t, []int{60, 60, 60, 60, 60, 100, 100, 50}, sizes)
	})
}

func TestBatchesAreBoundedInBytes(t *testing.T) {
	bubble(t, setup{}, func(t *testing.T, b *bench) {
		var text strings.Builder
		for i := range 1500 {
			fmt.Fprintf(&text, "a{i=\"%d\",x=\"%s\"} 1\n", i, strings.Repeat("x", 5000))
		}
		b.put(text.String(), "job", "j")
		b.put(text.String(), "job", "j")
		settled(t, b.d)
		for _, q := range b.r.all() {
			if n := 5000 * len(q.samples); n > maxBatchBytes {
				t.Errorf("a request of %d samples, %d bytes", len(q.samples), n)
			}
		}
		if n := len(b.r.all()); n < 5 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestStopDoesNotWaitForADeadReceiver(t *testing.T) {
	for name, p := range map[string]reply{"refuses": {status: 500}, "silent": {hang: true}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, setup{answer: func(*request, int) reply { return p }}, func(t *testing.T, b *bench) {
				for i := range 20 {
					b.put("a 1", "job", fmt.Sprint(i))
				}
				synctest.Wait()
				began := time.Now()
				b.stop()
				if d := time.Since(began); d > 5*time.Second {
					t.Errorf("stop took %v", d)
				}
				if books := b.d.ledger.run(); books.Pending != 60 {
					t.Errorf("books %+v", books)
				}
				if s := b.d.Status(); s.State != StateStopped {
					t.Errorf("state %s", s.State)
				}
			})
		})
	}
}

// Cut ends a destination at once, and its successor goes on in order: what was on
// the way goes out alone.
func TestCutEndsAtOnce(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		l := newLife(t, filepath.Join(dir, "a"), r, nil)
		settled(t, l.d)
		r.answer = func(*request, int) reply { return reply{hang: true} }
		l.put("a 1", "job", "j")
		l.put("a 2", "job", "j")
		synctest.Wait()
		before, began := len(r.all()), time.Now()
		l.d.Cut()
		l.end()
		if d := time.Since(began); d > 0 {
			t.Errorf("the end took %v", d)
		}
		r.answer = nil
		l = newLife(t, filepath.Join(dir, "a"), r, nil)
		settled(t, l.d)
		var sizes []int
		for _, q := range r.all()[before:] {
			sizes = append(sizes, len(q.samples))
		}
		same(t, []int{3, 3}, sizes)
		same(t, []string{"a{job=j} 1", "a{job=j} 2"}, r.got())
		noProblems(t, r)
		l.end()
	})
}

func TestStopFlushesWhatIsQueued(t *testing.T) {
	slow := func(*request, int) reply { time.Sleep(100 * time.Millisecond); return reply{} }
	bubble(t, setup{answer: slow}, func(t *testing.T, b *bench) {
		for i := range 40 {
			b.put("a 1", "job", fmt.Sprint(i))
		}
		b.stop()
		if books := b.d.ledger.run(); books.Pending != 0 || books.Delivered != 120 {
			t.Errorf("books %+v", books)
		}
	})
}

func TestStuckBatchIsNamed(t *testing.T) {
	poison := func(q *request, _ int) reply {
		for _, s := range q.samples {
			if strings.HasPrefix(s.series, "poison{") {
				return reply{status: 500, body: "panic: index out of range"}
			}
		}
		return reply{}
	}
	bubble(t, setup{answer: poison}, func(t *testing.T, b *bench) {
		b.put("poison 1", "job", "a")
		for i := range 12 {
			time.Sleep(time.Minute)
			b.put("fine 1", "job", fmt.Sprint(i))
		}
		lines := b.log.lines("nothing but server errors")
		if len(lines) != 1 || !strings.Contains(lines[0], `{job=\"a\"}`) || !strings.Contains(lines[0], "index out of range") {
			t.Errorf("log: %q", lines)
		}
	})
}

func TestFullShardHoldsBackTheReader(t *testing.T) {
	s := setup{config: func(c *Config) { c.Queue.Capacity = 10 }, answer: func(*request, int) reply { return reply{status: 500} }}
	bubble(t, s, func(t *testing.T, b *bench) {
		for i := range 100 {
			b.put(fmt.Sprintf("a %d", i), "job", "j")
		}
		synctest.Wait()
		shard := b.d.shardOf("j")
		shard.in.mu.Lock()
		held := shard.in.samples
		shard.in.mu.Unlock()
		if held > 10 {
			t.Errorf("the shard holds %d samples", held)
		}
		if s := b.d.Status(); s.Books.Pending != 300 || s.Lag < 0 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestDeletedGroupGetsMarkersInOrder(t *testing.T) {
	bubble(t, setup{}, func(t *testing.T, b *bench) {
		b.put("# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 3", "job", "j")
		b.delete("job", "j")
		settled(t, b.d)
		same(t, []string{
			"s{job=j,quantile=0.5} 1", "s_sum{job=j} 2", "s_count{job=j} 3",
			"s{job=j,quantile=0.5} stale", "s_sum{job=j} stale", "s_count{job=j} stale",
		}, b.r.got())
	})
}
