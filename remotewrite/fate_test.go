package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
)

// push pushes text to the group of a job and returns what names the record.
func (b *bench) push(text, job string) gateway.PushID {
	b.t.Helper()
	c := group.Change{Kind: group.KindPut, Labels: groupingKey("job", job), Part: partOf(b.t, text)}
	id, err := b.Do(context.Background(), c, b.now())
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func (b *bench) fate(id gateway.PushID) Fate { return b.d.Fate(id.Seq, id.Job) }

// What became of each record adds up to the books, whatever receivers refuse, and
// however records are split, cut and gathered.
func TestFatesAddUpToTheBooks(t *testing.T) {
	refuse := func(q *request, _ int) reply {
		for _, s := range q.samples {
			if strings.HasPrefix(s.series, "bad") {
				return reply{status: 400, body: "bad is refused"}
			}
		}
		return reply{}
	}
	s := setup{answer: refuse, config: func(c *Config) {
		c.Queue.MaxSamplesPerSend = 10
		c.WriteRelabelConfigs = relabelRules(t, "- {source_labels: [job], regex: dropped.*, action: drop}\n- {source_labels: [__name__], regex: left_out, action: drop}")
	}}
	bubble(t, s, func(t *testing.T, b *bench) {
		rng := rand.New(rand.NewPCG(1, 2))
		want := map[gateway.PushID]FateState{}
		for i := range 60 {
			var text strings.Builder
			good, bad := rng.IntN(25), rng.IntN(3)
			for j := range good {
				fmt.Fprintf(&text, "good_%d 1\n", j)
			}
			for j := range bad {
				fmt.Fprintf(&text, "bad_%d 1\n", j)
			}
			text.WriteString("left_out 1\n")
			job := fmt.Sprintf("%s%d", []string{"job", "job", "dropped"}[i%3], i)
			state := FatePartly
			switch {
			case i%3 == 2:
				state = FateDropped
			case bad == 0:
				state = FateDelivered // and one sample left out, as asked for
			}
			want[b.push(text.String(), job)] = state
		}
		books := settled(t, b.d)
		got, lost := map[gateway.PushID]FateState{}, map[string]uint64{}
		for id := range want {
			f := b.fate(id)
			got[id] = f.State
			for why, n := range f.Dropped {
				lost[why] += n
			}
			if f.Time.IsZero() || f.Suspect {
				t.Errorf("%v: %+v", id, f)
			}
		}
		same(t, want, got)
		same(t, books.Dropped["refused"], lost["refused"])
		if books.Dropped["refused"] == 0 {
			t.Error("nothing was refused")
		}
	})
}

// A record that the receiver stumbles over is pending, for those who wait too, as long as
// a part of it is tried by itself.
func TestFateOfWhatIsSetAside(t *testing.T) {
	s := setup{config: func(c *Config) { oneShard(c) }, answer: poison}
	bubble(t, s, func(t *testing.T, b *bench) {
		id := b.push("poison 1\nfine 1", "a")
		other := b.push("fine 1", "b")
		var first, second error
		waited := make(chan time.Duration)
		began := time.Now()
		go func() {
			second = b.d.Await(t.Context(), other.Seq, other.Job)
			waited <- time.Since(began)
		}()
		go func() {
			first = b.d.Await(t.Context(), id.Seq, id.Job)
			waited <- time.Since(began)
		}()
		if d := <-waited; d > 3*time.Minute || second != nil {
			t.Errorf("the neighbour waited %s: %v", d, second)
		}
		if got := b.fate(id).State; got != FatePending {
			t.Errorf("got %s", got)
		}
		if d := <-waited; d < 10*time.Minute || first != nil {
			t.Errorf("waited %s: %v", d, first)
		}
		f := b.fate(id)
		if f.State != FatePartly || f.Dropped["server_error"] != 1 || !strings.Contains(f.Text, "index out of range") {
			t.Errorf("got %+v", f)
		}
	})
}

// Who waits hears of the end of the destination, and of its own.
func TestAwaitEnds(t *testing.T) {
	down := func(*request, int) reply { return reply{status: 503} }
	bubble(t, setup{}, func(t *testing.T, b *bench) {
		b.r.mu.Lock()
		b.r.answer = down
		b.r.mu.Unlock()
		id := b.push("m 1", "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.d.Await(ctx, id.Seq, id.Job); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		ended := make(chan error)
		go func() { ended <- b.d.Await(t.Context(), id.Seq, id.Job) }()
		synctest.Wait()
		b.stop()
		if err := <-ended; !errors.Is(err, ErrEnded) {
			t.Errorf("got %v", err)
		}
		if err := b.d.Await(t.Context(), id.Seq, id.Job); !errors.Is(err, ErrEnded) {
			t.Errorf("afterwards: got %v", err)
		}
	})
}

// What is remembered is bounded in bytes, and what is not remembered any more is never
// taken for delivered.
func TestFatesAreBounded(t *testing.T) {
	const limit = 4096
	f := &fates{limit: limit, shards: make([]shardFates, 1)}
	batchOf := func(seq uint64, lose bool) *batch {
		b := &batch{parts: []part{{item: item{seq: seq, samples: 2, mark: 1}, whole: true}}}
		if lose {
			b.lose(uint8(refusedSamples), map[uint32]suspect{1: {1, true}}, strings.Repeat("x", 1000))
		}
		return b
	}
	s := &f.shards[0]
	for seq := range uint64(5000) {
		f.settle(0, batchOf(seq+1, seq%7 == 0), time.UnixMilli(1))
		if f.size() > limit {
			t.Fatalf("%d bytes", f.size())
		}
		bytes := len(s.done) * settledRunSize
		for i := range s.odd {
			bytes += s.odd[i].size()
			if s.odd[i].seq <= s.from {
				t.Fatalf("record %d is still there, known from %d", s.odd[i].seq, s.from)
			}
		}
		if bytes != s.bytes {
			t.Fatalf("%d bytes, counted %d", bytes, s.bytes)
		}
	}
	if s.from == 0 || s.to != 5000 || s.to-s.from < 20 {
		t.Errorf("known from %d to %d", s.from, s.to)
	}
	for seq := s.from + 1; seq <= s.to; seq++ {
		if _, odd := s.findOdd(seq); odd != ((seq-1)%7 == 0) {
			t.Errorf("record %d: %t", seq, odd)
		}
	}
}

// A destination that lags behind the bound of the log tells which records it lost, and
// what was settled before a restart is told as far as positions and books say.
func TestFateOfGapsAndOfThePast(t *testing.T) {
	f := &fates{shards: make([]shardFates, 1)}
	f.gap(10, 20, reasonOfGap(queue.GapDropped), time.UnixMilli(5))
	for _, tt := range []struct {
		seq, acked uint64
		ok         bool
	}{{9, 0, false}, {10, 0, true}, {20, 0, true}, {20, 20, false}, {21, 0, false}} {
		got, ok := f.gapAt(tt.seq, tt.acked)
		if ok != tt.ok || ok && (got.State != FateDropped || !maps.Equal(got.Dropped, map[string]uint64{"disk_bound": 0})) {
			t.Errorf("%+v: %t %+v", tt, ok, got)
		}
	}
	for i := range 2 * maxGaps {
		f.gap(uint64(100+i), uint64(100+i), gapDamaged, time.UnixMilli(5))
	}
	if len(f.gaps) != maxGaps {
		t.Errorf("%d gaps", len(f.gaps))
	}
}
