package jetstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/queue"
)

var text = queue.Codec[string]{
	Encode:  func(dst []byte, s string) []byte { return append(dst, s...) },
	Decode:  func(b []byte) (string, error) { return string(b), nil },
	Samples: func(string) int { return 1 },
	Time:    func(string) int64 { return 7 },
	Size:    func(s string) int { return len(s) },
}

// process is a log on a stream, and what was folded in of others.
type process struct {
	t      *testing.T
	store  *Store
	log    *queue.Log[string]
	steps  queue.Steps
	kill   func()
	folded []string
}

func (f *fakeStream) process(t *testing.T, o Options) *process {
	t.Helper()
	if o.Patience == 0 {
		o.Patience = time.Millisecond
	}
	p := &process{t: t}
	p.store, p.kill = f.open(o)
	var err error
	if p.log, err = queue.Open(p.store, queue.Options{RingBytes: 1}, text); err != nil {
		t.Fatal(err)
	}
	p.steps = p.log.Steps()
	p.log.Follow(queue.Follower[string]{Fold: func(s string, seq uint64) []string { p.folded = append(p.folded, fmt.Sprint(seq, " ", s)); return nil }})
	p.steps.Ready()
	return p
}

// push commits a record.
func (p *process) push(s string) (err error) {
	p.t.Helper()
	err = p.log.Append(s, p.log.Generation(), func(_ uint64, e error) { err = e })
	if err == nil {
		p.steps.Commit()
	}
	return err
}

func (p *process) mustPush(s string) {
	p.t.Helper()
	if err := p.push(s); err != nil {
		p.t.Fatalf("push %.20q: %v", s, err)
	}
}

// records reads everything.
func (p *process) records() []string {
	p.t.Helper()
	var all []string
	if err := p.log.Replay(0, func(s string, _ uint64) error { all = append(all, s); return nil }); err != nil {
		p.t.Error(err)
	}
	return all
}

func (p *process) close() {
	p.t.Helper()
	if err := errors.Join(p.steps.Finish(), p.log.Close()); err != nil {
		p.t.Error(err)
	}
}

var errCut = errors.New("the connection is cut")

// TestUnknownOutcome: what became of a message is found out, never guessed.
func TestUnknownOutcome(t *testing.T) {
	for name, fault := range map[string]func(times *int, f *fakeStream, b []byte, expect uint64) (bool, uint64, error){
		"the answer to what was stored is lost": func(_ *int, f *fakeStream, b []byte, expect uint64) (bool, uint64, error) {
			if f.last() == expect {
				f.store(b)
			}
			return true, 0, errCut
		},
		"the request is lost": func(times *int, _ *fakeStream, _ []byte, _ uint64) (bool, uint64, error) {
			*times++
			return *times <= 5, 0, errCut
		},
		"the server is not done with the one before": func(times *int, _ *fakeStream, _ []byte, _ uint64) (bool, uint64, error) {
			*times++
			return *times <= 5, 0, errAgain
		},
		"stored by the second attempt, while the first is under way": func(times *int, f *fakeStream, b []byte, expect uint64) (bool, uint64, error) {
			if *times++; *times == 1 {
				return true, 0, errAgain
			}
			if f.last() == expect {
				f.store(b)
			}
			return true, 0, errMoved
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			p := f.process(t, Options{ID: "a", Patience: time.Minute})
			p.mustPush("before")
			times := 0
			f.fault = func(f *fakeStream, b []byte, expect uint64) (bool, uint64, error) { return fault(&times, f, b, expect) }
			p.mustPush("this")
			f.fault = nil
			p.mustPush("behind")
			if got := p.records(); !slices.Equal(got, []string{"before", "this", "behind"}) {
				t.Errorf("kept %q", got)
			}
			p.close()
		})
	}
}

// TestStoredLate: what was reported as failed and is found stored later comes in as the
// record of somebody else.
func TestStoredLate(t *testing.T) {
	f := newFake()
	p := f.process(t, Options{ID: "a"})
	p.mustPush("before")
	var late []byte
	f.fault = func(_ *fakeStream, b []byte, _ uint64) (bool, uint64, error) {
		if late == nil {
			late = b
		}
		return true, 0, errCut
	}
	built := p.log.Generation()
	if err := p.push("late"); !errors.Is(err, errCut) {
		t.Fatalf("push: %v", err)
	}
	f.fault = nil
	f.mu.Lock()
	f.store(late)
	f.mu.Unlock()
	p.steps.Ready()
	if !slices.Equal(p.folded, []string{"2 late"}) || p.log.Err() != nil {
		t.Fatalf("folded %q, %v", p.folded, p.log.Err())
	}
	if err := p.log.Append("built without it", built, nil); !errors.Is(err, queue.ErrAborted) {
		t.Errorf("append: %v", err)
	}
	p.mustPush("behind")
	if got := p.records(); !slices.Equal(got, []string{"before", "late", "behind"}) {
		t.Errorf("kept %q", got)
	}
	if head, n := p.log.Head(), p.log.Samples(); head != 3 || n != 3 {
		t.Errorf("head %d, %d samples", head, n)
	}
	p.close()
}

// TestFenced: once another process leads nothing of the first is kept, and it does not
// come back by itself.
func TestFenced(t *testing.T) {
	f := newFake()
	a := f.process(t, Options{ID: "a", Lease: time.Hour})
	c, _, err := a.log.OpenCursor("dest", 1)
	if err != nil {
		t.Fatal(err)
	}
	a.mustPush("one")
	b := f.process(t, Options{ID: "a", Lease: time.Hour}) // a second one of the same name need not wait
	b.mustPush("two")
	if err := a.push("not kept"); !errors.Is(err, errFenced) {
		t.Errorf("push: %v", err)
	}
	if err := c.Sent(0, 1); err == nil {
		t.Error("a position is saved by who does not lead")
	}
	a.steps.Ready()
	if err := a.log.Err(); !errors.As(err, new(*LeaderError)) || !strings.Contains(err.Error(), `replica "a" leads since`) {
		t.Errorf("the log says %v", err)
	}
	if !slices.Equal(a.folded, []string{"2 two"}) {
		t.Errorf("folded %q", a.folded)
	}
	if err := a.store.Trim(1); err != nil && !errors.As(err, new(*LeaderError)) {
		t.Errorf("trim: %v", err)
	}
	b.mustPush("three")
	if got := b.records(); !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Errorf("kept %q", got)
	}
	b.close()
	for range 1000 { // b has resigned
		<-a.store.Moved()
		if a.steps.Ready(); a.log.Err() == nil {
			break
		}
	}
	if !slices.Equal(a.folded, []string{"2 two", "3 three"}) || a.log.Err() != nil {
		t.Errorf("folded %q, %v", a.folded, a.log.Err())
	}
	a.mustPush("four")
}

// TestPieces: a record larger than a message is kept whole, or not at all.
func TestPieces(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 200_000)
	f := newFake()
	p := f.process(t, Options{ID: "a"})
	p.mustPush("before")
	p.mustPush(large)
	if n := len(f.messages); n != 6 {
		t.Errorf("%d messages", n)
	}
	times := 0
	f.fault = func(*fakeStream, []byte, uint64) (bool, uint64, error) { times++; return times > 2, 0, errCut }
	if err := p.push(large + "!"); !errors.Is(err, errCut) {
		t.Errorf("push: %v", err)
	}
	p.kill()
	f.fault = nil
	p = f.process(t, Options{ID: "a"})
	p.mustPush("behind")
	if got := p.records(); !slices.Equal(got, []string{"before", large, "behind"}) {
		t.Errorf("kept %d records", len(got))
	}
	p.close()
}

// TestRecoverReadsOnePart: a restart reads no more than the newest part, whatever there is.
func TestRecoverReadsOnePart(t *testing.T) {
	f := newFake()
	p := f.process(t, Options{ID: "a", PartBytes: 1000, MaxBytes: -1})
	for range 500 {
		p.mustPush("0123456789")
	}
	_, _, err := p.log.OpenCursor("dest", 3)
	if err != nil {
		t.Fatal(err)
	}
	p.kill()
	reads := 0
	v, err := readView(t.Context(), counting{conn{f, new(bool)}, &reads})
	if err != nil || reads > 30 {
		t.Errorf("%d reads, %v", reads, err)
	}
	was := p.store.v
	if v.head != was.head || !slices.Equal(v.parts, was.parts) || len(v.cursors) != 1 || v.leader != was.leader {
		t.Errorf("read\n%+v, want\n%+v", v.parts, was.parts)
	}
}

type counting struct {
	conn
	n *int
}

func (c counting) get(ctx context.Context, seq uint64) ([]byte, error) {
	*c.n++
	return c.conn.get(ctx, seq)
}

func (c counting) read(ctx context.Context, seq uint64) ([]message, error) {
	*c.n++
	return c.conn.read(ctx, seq)
}

// TestFull: a stream that takes no more says so at once, and goes on when there is room.
func TestFull(t *testing.T) {
	f := newFake()
	p := f.process(t, Options{ID: "a", PartBytes: 400, MaxBytes: -1, Patience: time.Hour})
	for range 20 {
		p.mustPush("0123456789")
	}
	f.fault = func(f *fakeStream, _ []byte, _ uint64) (bool, uint64, error) {
		return f.first == 1, 0, refusal{errors.New("maximum bytes exceeded")}
	}
	if err := p.push("no room"); err == nil || !strings.Contains(err.Error(), "maximum bytes exceeded") {
		t.Errorf("push: %v", err)
	}
	err := p.log.WriteSnapshot(20, 0, func(w io.Writer) error { _, err := io.WriteString(w, "state"); return err })
	if err == nil {
		t.Error("a snapshot was noted in a full stream")
	}
	f.fault = nil
	p.steps.Ready()
	oldest, _ := p.store.Oldest()
	if err := p.store.Trim(oldest.Last); err != nil {
		t.Errorf("trim: %v", err)
	}
	p.mustPush("room")
	p.close()
}

func TestCheckpointOfDamage(t *testing.T) {
	f := newFake()
	p := f.process(t, Options{ID: "a", PartBytes: 500, MaxBytes: -1})
	for range 50 {
		p.mustPush("0123456789")
	}
	p.kill()
	parts := p.store.v.parts
	for i, m := range f.messages {
		if m.seq == parts[len(parts)-1].start {
			f.messages[i].data[headerSize+3] ^= 1
		}
	}
	p = f.process(t, Options{ID: "a", PartBytes: 500, MaxBytes: -1})
	if got := len(p.records()); got != 49 || p.log.Head() != 50 || len(p.log.Damage()) != 1 {
		t.Errorf("%d records, head %d, damage %v", got, p.log.Head(), p.log.Damage())
	}
	p.close()
}

// FuzzBatch: no bytes of a stream make the reader fail otherwise than by saying so.
func FuzzBatch(f *testing.F) {
	fake := newFake()
	s, _ := fake.open(Options{ID: "a", PartBytes: 100, MaxBytes: -1})
	host := queue.Host{
		Logger: slog.New(slog.DiscardHandler), Now: time.Now, Gauge: func(string, string, func() float64) {},
		Metrics: &queue.StoreMetrics{FsyncSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "x", Help: "Of a test."})},
	}
	if _, err := s.Recover(host); err != nil {
		f.Fatal(err)
	}
	if err := s.Ready(0); err != nil {
		f.Fatal(err)
	}
	saver, _, err := s.OpenCursor("dest")
	if err != nil {
		f.Fatal(err)
	}
	for range 3 {
		if err := saver.Save(queue.Slot{Shards: make([]queue.ShardSlot, 3)}); err != nil {
			f.Fatal(err)
		}
	}
	for _, m := range fake.messages {
		_, piece, err := parseMessage(m.data)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(piece, uint64(0))
	}
	f.Fuzz(func(t *testing.T, body []byte, checkpoint uint64) {
		if len(body) > maxPiece {
			return
		}
		v := newView()
		for i, m := range messages(header{first: 1, checkpoint: checkpoint}, body) {
			if err := v.fold(message{uint64(i) + 1, m}); err != nil && !errors.Is(err, queue.ErrNewer) {
				t.Error(err)
			}
		}
		v.settle(1)
	})
}

// TestCompeting lets two processes of the same name write at the same time, which the names should
// have kept them from: no sequence is given out twice. Without the expectation some are, or else
// this test would see nothing.
func TestCompeting(t *testing.T) {
	for _, fenced := range []bool{true, false} {
		f := newFake()
		if !fenced {
			f.fault = func(f *fakeStream, b []byte, expect uint64) (bool, uint64, error) {
				f.store(b)
				return true, expect + 1, nil
			}
		}
		f.silent = true // neither hears of the other
		a := f.process(t, Options{ID: "a", Lease: time.Hour})
		b := f.process(t, Options{ID: "a", Lease: time.Hour})
		kept := map[uint64]string{}
		twice := 0
		for i := range 20 {
			for _, p := range []*process{a, b} {
				body := fmt.Sprintf("%p %d", p, i)
				err := p.log.Append(body, p.log.Generation(), func(seq uint64, err error) {
					if other, used := kept[seq]; err == nil && used && other != body {
						twice++
					}
					if err == nil {
						kept[seq] = body
					}
				})
				if err == nil {
					p.steps.Commit()
				}
			}
		}
		if len(kept) < 20 || fenced != (twice == 0) {
			t.Errorf("fenced %t: %d records are kept, %d sequences were given out twice", fenced, len(kept), twice)
		}
		a.kill()
		b.kill()
	}
}
