package remotewrite

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/pushbridge/pushbridge/gateway"
	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/disk"
	"github.com/pushbridge/pushbridge/state"
)

// rig is what stands in front of destinations: a gateway on a real log. Stop
// it and make another one in the same directory for a restart.
type rig struct {
	*gateway.Gateway
	t     testing.TB
	store *state.Store
	log   *Log
	now   func() time.Time

	began  uint64        // samples of the log at the start
	pushed atomic.Uint64 // since

	cancel context.CancelFunc
	ended  chan error
	once   sync.Once
}

type rigOptions struct {
	dir   string // "": memory only
	now   func() time.Time
	disk  disk.Options // with dir
	queue queue.Options
}

func newRig(t testing.TB, o rigOptions) *rig {
	t.Helper()
	if o.now == nil {
		o.now = time.Now
	}
	var store queue.Store = queue.NewMemory()
	if o.dir != "" {
		o.disk.Dir = o.dir
		store = disk.New(o.disk)
	}
	gw, err := gateway.Open(store, gateway.Options{State: state.Options{CheckConsistency: true}, Queue: o.queue, Now: o.now})
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{Gateway: gw, t: t, store: gw.State(), log: gw.Log(), now: o.now, began: gw.Log().Samples(), ended: make(chan error, 1)}
	g.OnKept(func(r *group.Record) { g.pushed.Add(uint64(r.Samples())) })
	return g
}

// start runs the log. Open cursors before.
func (g *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	go func() { g.ended <- g.log.Run(ctx) }()
	g.t.Cleanup(g.stop)
}

func (g *rig) stop() {
	g.once.Do(func() {
		g.cancel()
		if err := <-g.ended; err != nil {
			g.t.Error(err)
		}
		if err := g.Close(); err != nil {
			g.t.Error(err)
		}
	})
}

// put pushes text to the group with these labels, name and value in turn, and
// waits until it is durable.
func (g *rig) put(text string, labels ...string) {
	g.t.Helper()
	g.change(group.KindPut, text, labels)
}

func (g *rig) post(text string, labels ...string) {
	g.t.Helper()
	g.change(group.KindPost, text, labels)
}

func (g *rig) delete(labels ...string) { g.t.Helper(); g.change(group.KindDelete, "", labels) }

func (g *rig) change(k group.Kind, text string, labels []string) {
	g.t.Helper()
	c := group.Change{Kind: k, Labels: groupingKey(labels...)}
	if k != group.KindDelete {
		c.Part = partOf(g.t, text)
	}
	if err := g.apply(c); err != nil && !errors.Is(err, group.ErrAbsent) {
		g.t.Fatal(err)
	}
}

func (g *rig) apply(c group.Change) error {
	if _, err := g.Do(context.Background(), c, g.now()); err != nil {
		return err
	}
	// Readers see it a moment later.
	await(g.t, "published", func() bool { return g.log.Samples() >= g.began+g.pushed.Load() })
	return nil
}

// refresh sends every group again.
func (g *rig) refresh() {
	for slot := range state.RefreshSlots {
		g.Refresh(slot, 0)
	}
}

// current is what Options.State wants.
func (g *rig) current() *Restatement {
	r := &Restatement{}
	r.Records = g.Restate(r.Settle)
	return r
}

func groupingKey(labels ...string) group.Labels {
	var l []group.Label
	for i := 0; i < len(labels); i += 2 {
		l = append(l, group.Label{Name: labels[i], Value: labels[i+1]})
	}
	return group.NewLabels(l)
}

// partOf parses the text exposition format.
func partOf(t testing.TB, text string) *group.Part {
	t.Helper()
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	d := expfmt.NewDecoder(strings.NewReader(text), expfmt.NewFormat(expfmt.TypeTextPlain).WithEscapingScheme(model.NoEscaping))
	var all []*dto.MetricFamily
	for {
		f := &dto.MetricFamily{}
		err := d.Decode(f)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return partOfDTO(t, all...)
}

func partOfDTO(t testing.TB, families ...*dto.MetricFamily) *group.Part {
	t.Helper()
	p, err := group.FromDTO(families, group.BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// destination makes a destination for c. Call it before start.
func (g *rig) destination(c Config, o Options) *Destination {
	g.t.Helper()
	cursor, _, err := g.log.OpenCursor(c.ID(), c.Shards())
	if err != nil {
		g.t.Fatal(err)
	}
	o.Log, o.Cursor, o.Now = g.log, cursor, g.now
	o.State, o.Refreshed = g.current, g.Refreshed
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d, err := NewDestination(c, o)
	if err != nil {
		g.t.Fatal(err)
	}
	return d
}

// running runs d until the returned function is called, which waits for its end.
func running(t testing.TB, d *Destination) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// await waits until ok, for facts only: it fails after long.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for wait := time.Millisecond; !ok(); wait = min(wait*11/10, 20*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(wait)
	}
}

// settled waits until nothing is pending, and returns the books.
func settled(t testing.TB, d *Destination) Books {
	t.Helper()
	var b Books
	defer func() {
		if t.Failed() {
			t.Logf("books %+v, owed %t", b, d.debt.first.Load())
		}
	}()
	await(t, "nothing pending", func() bool {
		b = d.ledger.run()
		unstored, _ := d.ledger.ofUnstored()
		return b.Pending == 0 && unstored.Pending == 0 && !d.debt.first.Load()
	})
	checkBooks(t, b)
	return b
}

func checkBooks(t testing.TB, b Books) {
	t.Helper()
	sum := b.Delivered + b.InDoubt + b.Pending
	for _, n := range b.Dropped {
		sum += n
	}
	if sum != b.Accepted {
		t.Errorf("books do not balance: %+v", b)
	}
}

// gatewayEpoch is a time for tests that need just any.
var gatewayEpoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func timestampProto(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t) }
