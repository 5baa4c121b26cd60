package remotewrite

import (
	"errors"
	"fmt"
	"path/filepath"
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
				b.put("before 1", "job", "b")
				await(t, "acknowledged", func() bool { acked, _ := b.d.cursor.Position(0); return acked == b.d.o.Log.Head() })
				before, _ := b.d.cursor.Position(0)
				b.put(withPoison(500), "job", "a")
				b.put("fine 1", "job", "b")
				time.Sleep(2 * time.Minute)
				if got := len(b.r.got()); got != 502 {
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

// What is set aside keeps back its own record and what comes behind it: when the oldest
// is settled, everything up to the next one is acknowledged.
func TestWhatIsSetAsideKeepsBackNoMore(t *testing.T) {
	bubble(t, setup{config: oneShard, answer: poison}, func(t *testing.T, b *bench) {
		began := time.Now()
		for i := range 3 {
			b.put("poison 1\nbeside 1", "job", fmt.Sprint("a", i))
			b.put("fine 1", "job", "b")
			time.Sleep(4 * time.Minute)
		}
		// The first one is given up ten minutes after its push, the others are not.
		first := b.d.o.Log.Head() - 5
		if acked, _ := b.d.cursor.Position(0); acked != first+1 {
			t.Errorf("acknowledged up to %d after %v, want %d", acked, time.Since(began), first+1)
		}
		ledger, _ := b.d.cursor.Ledger()
		total, _ := b.d.o.Log.TotalAt(first + 1)
		if ledger.Accepted(total) != ledger.Settled.Sum() || ledger.Settled[serverError] != 1 {
			t.Errorf("ledger %+v", ledger)
		}
		time.Sleep(time.Hour)
		settled(t, b.d)
		await(t, "acknowledged", func() bool { acked, _ := b.d.cursor.Position(0); return acked == b.d.o.Log.Head() })
		if ledger, _ := b.d.cursor.Ledger(); ledger.Pending(b.d.o.Log.Samples()) != 0 || ledger.Settled[serverError] != 3 {
			t.Errorf("ledger %+v", ledger)
		}
	})
}

// An outage that says 500 for an hour drops nothing and cuts nothing for good: the push
// goes on to be tried as a whole.
func TestOutageIsNotStumbling(t *testing.T) {
	began := time.Time{}
	var up atomic.Bool
	whole := func(q *request) bool { return len(q.samples) >= 502 }
	answer := func(q *request, _ int) reply {
		if time.Since(began) > time.Hour && whole(q) {
			up.Store(true)
		}
		if up.Load() {
			return reply{}
		}
		return reply{status: 500}
	}
	bubble(t, setup{config: oneShard, answer: answer}, func(t *testing.T, b *bench) {
		began = time.Now()
		b.put(manySeries(500), "job", "a")
		for i := range 10 {
			b.put("a 1", "job", fmt.Sprint(i))
		}
		time.Sleep(time.Hour)
		if parts := slices.IndexFunc(b.r.all(), func(q *request) bool { return !whole(q) }); parts < 0 {
			t.Error("nobody looked whether parts get through")
		}
		await(t, "the push comes as a whole", up.Load)
		if books := settled(t, b.d); books.Delivered != 502+30 {
			t.Errorf("books %+v", books)
		}
	})
}

// Two samples that the receiver stumbles over, in one batch and with nothing beside it,
// are no outage, wherever the batch is cut.
func TestStumblingTwice(t *testing.T) {
	answer := func(q *request, _ int) reply {
		if slices.ContainsFunc(q.samples, func(s sample) bool { return strings.Contains(s.series, "poison") }) {
			return reply{status: 500}
		}
		return reply{}
	}
	bubble(t, setup{config: oneShard, answer: answer}, func(t *testing.T, b *bench) {
		text := "a_poison 1\n"
		for i := range 50 {
			text += fmt.Sprintf("fine{n=\"%d\"} 1\n", i)
		}
		b.put(text+"z_poison 1\n", "job", "a")
		time.Sleep(5 * time.Minute)
		if books := b.d.ledger.run(); books.Delivered != 52 || books.Pending != 2 {
			t.Errorf("books %+v", books)
		}
		time.Sleep(10 * time.Minute)
		same(t, map[string]uint64{"server_error": 2}, settled(t, b.d).Dropped)
	})
}

// What is tried by itself may be refused and cut: what is taken of it then is not sent
// again with the rest.
func TestStumblingInParts(t *testing.T) {
	var state atomic.Int32 // 1: takes nothing, 2: stumbles, 3: refuses more than one, stumbles over the second
	poisoned := func(q *request) (values []string) {
		for _, s := range q.samples {
			if v, ok := strings.CutPrefix(s.String(), "poison{job=a} "); ok {
				values = append(values, v[:1])
			}
		}
		return values
	}
	answer := func(q *request, n int) reply {
		values := poisoned(q)
		switch state.Load() {
		case 1:
			return reply{status: 503}
		case 2:
			return poison(q, n)
		case 3:
			switch {
			case len(values) > 1:
				return reply{status: 400}
			case len(values) == 1 && values[0] == "2":
				return reply{status: 500}
			}
		}
		return reply{}
	}
	bubble(t, setup{config: oneShard, answer: answer}, func(t *testing.T, b *bench) {
		state.Store(1)
		b.put("other 1", "job", "b")
		time.Sleep(time.Second) // it is on its way
		b.put("poison 1", "job", "a")
		b.put("poison 2", "job", "a")
		time.Sleep(time.Second)
		state.Store(2)
		time.Sleep(5 * time.Minute)
		state.Store(3)
		time.Sleep(3 * time.Minute)
		if books := b.d.ledger.run(); books.Pending != 1 {
			t.Errorf("books %+v", books)
		}
		time.Sleep(10 * time.Minute)
		books := settled(t, b.d)
		same(t, map[string]uint64{"server_error": 1}, books.Dropped)
		taken := 0
		for _, q := range b.r.all() {
			if v := poisoned(q); len(v) == 1 && v[0] == "1" {
				taken++
			}
		}
		if taken != 1 {
			t.Errorf("the one that was taken was sent %d times by itself", taken)
		}
	})
}

// What was sent before a kill and what was not are never in one request after it, also
// where samples are set aside: the records from the first of those on go out alone.
func TestReplayOfWhatIsSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mended, down atomic.Bool
		r := &receiver{}
		r.answer = func(q *request, n int) reply {
			switch {
			case down.Load():
				return reply{err: errors.New("down")}
			case mended.Load():
				return reply{}
			}
			return poison(q, n)
		}
		l := newLife(t, filepath.Join(t.TempDir(), "a"), r, oneShard)
		settled(t, l.d)
		for i := range 3 {
			l.put(withPoison(20), "job", fmt.Sprint("a", i))
			l.put("fine 1", "job", "b")
		}
		time.Sleep(5 * time.Minute)
		if n := l.d.ledger.run().Pending; n != 3 {
			t.Errorf("%d samples wait, not those that are set aside", n)
		}
		down.Store(true)
		l.put("later 1", "job", "b")
		synctest.Wait()
		dir := l.killed(t)
		sent := map[string]bool{}
		for _, q := range r.all() {
			for _, s := range q.samples {
				sent[fmt.Sprint(s.series, s.time)] = true
			}
		}
		before := len(r.all())
		down.Store(false)
		mended.Store(true)
		l = newLife(t, dir, r, oneShard)
		l.put("new 1", "job", "a0")
		settled(t, l.d)
		for _, q := range r.all()[before:] {
			again := 0
			for _, s := range q.samples {
				if sent[fmt.Sprint(s.series, s.time)] {
					again++
				}
			}
			if again > 0 && again < len(q.samples) {
				t.Errorf("%d of %d samples of a request were sent before", again, len(q.samples))
			}
		}
		l.end()
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
