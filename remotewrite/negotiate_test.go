package remotewrite

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// only1 answers requests of 2.0 with p.
func only1(p reply) func(*request, int) reply {
	return func(q *request, _ int) reply {
		if q.protocol == Protocol2 {
			return p
		}
		return reply{}
	}
}

func negotiating(c *Config) { c.ProtobufMessage = Negotiate }

func protocols(b *bench) string {
	out := ""
	for _, q := range b.r.all() {
		out += q.protocol.String()[:1]
	}
	return out
}

func TestFallbackSendsTheSameSamples(t *testing.T) {
	for _, row := range []struct {
		name string
		p    reply
	}{
		{"415", reply{status: 415, body: "not supported"}},
		{"2xx without headers", reply{status: 204, bare: true}},
		{"200 without headers", reply{status: 200, bare: true}},
		{"400 at first", reply{status: 400, body: "cannot decode"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, setup{config: negotiating, answer: only1(row.p)}, func(t *testing.T, b *bench) {
				for _, text := range []string{"a 1", "a 2", "a 3"} {
					b.put(text, "job", "j")
					settled(t, b.d)
				}
				same(t, "2111", protocols(b))
				same(t, []string{"a{job=j} 1", "a{job=j} 2", "a{job=j} 3"}, b.r.got())
				all := b.r.all()
				same(t, lines(all[0].samples), lines(all[1].samples))
				if got := all[1].header.Get("Retry-Attempt"); got != "" {
					t.Errorf("Retry-Attempt %q on another request", got)
				}
				if n := len(b.log.lines("does not understand remote write 2.0")); n != 1 {
					t.Errorf("%d lines about the fallback", n)
				}
				books := settled(t, b.d)
				if books.Delivered != 9 || len(books.Dropped) != 0 {
					t.Errorf("books %+v", books)
				}
				if s := b.d.Status(); s.Protocol != "1.0" {
					t.Errorf("status %+v", s)
				}
			})
		})
	}
}

func lines(samples []sample) []string {
	var out []string
	for _, s := range samples {
		out = append(out, s.String())
	}
	return out
}

func TestOldAndNewAreNotMixedByAFallback(t *testing.T) {
	p := reply{status: 415}
	answer := func(q *request, n int) reply {
		if n == 0 {
			time.Sleep(time.Second) // meanwhile more arrives
		}
		return only1(p)(q, n)
	}
	bubble(t, setup{config: negotiating, answer: answer}, func(t *testing.T, b *bench) {
		b.put("a 1", "job", "j")
		synctest.Wait()
		b.put("a 2", "job", "j")
		b.put("a 3", "job", "j")
		settled(t, b.d)
		all := b.r.all()
		if len(all) != 3 || len(all[1].samples) != len(all[0].samples) {
			t.Errorf("%d requests, of %d and %d samples", len(all), len(all[0].samples), len(all[1].samples))
		}
	})
}

func TestFallbackIsProbedSeldom(t *testing.T) {
	upgraded := false
	answer := func(q *request, _ int) reply {
		if q.protocol == Protocol2 && !upgraded {
			return reply{status: 415}
		}
		return reply{}
	}
	bubble(t, setup{config: negotiating, answer: answer}, func(t *testing.T, b *bench) {
		for range 3 { // 0 h, 3 h, 6 h
			b.put("a 1", "job", "j")
			settled(t, b.d)
			time.Sleep(3 * time.Hour)
		}
		same(t, "21"+"1"+"21", protocols(b))
		upgraded = true
		time.Sleep(2 * time.Hour)
		b.put("a 4", "job", "j")
		b.put("a 5", "job", "j")
		settled(t, b.d)
		if s := b.d.Status(); s.Protocol != "2.0" {
			t.Errorf("status %+v", s)
		}
		if n := len(b.log.lines("understands remote write 2.0 now")); n != 1 {
			t.Errorf("%d lines", n)
		}
	})
}

// A 400 before 2.0 was ever understood may mean the protocol or the samples: 1.0
// tells which.
func TestFirst400MeantTheSamples(t *testing.T) {
	bad := true
	answer := func(*request, int) reply {
		if bad {
			return reply{status: 400, body: "too old"}
		}
		return reply{}
	}
	bubble(t, setup{config: negotiating, answer: answer}, func(t *testing.T, b *bench) {
		b.put("a 1", "job", "j")
		books := settled(t, b.d)
		same(t, "2"+"11111", protocols(b))
		same(t, map[string]uint64{"refused": 3}, books.Dropped)
		bad = false
		b.put("a 2", "job", "j")
		settled(t, b.d)
		same(t, "2"+"11111"+"2", protocols(b))
	})
}

func TestLater400IsAboutTheSamples(t *testing.T) {
	answer := func(_ *request, n int) reply {
		if n == 1 {
			return reply{status: 400, body: "out of order"}
		}
		return reply{}
	}
	bubble(t, setup{config: negotiating, answer: answer}, func(t *testing.T, b *bench) {
		for range 3 {
			b.put("a 1", "job", "j")
			settled(t, b.d)
		}
		same(t, "2"+"222"+"2", protocols(b)) // cut in two
	})
}

func TestPinnedProtocolsStay(t *testing.T) {
	for _, m := range []ProtobufMessage{Message1, Message2} {
		t.Run(string(m), func(t *testing.T) {
			s := setup{
				config:  func(c *Config) { c.ProtobufMessage = m },
				options: Options{Traits: Traits{DropRejected: true}},
				answer:  func(*request, int) reply { return reply{status: 415} },
			}
			bubble(t, s, func(t *testing.T, b *bench) {
				b.put("a 1", "job", "j")
				same(t, map[string]uint64{"not_understood": 3}, settled(t, b.d).Dropped)
				if len(b.r.all()) != 1 {
					t.Errorf("requests: %s", protocols(b))
				}
			})
		})
	}
}

// Only the answer to 2.0 decides: other headers say nothing about the protocol.
func TestOtherHeadersDoNotDecide(t *testing.T) {
	answer := func(*request, int) reply {
		return reply{header: map[string]string{"X-Prometheus-Remote-Write-Version": "0.1.0", "Server": "old"}}
	}
	bubble(t, setup{config: negotiating, answer: answer}, func(t *testing.T, b *bench) {
		b.put("a 1", "job", "j")
		settled(t, b.d)
		b.put("a 2", "job", "j")
		settled(t, b.d)
		same(t, "22", protocols(b))
	})
	s := setup{config: func(c *Config) { c.ProtobufMessage = Message1 }, answer: func(*request, int) reply { return reply{status: http.StatusOK} }}
	bubble(t, s, func(t *testing.T, b *bench) {
		b.put("a 1", "job", "j")
		if books := settled(t, b.d); books.Delivered != 3 {
			t.Errorf("1.0 without headers: %+v", books)
		}
	})
}

// A receiver that is exchanged in the middle of a push that needs several
// requests: the rest goes out as 1.0.
func TestFallbackInTheMiddleOfARecord(t *testing.T) {
	answer := func(q *request, n int) reply {
		if n > 0 && q.protocol == Protocol2 {
			return reply{status: 415}
		}
		return reply{}
	}
	bubble(t, setup{config: negotiating, answer: answer}, func(t *testing.T, b *bench) {
		b.put(manySeries(5000), "job", "j")
		books := settled(t, b.d)
		same(t, "22111"[:4], protocols(b))
		if books.Delivered != 5002 || len(b.r.got()) != 5000 {
			t.Errorf("books %+v, %d stored", books, len(b.r.got()))
		}
	})
}

// A receiver that refuses both protocols makes each batch fall back anew: that is
// told now and then, not with every batch.
func TestRefusingBothProtocolsIsLoggedSeldom(t *testing.T) {
	s := setup{
		config: negotiating,
		answer: func(*request, int) reply { return reply{status: 400, body: "no"} },
	}
	bubble(t, s, func(t *testing.T, b *bench) {
		for i := range 600 {
			b.put(fmt.Sprintf("a %d", i), "job", "j")
			settled(t, b.d)
			time.Sleep(time.Second)
		}
		if lines := b.log.lines("level="); len(lines) > 12 {
			t.Errorf("%d lines in ten minutes, the last: %s", len(lines), lines[len(lines)-1])
		}
		if lines := b.log.lines("does not understand remote write 2.0"); len(lines) == 0 {
			t.Error("nothing was told")
		}
	})
}

// So is a receiver that fails every other try.
func TestFlappingIsLoggedSeldom(t *testing.T) {
	s := setup{answer: func(_ *request, n int) reply {
		if n%2 == 0 {
			return reply{status: 503}
		}
		return reply{}
	}}
	bubble(t, s, func(t *testing.T, b *bench) {
		for i := range 600 {
			b.put(fmt.Sprintf("a %d", i), "job", "j")
			settled(t, b.d)
			time.Sleep(time.Second)
		}
		fails, works := b.log.lines("sending fails"), b.log.lines("sending works again")
		if len(fails) == 0 || len(fails) > 5 || len(works) != len(fails) {
			t.Errorf("told %d times that it fails, %d times that it works again", len(fails), len(works))
		}
	})
}
