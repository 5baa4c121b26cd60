package state

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/pushbridge/pushbridge/group"
)

// crowd is many clients that change one store at once, most of them by large changes.
type crowd struct {
	t   *testing.T
	o   Options
	s   *Store
	now time.Time

	// Guarded by the store's lock: enqueue is called under it.
	log        []*group.Record
	abortable  int // what is behind in log waits for Commit
	generation uint64

	wake chan struct{} // something was done

	mu      sync.Mutex
	refused []refusal
}

// refusal is a push that was refused while the log had between first and last records.
type refusal struct {
	c           group.Change
	err         error
	first, last int
}

func newCrowd(t *testing.T, seed uint64) *crowd {
	r := rand.New(rand.NewPCG(seed, 3))
	c := &crowd{t: t, now: time.UnixMilli(1_700_000_000_000), wake: make(chan struct{}, 1)}
	c.o = Options{
		CheckConsistency: r.IntN(3) > 0, OwnFamilies: ownForTest,
		largeFrom: pick(r, 4, 8), step: pick(r, 1, 1, 4),
	}
	c.s = New(c.o)
	return c
}

func (c *crowd) enqueue(r *group.Record) {
	checkPrepared(c.t, r)
	if r.Generation == c.generation { // as the log does
		c.log = append(c.log, r)
	}
}

// checkPrepared compares what was prepared of r, if so, with what r has come to say.
func checkPrepared(t *testing.T, r *group.Record) {
	o := *r
	o.Prepare()
	if !bytes.Equal(group.EncodeRecord(nil, r), group.EncodeRecord(nil, &o)) {
		t.Errorf("the bytes of the %v of %s are not what it says", r.Kind, r.Labels)
	}
	if r.Samples() != o.Samples() || r.Size() != o.Size() {
		t.Errorf("the %v of %s has %d samples and %d bytes, want %d and %d", r.Kind, r.Labels, r.Samples(), r.Size(), o.Samples(), o.Size())
	}
}

// TestLargeRecordIsPrepared: who commits the record finds its bytes made, and allocates
// nothing for them.
func TestLargeRecordIsPrepared(t *testing.T) {
	s := New(Options{CheckConsistency: true, largeFrom: 4, step: 4})
	var records []*group.Record
	for _, c := range []group.Change{
		{Kind: group.KindPut, Labels: labelsOf("job=a"), Part: part(t, "a 1\nb{c=\"1\"} 1\nb{c=\"2\"} 1\nb{c=\"3\"} 1\n")},
		{Kind: group.KindDelete, Labels: labelsOf("job=a")},
	} {
		if err := s.Apply(c, time.UnixMilli(1000), func(r *group.Record) { records = append(records, r) }); err != nil {
			t.Fatal(err)
		}
	}
	end := records[1]
	buf, _, _ := group.EncodePrepared(nil, end)
	if n := testing.AllocsPerRun(10, func() { buf, _, _ = group.EncodePrepared(buf[:0], end) }); n > 0 {
		t.Errorf("%v allocations, want none: the bytes are made under way", n)
	}
	if len(end.Ended) != 6 { // with push_time_seconds and push_failure_time_seconds
		t.Errorf("%d metrics ended, want 6", len(end.Ended))
	}
}

// at returns how many records there are.
func (c *crowd) at() int {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return len(c.log)
}

// client makes n changes. They come at the time that the sequence of the store says, so
// that they can be made again in the same way.
func (c *crowd) client(seed uint64, n int) {
	r := rand.New(rand.NewPCG(seed, 4))
	h := &history{r: r, now: c.now}
	small := seed%2 == 0
	for range n {
		change := group.Change{Kind: pick(r, group.KindPut, group.KindPut, group.KindPost, group.KindPost, group.KindDelete, group.KindFail), Labels: h.labels()}
		if small { // in the way of what large changes of job a bring
			change.Labels = group.NewLabels([]group.Label{{Name: "job", Value: "a"}, {Name: "instance", Value: pick(r, "1", "2", "i")}})
		}
		if change.Kind == group.KindPut || change.Kind == group.KindPost {
			var mfs []*dto.MetricFamily
			for range r.IntN(6) {
				mfs = append(mfs, h.families()...)
			}
			if small && len(mfs) > 0 {
				mfs = mfs[:1]
				mfs[0].Metric = mfs[0].Metric[:min(1, len(mfs[0].Metric))]
			}
			p, err := group.FromDTO(mfs, group.BuildOptions{})
			if err != nil { // an empty push_failure_time_seconds
				continue
			}
			change.Part = p
		}
		first := c.at()
		err := c.s.Apply(change, c.now, c.enqueue)
		select {
		case c.wake <- struct{}{}:
		default:
		}
		if c.o.CheckConsistency && change.Part != nil && err != nil {
			c.mu.Lock()
			c.refused = append(c.refused, refusal{change, err, first, c.at()})
			c.mu.Unlock()
		}
		if err != nil && (errors.Is(err, errUnderWay) || errors.Is(err, errVoid)) {
			c.t.Errorf("a client hears %v", err)
		}
	}
}

// commit makes visible what was enqueued, and takes some of it back if aborts is set.
func (c *crowd) commit(r *rand.Rand, aborts bool) {
	c.s.mu.Lock()
	next := c.log[c.abortable:]
	c.abortable += len(next)
	c.s.mu.Unlock()
	for i, rec := range next {
		if aborts && r.IntN(40) == 0 {
			c.s.mu.Lock()
			c.generation++
			c.abortable -= len(next) - i
			c.log = c.log[:c.abortable]
			c.s.mu.Unlock()
			c.s.Abort(c.generation)
			return
		}
		c.s.Fold(rec, uint64(c.abortable-len(next)+i+1))
	}
}

// run runs clients until they are done.
func (c *crowd) run(seed uint64, clients, changes int, aborts bool) {
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() { c.client(seed<<8+uint64(i), changes) })
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		all.Wait()
	}()
	r := rand.New(rand.NewPCG(seed, 5))
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-c.wake:
		}
		c.commit(r, aborts)
		if r.IntN(20) == 0 {
			c.s.Refresh(r.IntN(RefreshSlots), 0, c.now, c.enqueue, func(*group.Record) {})
		}
	}
	c.check()
}

// check compares the store with one made anew, and what was delivered with what a
// receiver takes.
func (c *crowd) check() {
	if c.s.gate.large != nil {
		c.t.Fatal("a large change is left over")
	}
	if diff := gocmp.Diff(printIndex(c.s, rebuilt(c.s)), printIndex(c.s, &c.s.pending.index)); diff != "" {
		c.t.Errorf("the index (-want +got):\n%s", diff)
	}
	if got := c.s.LiveConflicts(); got != c.s.pending.index.conflicts() {
		c.t.Errorf("LiveConflicts %d, not %d", got, c.s.pending.index.conflicts())
	}
	if err := gathered(append(pendingGroups(c.s), gatewayGroup())); c.o.CheckConsistency && err != nil {
		c.t.Errorf("the groups do not fit together: %v", err)
	}
	rx := newReceiver()
	for _, r := range c.log {
		if err := rx.take(r); err != nil {
			c.t.Errorf("a receiver says: %v", err)
		}
	}
}

// TestLargeChangesInOrder makes the changes again, one after the other in the order of
// the log and each in one critical section: every record must come out the same, and
// every refusal must be one in some state of its time.
func TestLargeChangesInOrder(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := newCrowd(t, seed)
			c.run(seed, 4, 80, false)
			o := c.o
			o.largeFrom, o.step = 1<<30, 1
			ref := New(o)
			refused := 0
			for i, r := range c.log {
				refused += c.justify(i, ref)
				if r.Kind == group.KindClock { // of a refresh
					continue
				}
				change := group.Change{Kind: r.Kind, Labels: r.Labels}
				if r.Part != nil {
					change.Part = &group.Part{Shape: r.Part.Shape, Values: r.Part.Values, Natives: r.Part.Natives}
				}
				var got *group.Record
				if err := ref.Apply(change, c.now, func(r *group.Record) { got = r }); err != nil {
					t.Fatalf("record %d of %s: %v", i, r.Labels, err)
				}
				got.Time = r.Time // refreshes count too
				if !bytes.Equal(group.EncodeRecord(nil, r), group.EncodeRecord(nil, got)) {
					t.Fatalf("record %d: got %+v, one after the other %+v", i, r, got)
				}
			}
			refused += c.justify(len(c.log), ref)
			if got := c.unjustified(); got != "" {
				t.Errorf("of %d refusals these fit no state of their time:\n%s", refused, got)
			}
		})
	}
}

// justify takes the refusals out of c.refused that hold in the state of ref, which has
// the first i records.
func (c *crowd) justify(i int, ref *Store) (n int) {
	var left []refusal
	groups := pendingGroups(ref)
	for _, f := range c.refused {
		if f.first <= i && i <= f.last && c.refusedIn(f.c, groups) {
			n++
		} else {
			left = append(left, f)
		}
	}
	c.refused = left
	return n
}

func (c *crowd) refusedIn(change group.Change, groups []*group.Group) bool {
	after := []*group.Group{gatewayGroup()}
	var old *group.Group
	for _, g := range groups {
		if g.ID == change.Labels.ID() {
			old = g
		} else {
			after = append(after, g)
		}
	}
	if f, ok := change.Part.Shape.Find(group.FailTimeName); ok && f.Type != group.Gauge {
		return true
	}
	r := &group.Record{Kind: change.Kind, Labels: change.Labels, Part: change.Part, Members: change.Part.Members()}
	return gathered(append(after, old.Next(r, &group.Shapes{}))) != nil
}

func (c *crowd) unjustified() string {
	var lines []string
	for _, f := range c.refused {
		lines = append(lines, fmt.Sprintf("%d to %d: %s: %v", f.first, f.last, f.c.Labels, f.err))
	}
	return strings.Join(lines, "\n")
}

// TestLargeChangesAndAborts takes changes back while large ones are under way.
func TestLargeChangesAndAborts(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			newCrowd(t, seed).run(seed, 4, 80, true)
		})
	}
}

// TestLargeMeetsSmall pushes to one group the series that others push to groups of their
// own: of each only one is accepted.
func TestLargeMeetsSmall(t *testing.T) {
	for seed := range uint64(10) {
		c := newCrowd(t, seed)
		c.o = Options{CheckConsistency: true, largeFrom: 100, step: 1}
		c.s = New(c.o)
		var all sync.WaitGroup
		var text strings.Builder
		for i := range 200 {
			fmt.Fprintf(&text, "m{instance=\"%d\"} 1\n", i)
		}
		apply := func(kind group.Kind, labels, text string) {
			err := c.s.Apply(group.Change{Kind: kind, Labels: labelsOf(labels), Part: part(t, text)}, c.now, c.enqueue)
			if _, ok := errors.AsType[*group.ConflictError](err); err != nil && !ok && !errors.Is(err, group.ErrAbsent) {
				t.Errorf("%s: %v", labels, err)
			}
		}
		all.Go(func() {
			for range 5 {
				apply(group.KindPut, "job=a", text.String())
				apply(group.KindDelete, "job=a", "")
			}
		})
		for i := range 2 {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			all.Go(func() {
				for range 200 {
					apply(pick(r, group.KindPut, group.KindDelete), fmt.Sprintf("job=a instance=%d", r.IntN(200)), "m 1\n")
				}
			})
		}
		all.Wait()
		apply(group.KindPut, "job=a", text.String())
		c.check()
	}
}
