package remotewrite

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// poison answers 500 to each request that holds a series of that name.
func poison(q *request, _ int) reply {
	for _, s := range q.samples {
		if strings.HasPrefix(s.series, "poison{") {
			return reply{status: 500, body: "panic: index out of range"}
		}
	}
	return reply{}
}

func withPoison(n int) string { return strings.ReplaceAll(manySeries(n), "bad", "poison") }

func oneShard(c *Config) { c.Queue.MaxShards = 1 }

// A sample that the receiver stumbles over does not hold up the others of its push,
// nor other jobs of its shard. It is tried for ten minutes, then given up and named.
func TestStumblingHoldsUpNobody(t *testing.T) {
	for _, m := range []ProtobufMessage{Message1, Message2} {
		t.Run(string(m), func(t *testing.T) {
			s := setup{config: func(c *Config) { oneShard(c); c.ProtobufMessage = m }, answer: poison}
			bubble(t, s, func(t *testing.T, b *bench) {
				before, _ := b.d.cursor.Position(0)
				b.put(withPoison(500), "job", "a")
				b.put("fine 1", "job", "b")
				time.Sleep(2 * time.Minute)
				if got := len(b.r.got()); got != 500 {
					t.Errorf("%d stored after two minutes", got)
				}
				books := b.d.ledger.run()
				if books.Pending != 1 {
					t.Errorf("books %+v", books)
				}
				if acked, _ := b.d.cursor.Position(0); acked != before {
					t.Errorf("acknowledged %d while a sample is held", acked)
				}
				time.Sleep(10 * time.Minute)
				books = settled(t, b.d)
				same(t, map[string]uint64{"server_error": 1}, books.Dropped)
				await(t, "acknowledged", func() bool { acked, _ := b.d.cursor.Position(0); return acked == b.d.o.Log.Head() })
				for _, with := range []string{"nothing but server errors", "reason=server_error"} {
					synctest.Wait()
					if l := b.log.lines(with); len(l) != 1 || !strings.Contains(l[0], "poison") || !strings.Contains(l[0], "index out of range") {
						t.Errorf("log: %q", l)
					}
				}
				if r := b.d.Refusals(); len(r) != 1 || r[0].Group.Job() != "a" || r[0].Status != 500 {
					t.Errorf("refusals: %+v", r)
				}
			})
		})
	}
}

// What comes later of a series that was given up costs no waiting.
func TestStumblingAgainIsKnown(t *testing.T) {
	bubble(t, setup{config: oneShard, answer: poison}, func(t *testing.T, b *bench) {
		b.put(withPoison(50), "job", "a")
		time.Sleep(12 * time.Minute)
		settled(t, b.d)
		began := time.Now()
		b.put(withPoison(50), "job", "a")
		books := settled(t, b.d)
		if d := time.Since(began); d > time.Second || books.Dropped["server_error"] != 2 {
			t.Errorf("took %v, books %+v", d, books)
		}
	})
}

// What the receiver takes in the end is delivered.
func TestStumblingEnds(t *testing.T) {
	for _, repaired := range []time.Duration{30 * time.Second, 5 * time.Minute} {
		began := time.Time{}
		answer := func(q *request, n int) reply {
			if time.Since(began) > repaired {
				return reply{}
			}
			return poison(q, n)
		}
		bubble(t, setup{config: oneShard, answer: answer}, func(t *testing.T, b *bench) {
			began = time.Now()
			b.put(withPoison(50), "job", "a")
			time.Sleep(6 * time.Minute)
			books := settled(t, b.d)
			if books.Delivered != 52 || len(b.r.got()) != 50 {
				t.Errorf("books %+v", books)
			}
		})
	}
}

// An outage that says 500 for an hour drops nothing and cuts nothing for good.
func TestOutageIsNotStumbling(t *testing.T) {
	var up atomic.Bool
	answer := func(*request, int) reply {
		if up.Load() {
			return reply{}
		}
		return reply{status: 500}
	}
	bubble(t, setup{config: oneShard, answer: answer}, func(t *testing.T, b *bench) {
		b.put(manySeries(500), "job", "a")
		for i := range 10 {
			b.put("a 1", "job", fmt.Sprint(i))
		}
		time.Sleep(time.Hour)
		up.Store(true)
		books := settled(t, b.d)
		if books.Delivered != 502+30 {
			t.Errorf("books %+v", books)
		}
		whole := func(q *request) bool { return len(q.samples) >= 502 }
		if all := b.r.all(); !slices.ContainsFunc(all[len(all)-2:], whole) {
			t.Error("the push got through in parts")
		}
	})
}

// A 503 is no sign of stumbling, however often it comes.
func TestUnavailableIsNotStumbling(t *testing.T) {
	answer := func(q *request, n int) reply {
		p := poison(q, n)
		if p.status != 0 {
			p.status = 503
		}
		return p
	}
	bubble(t, setup{config: oneShard, answer: answer}, func(t *testing.T, b *bench) {
		b.put(withPoison(50), "job", "a")
		time.Sleep(time.Hour)
		if books := b.d.ledger.run(); books.Pending != 52 {
			t.Errorf("books %+v", books)
		}
	})
}
