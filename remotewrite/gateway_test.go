package remotewrite

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/disk"
)

// gateway is what stands in front of destinations: a state and a real log. Stop
// it and make another one in the same directory for a restart.
type gateway struct {
	t     testing.TB
	store *group.Store
	log   *Log
	now   func() time.Time

	began  uint64 // samples of the log at the start
	pushed uint64 // since

	cancel context.CancelFunc
	ended  chan error
	once   sync.Once
}

var recordCodec = queue.Codec[*group.Record]{
	Encode:  group.EncodeRecord,
	Decode:  group.DecodeRecord,
	Samples: (*group.Record).Samples,
	Time:    func(r *group.Record) int64 { return r.Time },
	Size:    (*group.Record).Size,
}

type gatewayOptions struct {
	dir   string // "": memory only
	now   func() time.Time
	disk  disk.Options // with dir
	queue queue.Options
}

func newGateway(t testing.TB, o gatewayOptions) *gateway {
	t.Helper()
	if o.now == nil {
		o.now = time.Now
	}
	g := &gateway{t: t, now: o.now, ended: make(chan error, 1)}
	g.store = group.NewStore(group.Options{CheckConsistency: true, Now: o.now})
	var store queue.Store = queue.NewMemory()
	if o.dir != "" {
		o.disk.Dir = o.dir
		store = disk.New(o.disk)
	}
	o.queue.Now = o.now
	log, err := queue.Open(store, o.queue, recordCodec)
	if err != nil {
		t.Fatal(err)
	}
	g.log = log
	if err := log.Replay(0, func(r *group.Record, seq uint64) error { g.store.Restore(r, seq); return nil }); err != nil {
		t.Fatal(err)
	}
	g.store.FinishRestore(log.Floor())
	g.began = log.Samples()
	return g
}

// start runs the log. Open cursors before.
func (g *gateway) start() {
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	go func() { g.ended <- g.log.Run(ctx) }()
	g.t.Cleanup(g.stop)
}

func (g *gateway) stop() {
	g.once.Do(func() {
		g.cancel()
		if err := <-g.ended; err != nil {
			g.t.Error(err)
		}
		if err := g.log.Close(); err != nil {
			g.t.Error(err)
		}
	})
}

// put pushes text to the group with these labels, name and value in turn, and
// waits until it is durable.
func (g *gateway) put(text string, labels ...string) {
	g.t.Helper()
	g.change(group.KindPut, text, labels)
}

func (g *gateway) post(text string, labels ...string) {
	g.t.Helper()
	g.change(group.KindPost, text, labels)
}

func (g *gateway) delete(labels ...string) { g.t.Helper(); g.change(group.KindDelete, "", labels) }

func (g *gateway) change(k group.Kind, text string, labels []string) {
	g.t.Helper()
	c := group.Change{Kind: k, Labels: groupingKey(labels...)}
	if k != group.KindDelete {
		c.Part = partOf(g.t, text)
	}
	if err := g.apply(c); err != nil && !errors.Is(err, group.ErrAbsent) {
		g.t.Fatal(err)
	}
}

func (g *gateway) apply(c group.Change) error {
	done := make(chan error, 1)
	queued := false
	err := g.store.Apply(c, g.now(), func(r *group.Record) {
		queued = true
		g.pushed += uint64(r.Samples())
		err := g.log.Append(r, r.Generation(), func(seq uint64, err error) {
			if err == nil {
				g.store.Commit(r, seq)
			} else {
				g.store.Abort(g.log.Generation())
			}
			done <- err
		})
		if err != nil {
			done <- err
		}
	})
	if err != nil || !queued {
		return err
	}
	if err := <-done; err != nil {
		return err
	}
	// Readers see it a moment later.
	await(g.t, "published", func() bool { return g.log.Samples() >= g.began+g.pushed })
	return nil
}

// refresh sends every group again.
func (g *gateway) refresh() {
	for slot := range group.RefreshSlots {
		g.store.Refresh(slot, 0, g.now(), g.enqueue, g.emit)
	}
}

func (g *gateway) enqueue(r *group.Record) { _ = g.log.Append(r, r.Generation(), nil) }

func (g *gateway) emit(r *group.Record) { g.log.Emit(r, r.Generation()) }

// initial is what Options.Initial wants.
func (g *gateway) initial() *Restatement {
	r := &Restatement{}
	r.Records = g.store.Restate(g.now(), func(mark *group.Record) {
		if err := g.log.Append(mark, mark.Generation(), r.Settle); err != nil {
			r.Settle(0, err)
		}
	})
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
func (g *gateway) destination(c Config, o Options) *Destination {
	g.t.Helper()
	cursor, isNew, err := g.log.OpenCursor(c.ID(), c.Shards())
	if err != nil {
		g.t.Fatal(err)
	}
	o.Log, o.Cursor, o.Now = g.log, cursor, g.now
	if isNew {
		o.Initial = g.initial
	}
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
			t.Logf("books %+v, owed %t", b, d.owed.Load())
		}
	}()
	await(t, "nothing pending", func() bool {
		b, _ = d.books.snapshot()
		return b.Pending == 0 && b.Refresh.Pending == 0 && !d.owed.Load()
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
