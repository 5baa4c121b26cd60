package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/state"
)

// Log is the log that everything turns around.
type Log = queue.Log[*group.Record]

// codec tells the log about records. The shapes of those that are read are shared with the
// state, once there is one.
func codec(s *atomic.Pointer[state.Store]) queue.Codec[*group.Record] {
	return queue.Codec[*group.Record]{
		Encode:  group.EncodeRecord,
		Decode:  func(b []byte) (*group.Record, error) { return decode(b, s.Load()) },
		Samples: (*group.Record).Samples,
		Time:    func(r *group.Record) int64 { return r.Time },
		Size:    (*group.Record).Size,
		Pack:    pack,
		Alike:   alike,
		Diff:    group.AppendDiff,
		Patch:   patch,
	}
}

// pack gives the log what was prepared of a record.
func pack(dst []byte, r *group.Record) ([]byte, queue.Packed) {
	begin, rest, length := group.EncodePrepared(dst, r)
	return begin, queue.Packed{Elements: rest, Len: length}
}

// decode tells the log which records are sound and beyond us.
func decode(b []byte, s *state.Store) (*group.Record, error) {
	if s == nil {
		r, err := group.DecodeRecord(b)
		return r, known(err)
	}
	r, err := group.DecodeRecordOf(b, func(l group.Labels) *group.Shape { return shapeOf(s.Lookup(l)) })
	if err == nil && r.Part != nil {
		s.ShareOf(r.Part)
	}
	return r, known(err)
}

// shapeOf returns the shape of a group that has one, nil otherwise.
func shapeOf(g *group.Group) *group.Shape {
	if g == nil || len(g.Members) == 0 {
		return nil
	}
	return g.Members[0].Part.Shape
}

func patch(b []byte, base *group.Record) (*group.Record, error) {
	r, err := group.Patch(b, base)
	return r, known(err)
}

// known returns err, as the log knows it.
func known(err error) error {
	if errors.Is(err, group.ErrNewer) {
		return newerError{err}
	}
	return err
}

// alike tells the log which records have the same series.
func alike(r *group.Record) any {
	if s := group.Alike(r); s != nil {
		return s
	}
	return nil
}

// newerError is a queue.ErrNewer too.
type newerError struct{ error }

func (e newerError) Unwrap() error        { return e.error }
func (e newerError) Is(target error) bool { return target == queue.ErrNewer }

// Options configure a Gateway. Logger, Registerer and Now are those of the state and
// the log too. The zero value works.
type Options struct {
	State state.Options
	Queue queue.Options

	// Own has the gateway's own metrics: pushes must not collide with them. Nil for
	// none but those that every group has. Reserved are the names that it may come to
	// have, by another configuration.
	Own      prometheus.Gatherer
	Reserved map[group.Type][]string

	// ResetClock forgets all timestamps given out so far: the way out after a clock
	// that was far ahead. Receivers may refuse what comes next.
	ResetClock bool

	// TakeOver is for how long nobody may lead, where several may: groups are refreshed
	// so much earlier.
	TakeOver time.Duration

	Logger     *slog.Logger          // discards
	Registerer prometheus.Registerer // nil for no metrics
	Now        func() time.Time      // time.Now
}

// Gateway is the state and the log, in step. It is safe for concurrent use.
type Gateway struct {
	state *state.Store
	log   *Log
	store string // its identity, as far as push ids have it

	logger  *slog.Logger
	now     func() time.Time
	samples prometheus.Counter
	kept    func(*group.Record) // see OnKept
	jobs    jobs
	awaited awaited

	doubtful doubtful
	turns    turns

	// outdated: groups that are not pushed to may go by other rules than the state.
	outdated atomic.Bool
	changed  chan struct{} // the rules are other ones
}

// Open opens the log in s and reads the state back. It fails as queue.Open does, and
// then leaves no metrics behind, so that another store may be tried.
func Open(s queue.Store, o Options) (*Gateway, error) {
	o = o.withDefaults()
	metrics := prometheus.NewRegistry()
	var shapes atomic.Pointer[state.Store]
	log, err := openLog(s, o, metrics, codec(&shapes))
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		state: state.New(o.state()), log: log, store: storeOf(log),
		logger: o.Logger.With("component", "gateway"), now: o.Now,
		kept: func(*group.Record) {}, changed: make(chan struct{}, 1), turns: turns{takeOver: o.TakeOver},
		samples: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pushbridge_ingest_samples_total",
			Help: "Samples of the changes that were kept, before relabelling; stale markers are counted too.",
		}),
	}
	shapes.Store(g.state)
	log.Follow(queue.Follower[*group.Record]{
		Outdated: func() { g.state.Abort(g.log.Generation()) },
		Fold:     g.fold,
	})
	g.outdated.Store(true) // the rules may be others than before the start
	if err := g.restore(o.ResetClock); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	g.turns.begin(g.state.Newest()) // so long somebody has refreshed
	if o.Registerer != nil {
		o.Registerer.MustRegister(metrics, g.samples)
	}
	return g, nil
}

// fold takes in a record of somebody else, and returns what that has emitted behind it.
func (g *Gateway) fold(r *group.Record, seq uint64) []*group.Record {
	g.state.Fold(r, seq)
	g.awaited.saw(r, seq)
	g.turns.saw(r)
	refreshed := g.state.Refreshed(r, seq)
	g.doubtful.keep(seq, refreshed, g.now())
	return refreshed
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// state returns the state's options.
func (o Options) state() state.Options {
	o.State.Logger, o.State.Registerer, o.State.Now = o.Logger.With("component", "state"), o.Registerer, o.Now
	if o.Own != nil {
		o.State.OwnFamilies = func() []state.OwnFamily { return ownFamilies(o) }
	}
	return o.State
}

func openLog(s queue.Store, o Options, metrics prometheus.Registerer, codec queue.Codec[*group.Record]) (*Log, error) {
	o.Queue.Logger, o.Queue.Registerer, o.Queue.Now = o.Logger.With("component", "queue"), metrics, o.Now
	return queue.Open(s, o.Queue, codec)
}

// restore folds the log over the newest snapshot.
func (g *Gateway) restore(resetClock bool) error {
	began := time.Now()
	if err := g.state.Bulk(g.readBack); err != nil {
		return err
	}
	if resetClock {
		if err := g.log.ResetClock(); err != nil {
			return err
		}
		g.state.ResetClock()
		g.logger.Warn("timestamps given out before are forgotten: receivers may refuse samples that are not newer")
	}
	g.logger.Info("state restored", "groups", len(g.state.Groups()), "seq", g.log.Head(), "took", time.Since(began))
	return nil
}

func (g *Gateway) readBack() (floor int64, err error) {
	seq, floor, err := g.log.ReadSnapshot(g.state.Load)
	if err != nil {
		return 0, fmt.Errorf("read snapshot: %w", err)
	}
	g.doubtful.cursors = g.log.Cursors()
	err = g.log.Replay(seq, func(r *group.Record, seq uint64) error {
		g.state.Fold(r, seq)
		g.turns.saw(r)
		g.doubtful.readBack(g, r, seq)
		return nil
	})
	g.doubtful.cursors = nil
	if err != nil {
		return 0, fmt.Errorf("read log: %w", err)
	}
	return max(floor, g.log.Floor()), nil
}

// State returns the state. To change it is the gateway's own business.
func (g *Gateway) State() *state.Store { return g.state }

// Log returns the log, for those who read it and for the one who runs it. To append
// to it is the gateway's own business.
func (g *Gateway) Log() *Log { return g.log }

// OnKept makes g call f with each record that is kept, in order and before any
// destination reads it. It must be called before the first change.
func (g *Gateway) OnKept(f func(*group.Record)) { g.kept = f }

// SetRules makes groups live, be refreshed and be expected by r from now on; nil for
// no rules.
func (g *Gateway) SetRules(r *group.Rules) {
	g.state.SetRules(r)
	g.outdated.Store(true)
	select {
	case g.changed <- struct{}{}:
	default: // Run will look at the newest rules anyway
	}
}

// Close releases the store, once the log has ended.
func (g *Gateway) Close() error { return g.log.Close() }
