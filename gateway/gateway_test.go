package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/disk"
	"github.com/pushbridge/pushbridge/state"
)

// rig is a gateway in memory, whose log runs.
type rig struct {
	*Gateway
	at      atomic.Int64 // the time, in ns since the epoch
	stopLog func()
	end     func() // stops and closes
}

func newRig(t *testing.T) *rig {
	t.Helper()
	g := newRigOn(t, queue.NewMemory())
	t.Cleanup(g.end)
	return g
}

// newRigOn returns a rig on a store. End it.
func newRigOn(t testing.TB, s queue.Store) *rig {
	t.Helper()
	r := &rig{}
	r.at.Store(1_700_000_000e9)
	g, err := Open(s, Options{
		State: state.Options{CheckConsistency: true}, Now: func() time.Time { return time.Unix(0, r.at.Load()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Log().Run(ctx) }()
	r.Gateway = g
	r.stopLog = sync.OnceFunc(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	r.end = func() {
		r.stopLog()
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
	return r
}

func (g *rig) put(t *testing.T, job string, ttl time.Duration) {
	t.Helper()
	if _, err := g.Do(t.Context(), group.Change{Kind: group.KindPut, Labels: key(job), TTL: ttl}, g.now()); err != nil {
		t.Fatal(err)
	}
}

func key(job string) group.Labels { return group.NewLabels([]group.Label{{Name: "job", Value: job}}) }

// keys lists the groups there are, sorted.
func (g *rig) keys() []string {
	var keys []string
	for _, gr := range g.State().Groups() {
		keys = append(keys, gr.Labels.String())
	}
	slices.Sort(keys)
	return keys
}

// TestNotKept holds that a record which the log refuses is no success.
func TestNotKept(t *testing.T) {
	g := newRig(t)
	g.stopLog()
	kept := make(chan error, 1)
	g.enqueue(&group.Record{Kind: group.KindClock}, func(_ uint64, err error) { kept <- err })
	if err := <-kept; !errors.Is(err, ErrNotKept) || !errors.Is(err, queue.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := g.Do(t.Context(), group.Change{Kind: group.KindPut, Labels: key("a")}, time.Now()); !errors.Is(err, ErrNotKept) {
		t.Errorf("got %v", err)
	}
}

func TestOutcome(t *testing.T) {
	o := newOutcome()
	first, second := o.expect(), o.expect()
	o.settle(0, nil)
	select {
	case <-o.done:
		t.Fatal("done before the records are settled")
	default:
	}
	one, two := errors.New("one"), errors.New("two")
	first(0, one)
	second(0, two)
	if err := o.wait(t.Context()); !errors.Is(err, one) {
		t.Errorf("got %v", err)
	}
}

func TestWipeManyGroups(t *testing.T) {
	g := newRig(t)
	for i := range 500 {
		if _, err := g.start(group.Change{Kind: group.KindPut, Labels: key(fmt.Sprint(i))}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Wipe(t.Context(), time.Now()); err != nil {
		t.Error(err)
	}
	if got := g.State().Groups(); len(got) > 0 {
		t.Errorf("%d groups after the wipe", len(got))
	}
}

// TestExpire: what was made to end comes before what is pushed later.
func TestExpire(t *testing.T) {
	g := newRig(t)
	g.put(t, "short", time.Minute)
	g.put(t, "long", time.Hour)
	g.put(t, "ever", 0)
	g.at.Store(g.at.Load() + int64(2*time.Minute))
	g.expire()
	g.put(t, "later", 0)
	if got := fmt.Sprint(g.keys()); got != `[{job="ever"} {job="later"} {job="long"}]` {
		t.Errorf("groups %v", got)
	}
}

// TestOpen_Restart holds promise 2: what was visible is there again, from the log
// alone and from a snapshot with the log behind it.
func TestOpen_Restart(t *testing.T) {
	for _, snapshot := range []bool{false, true} {
		t.Run(fmt.Sprintf("snapshot=%v", snapshot), func(t *testing.T) {
			dir := t.TempDir()
			live := func(change func(*rig)) []string {
				g := newRigOn(t, disk.New(disk.Options{Dir: dir}))
				defer g.end()
				change(g)
				return g.keys()
			}
			before := live(func(g *rig) {
				g.put(t, "a", 0)
				g.put(t, "b", 0)
				if snapshot {
					if err := g.Snapshot(); err != nil {
						t.Fatal(err)
					}
				}
				g.put(t, "c", 0)
				if _, err := g.Do(t.Context(), group.Change{Kind: group.KindDelete, Labels: key("a")}, g.now()); err != nil {
					t.Fatal(err)
				}
			})
			after := live(func(*rig) {})
			if want := []string{`{job="b"}`, `{job="c"}`}; !slices.Equal(before, want) || !slices.Equal(after, want) {
				t.Errorf("before %v, after %v, want %v", before, after, want)
			}
		})
	}
}

// TestReadRecordsShareShapes: what is read back from the disk has the shapes of the groups, so that what
// is known of a shape holds for those who fall behind, too.
func TestReadRecordsShareShapes(t *testing.T) {
	dir := t.TempDir()
	push := func(g *rig, job string) {
		t.Helper()
		if _, err := g.Do(t.Context(), group.Change{Kind: group.KindPut, Labels: key(job), Part: partOf(t, "rows 1\n")}, g.now()); err != nil {
			t.Fatal(err)
		}
	}
	g := newRigOn(t, disk.New(disk.Options{Dir: dir}))
	push(g, "a")
	push(g, "b")
	g.end()
	g = newRigOn(t, disk.New(disk.Options{Dir: dir}))
	defer g.end()
	want := g.State().Groups()[0].Members[0].Part.Shape
	reader := g.Log().NewReader(0)
	defer reader.Close()
	for range 2 {
		it, err := reader.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := it.Record.Part.Shape; got != want {
			t.Errorf("record %d has the shape %p, want the groups' one, %p", it.Seq, got, want)
		}
	}
}

// TestOpen_Newer: what a newer version has written ends the start, with the state and the
// log as they were.
func TestOpen_Newer(t *testing.T) {
	dir := t.TempDir()
	raw := queue.Codec[[]byte]{
		Encode:  func(dst, b []byte) []byte { return append(dst, b...) },
		Decode:  func(b []byte) ([]byte, error) { return slices.Clone(b), nil },
		Samples: func([]byte) int { return 1 },
		Time:    func([]byte) int64 { return 1 },
		Size:    func(b []byte) int { return len(b) },
	}
	log, err := queue.Open(disk.New(disk.Options{Dir: dir}), queue.Options{}, raw)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	newer := []byte{1, byte(group.KindPut), 0, 0x80, 0x08, 0} // a second byte of flags
	err = log.Append(newer, log.Generation(), func(uint64, error) { stop() })
	if err = errors.Join(err, log.Run(ctx), log.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err = Open(disk.New(disk.Options{Dir: dir}), Options{})
		if !errors.Is(err, group.ErrNewer) || !strings.HasSuffix(err.Error(), "record 1: decode record: written by a newer version: flags 0x400 are not known") {
			t.Errorf("opened: %v", err)
		}
	}
}
