package jetstream

import (
	"slices"
	"testing"
	"time"

	"github.com/pushbridge/pushbridge/queue"
)

// TestPositionsRideAlong: while pushes come, positions of destinations wait for the message of the next
// ones, and do not stand between them in one of their own.
func TestPositionsRideAlong(t *testing.T) {
	for name, row := range map[string]struct {
		company  company
		messages uint64
	}{
		"several push":           {company{records: 2, ended: time.Now().Add(time.Hour)}, 1},
		"one pushes":             {company{records: 1, ended: time.Now().Add(time.Hour)}, 2},
		"nobody pushes any more": {company{records: 2, ended: time.Now()}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			p := f.process(t, Options{ID: "a"})
			defer p.close()
			p.mustPush("first")
			c, before := p.store.chain, f.last()
			nothing := func(*writing) {}
			err := c.run(func() error {
				c.company = row.company
				records := &request{add: nothing, records: 3, answer: make(chan error, 1)}
				position := &request{add: nothing, answer: make(chan error, 1)}
				if row.messages == 1 {
					go func() { c.requests <- records }() // whenever that is
					c.serve(position)
				} else {
					c.serve(position)
					c.serve(records)
				}
				for _, r := range []*request{position, records} {
					if err := <-r.answer; err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := f.last() - before; got != row.messages {
				t.Errorf("position and records took %d messages, want %d", got, row.messages)
			}
		})
	}
}

// TestFollowersAskForNothing: what the servers have sent unasked is not read from them again.
func TestFollowersAskForNothing(t *testing.T) {
	f := newFake()
	a := f.process(t, Options{ID: "a"})
	b := f.process(t, Options{ID: "b"})
	want := []string{"1 one", "2 two", "3 three"}
	f.reads = 0
	for _, s := range []string{"one", "two", "three"} {
		a.mustPush(s)
		for len(b.folded) < len(want) && b.store.v.last() < f.last() {
			<-b.store.Moved()
		}
		b.steps.Ready()
	}
	if !slices.Equal(b.folded, want) {
		t.Errorf("folded %q, want %q", b.folded, want)
	}
	if f.reads > 0 {
		t.Errorf("%d times messages were asked for that had come unasked, want none", f.reads)
	}
	b.kill()
	a.close()
}

// TestRecent: the newest messages are kept within a bound, and only those without a gap.
func TestRecent(t *testing.T) {
	var r recent
	seqs := func(from uint64) (all []uint64) {
		for _, m := range r.from(from) {
			all = append(all, m.seq)
		}
		return all
	}
	for seq := range uint64(5) {
		r.add(message{seq + 1, make([]byte, mib-aroundBytes)})
	}
	if got := seqs(2); !slices.Equal(got, []uint64{2, 3, 4, 5}) {
		t.Errorf("from 2 on %d, want 2 to 5", got)
	}
	if got := seqs(1); got != nil {
		t.Errorf("from 1 on %d, want nothing: it did not fit", got)
	}
	if got := seqs(6); len(got) > 0 {
		t.Errorf("from 6 on %d, want nothing", got)
	}
	r.add(message{9, nil})
	if got := seqs(5); got != nil {
		t.Errorf("from 5 on %d, want nothing: 6 to 8 were not seen", got)
	}
	if got := seqs(9); !slices.Equal(got, []uint64{9}) {
		t.Errorf("from 9 on %d, want that", got)
	}
	const most = recentBytes / aroundBytes
	for seq := range uint64(2 * most) {
		r.add(message{10 + seq, nil})
	}
	if n := len(seqs(r.messages[0].seq)); n > most {
		t.Errorf("%d messages of beats are kept, want %d at most: each has headers of the server", n, most)
	}
}

// TestPatience: what waits holds up neither who is alone nor the beat of the leader.
func TestPatience(t *testing.T) {
	now := time.Now()
	for _, row := range []struct {
		records int
		took    time.Duration
		since   time.Duration
		want    time.Duration
	}{
		{records: 2, took: 10 * time.Millisecond, since: 2 * time.Millisecond, want: 8 * time.Millisecond},
		{records: 2, took: 10 * time.Millisecond, since: time.Second, want: 0},
		{records: 1, took: 10 * time.Millisecond, want: 0},
		{records: 64, took: 10 * time.Second, want: 50 * time.Millisecond},
	} {
		var c company
		ended := now.Add(-row.since)
		c.note(row.records, ended.Add(-row.took), ended)
		if got := max(0, c.patience(now)); got != row.want {
			t.Errorf("%d records that took %v, %v ago: patience %v, want %v", row.records, row.took, row.since, got, row.want)
		}
	}
}

// TestShardsShareAMessage: shards that move along together cost the stream one message.
func TestShardsShareAMessage(t *testing.T) {
	f := newFake()
	p := f.process(t, Options{ID: "a"})
	defer p.close()
	c, _, err := p.log.OpenCursor("dest", 3)
	if err != nil {
		t.Fatal(err)
	}
	p.mustPush("one")
	before := f.last()
	err = c.SettleAll(queue.Settled{Shard: 0, Seq: 1, Total: 1}, queue.Settled{Shard: 2, Seq: 1, Total: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.last() - before; got != 1 {
		t.Errorf("%d messages, want 1", got)
	}
	for shard, want := range []uint64{1, 0, 1} {
		if acked, _ := c.Position(shard); acked != want {
			t.Errorf("shard %d is at %d, want %d", shard, acked, want)
		}
	}
}
