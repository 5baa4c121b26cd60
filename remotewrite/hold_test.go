package remotewrite

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v2"
)

// until answers p until it is mended.
func until(p reply) (answer func(*request, int) reply, mend func()) {
	var mended atomic.Bool
	return func(*request, int) reply {
		if mended.Load() {
			return reply{}
		}
		return p
	}, func() { mended.Store(true) }
}

// TestHeldAnswers: what says that the destination is set up wrongly costs no sample,
// however long it lasts, and shows.
func TestHeldAnswers(t *testing.T) {
	type row struct {
		name string
		p    reply
		m    ProtobufMessage
	}
	var rows []row
	for _, status := range []int{401, 402, 403, 404, 405, 406, 407, 408, 410, 421, 423, 425, 426, 451, 301, 302, 303, 101, 666} {
		for _, m := range []ProtobufMessage{Message1, Message2, Negotiate} {
			rows = append(rows, row{fmt.Sprint(status, " ", m), reply{status: status, body: "because I say so"}, m})
		}
	}
	rows = append(rows,
		row{"415 in 1.0", reply{status: 415, body: "because I say so"}, Message1},
		row{"415 in pinned 2.0", reply{status: 415, body: "because I say so"}, Message2},
		row{"415 in both", reply{status: 415, body: "because I say so"}, Negotiate},
		row{"pinned 2.0 without headers", reply{status: 204, bare: true}, Message2})
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			answer, mend := until(row.p)
			bubble(t, setup{config: func(c *Config) { c.ProtobufMessage = row.m }, answer: answer}, func(t *testing.T, b *bench) {
				if s := b.d.Status(); s.State != StateNeverTried {
					t.Errorf("before: %s", s.State)
				}
				b.put("a 1", "job", "j")
				b.put("a 2", "job", "j")
				time.Sleep(20 * time.Minute)
				b.delete("job", "j") // a stale marker waits too
				time.Sleep(time.Minute)
				held := b.d.Status()
				if held.State != StateRefusing || held.Books.Pending != held.Books.Accepted || time.Since(held.Since) < 20*time.Minute {
					t.Errorf("status %+v", held)
				}
				if row.p.body != "" && (held.LastError != row.p.body || held.LastErrorStatus != row.p.status) {
					t.Errorf("error %q, %d", held.LastError, held.LastErrorStatus)
				}
				mend()
				books := settled(t, b.d)
				same(t, []string{"a{job=j} 1", "a{job=j} 2", "a{job=j} stale"}, b.r.got())
				if books.Delivered != books.Accepted {
					t.Errorf("books %+v", books)
				}
				time.Sleep(time.Second)
				if s := b.d.Status(); s.State != StateOK {
					t.Errorf("after: %s", s.State)
				}
				if lines := b.log.lines("turns away whatever is sent"); len(lines) != 1 || !strings.Contains(lines[0], "pending=") {
					t.Errorf("log: %q", lines)
				}
				if lines := b.log.lines("sending works again"); len(lines) != 1 || !strings.Contains(lines[0], "delivered=") {
					t.Errorf("log: %q", lines)
				}
			})
		})
	}
}

// TestOnlyTheOtherProtocolIsTaken: a receiver that took no version, and then only the
// one that was given up.
func TestOnlyTheOtherProtocolIsTaken(t *testing.T) {
	var mended atomic.Bool
	answer := func(q *request, _ int) reply {
		if !mended.Load() || q.protocol == Protocol1 {
			return reply{status: 415}
		}
		return reply{}
	}
	bubble(t, setup{config: negotiating, answer: answer}, func(t *testing.T, b *bench) {
		b.put("a 1", "job", "j")
		time.Sleep(time.Minute)
		mended.Store(true)
		if books := settled(t, b.d); books.Delivered != 3 {
			t.Errorf("books %+v", books)
		}
		same(t, []string{"a{job=j} 1"}, b.r.got())
		if n := len(b.r.all()); n > 60 {
			t.Errorf("%d requests in a minute", n)
		}
	})
}

// TestHeldWhileCutting: the receiver turns away in the middle of finding out which
// sample it refuses.
func TestHeldWhileCutting(t *testing.T) {
	for _, m := range []ProtobufMessage{Message1, Message2} {
		t.Run(string(m), func(t *testing.T) {
			var away atomic.Bool
			answer := func(q *request, n int) reply {
				if n == 4 {
					away.Store(true)
				}
				if away.Load() {
					return reply{status: 401, body: "token expired"}
				}
				return oneBad(q, n)
			}
			bubble(t, setup{config: func(c *Config) { c.ProtobufMessage = m }, answer: answer}, func(t *testing.T, b *bench) {
				b.put(manySeries(500), "job", "j")
				time.Sleep(time.Minute)
				if s := b.d.Status(); s.State != StateRefusing || len(s.Books.Dropped) > 0 {
					t.Errorf("status %+v", s)
				}
				away.Store(false)
				books := settled(t, b.d)
				same(t, map[string]uint64{"refused": 1}, books.Dropped)
				if s := b.d.Status(); s.State != StateLosing {
					t.Errorf("state %s", s.State)
				}
				time.Sleep(2 * time.Minute)
				if s := b.d.Status(); s.State != StateLosing {
					t.Errorf("the latest samples were refused: state %s", s.State)
				}
				b.post("other 1", "job", "j")
				settled(t, b.d)
				time.Sleep(time.Second)
				if s := b.d.Status(); s.State != StateOK {
					t.Errorf("state %s", s.State)
				}
			})
		})
	}
}

// TestHeldOverARestart: what is sent again with care is held as well, and is no doubt.
func TestHeldOverARestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		l := newLife(t, filepath.Join(dir, "a"), r, nil)
		settled(t, l.d)
		r.answer = func(*request, int) reply { return reply{status: 403} }
		l.put("a 1", "job", "j")
		l.put("a 2", "job", "j")
		synctest.Wait()
		l.end()
		l = newLife(t, filepath.Join(dir, "a"), r, nil)
		time.Sleep(time.Minute)
		if s := l.d.Status(); s.State != StateRefusing || s.Books.Pending != 6 {
			t.Errorf("status %+v", s)
		}
		r.mu.Lock()
		r.answer = nil
		r.mu.Unlock()
		if books := settled(t, l.d); books.Delivered != 6 {
			t.Errorf("books %+v", books)
		}
		same(t, []string{"a{job=j} 1", "a{job=j} 2"}, r.got())
		noProblems(t, r)
		l.end()
	})
}

// TestMetadataIsHeld: metadata waits like samples, which do not wait for it.
func TestMetadataIsHeld(t *testing.T) {
	var mended atomic.Bool
	answer := func(q *request, _ int) reply {
		if len(q.metadata) > 0 && !mended.Load() {
			return reply{status: 404}
		}
		return reply{}
	}
	s := setup{answer: answer, config: func(c *Config) {
		c.Metadata.Send, c.Metadata.SendInterval = true, model.Duration(24*time.Hour)
	}}
	bubble(t, s, func(t *testing.T, b *bench) {
		b.put("# HELP a what it is\n# TYPE a gauge\na 1", "job", "j")
		settled(t, b.d)
		time.Sleep(time.Minute)
		mended.Store(true)
		time.Sleep(10 * time.Second)
		all := b.r.all()
		if last := all[len(all)-1]; len(last.metadata) == 0 || last.metadata[0].Help == "" {
			t.Errorf("%d requests, the last without metadata", len(all))
		}
		if s := b.d.Status(); s.State != StateOK {
			t.Errorf("state %s", s.State)
		}
	})
}

// TestStopDoesNotWaitForARefusingReceiver: what is held at the end goes out after the
// next start.
func TestStopDoesNotWaitForARefusingReceiver(t *testing.T) {
	bubble(t, setup{answer: func(*request, int) reply { return reply{status: 401} }}, func(t *testing.T, b *bench) {
		for i := range 20 {
			b.put("a 1", "job", fmt.Sprint(i))
		}
		synctest.Wait()
		began := time.Now()
		b.stop()
		if d := time.Since(began); d > time.Second {
			t.Errorf("stop took %v", d)
		}
		if books := b.d.ledger.run(); books.Pending != 60 {
			t.Errorf("books %+v", books)
		}
	})
}

// TestStateOfOneThatIsBehind: ok is said only when the latest samples were taken.
func TestStateOfOneThatIsBehind(t *testing.T) {
	slow := func(*request, int) reply { time.Sleep(2 * time.Second); return reply{} }
	s := setup{answer: slow, config: func(c *Config) { c.Queue.MaxSamplesPerSend = 3 }}
	bubble(t, s, func(t *testing.T, b *bench) {
		for i := range 30 {
			b.put(fmt.Sprintf("a %d", i), "job", "j")
		}
		time.Sleep(31 * time.Second) // a request is on its way: each begins at an even second
		if s := b.d.Status(); s.State != StateCatchingUp {
			t.Errorf("state %s", s.State)
		}
		settled(t, b.d)
		time.Sleep(time.Second)
		if s := b.d.Status(); s.State != StateOK || s.Lag != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

// tokens hands out tokens, one after the other.
func tokens(t *testing.T) (url string, given *atomic.Int32) {
	t.Helper()
	given = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token": "token-%d", "token_type": "bearer", "expires_in": 86400}`, given.Add(1))
	}))
	t.Cleanup(s.Close)
	return s.URL, given
}

// guarded is a receiver that takes one token, until it is revoked.
func guarded(t *testing.T, r *receiver, token *atomic.Int32) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Authorization") != fmt.Sprintf("Bearer token-%d", token.Load()) {
			http.Error(w, "token revoked", http.StatusUnauthorized)
			return
		}
		r.ServeHTTP(w, q)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func oauthConfig(t *testing.T, receiver, tokens string) Config {
	t.Helper()
	var c Config
	text := fmt.Sprintf("url: %s/write\noauth2: {client_id: me, client_secret: secret, token_url: %s}\n"+
		"protobuf_message: prometheus.WriteRequest\nmetadata_config: {send: false}\n", receiver, tokens)
	if err := yaml.UnmarshalStrict([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRevokedTokenIsAskedForAnew: a token that has a day to live and is not taken any
// more is thrown away, and nothing is lost by it.
func TestRevokedTokenIsAskedForAnew(t *testing.T) {
	where, given := tokens(t)
	var valid atomic.Int32
	valid.Store(1)
	r := &receiver{}
	g := newRig(t, rigOptions{})
	d := g.destination(oauthConfig(t, guarded(t, r, &valid), where), Options{})
	g.start()
	running(t, d)
	settled(t, d) // the first state, an empty one
	g.put("a 1", "job", "j")
	settled(t, d)
	valid.Store(2) // the first one is revoked
	g.put("a 2", "job", "j")
	books := settled(t, d)
	if books.Delivered != 6 || given.Load() != 2 {
		t.Errorf("%d tokens, books %+v", given.Load(), books)
	}
	same(t, []string{"a{job=j} 1", "a{job=j} 2"}, r.got())
}

// TestReloadRenewsCredentials: also those of a destination that does not change.
func TestReloadRenewsCredentials(t *testing.T) {
	where, given := tokens(t)
	var valid atomic.Int32
	valid.Store(1)
	r := &receiver{}
	g := newRig(t, rigOptions{})
	d := g.destination(oauthConfig(t, guarded(t, r, &valid), where), Options{})
	g.start()
	running(t, d)
	settled(t, d) // the first state, an empty one
	g.put("a 1", "job", "j")
	settled(t, d)
	d.Renew()
	valid.Store(2)
	g.put("a 2", "job", "j")
	settled(t, d)
	if n := given.Load(); n != 2 {
		t.Errorf("%d tokens", n)
	}
	if lines := d.Status().LastError; lines != "" {
		t.Errorf("the token of before was used: %s", lines)
	}
}
