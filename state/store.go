package state

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/aggregate"
	"github.com/pushbridge/pushbridge/group"
)

// OwnFamily is a family that the gateway exposes itself.
type OwnFamily struct {
	Name   string
	Type   group.Type
	Series []group.Labels // may be empty
}

// Options configure a Store. The zero value works.
type Options struct {
	// CheckConsistency refuses pushes after which the view would not be
	// consistent: duplicate series, and names of several types.
	CheckConsistency bool

	// OwnFamilies returns the gateway's own metrics. It is called once, with no
	// lock held, before the first change or count of conflicts.
	OwnFamilies func() []OwnFamily

	MaxGroups         int // 0 for no limit
	MaxSeriesPerGroup int // 0 for no limit

	// MaxFailedGroups is how many groups there may be that exist only because of
	// refused pushes; one more ends the oldest. 0 is the default, 1,000. Time does
	// not end them: an alert on the failure of a job that never succeeded must not
	// resolve itself.
	MaxFailedGroups int

	// See largeChange; 0 for the defaults, others in tests.
	largeFrom, step int
	longest         time.Duration

	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil for no metrics
	Now        func() time.Time      // for metrics only; nil for time.Now
}

// Store is the state of the gateway: the groups, what is pending, and the order
// of changes. All methods may be called at any time from any goroutine, except
// that Fold is called in the order of the log, and nothing else while Bulk runs.
//
// A change goes from the gate over the checker and the clock into pending and the queue;
// when its record comes out of the log, from the queue to what is shown. Each of these
// says what it guards.
type Store struct {
	o         Options
	metrics   *metrics
	ownOnce   sync.Once // asks for Options.OwnFamilies
	rules     atomic.Pointer[group.Rules]
	shown     shown
	conflicts atomic.Int64 // see LiveConflicts

	aggregates aggregate.Preparer // has a lock of its own

	// mu guards what follows, and writing to shown and conflicts.
	mu      sync.Mutex
	gate    gate
	keys    keys
	pending pending
	queue   pendingQueue
	clock   clock
	checker *checker // for all changes but large ones
}

// New returns an empty store.
func New(o Options) *Store {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxFailedGroups == 0 {
		o.MaxFailedGroups = 1000
	}
	if o.largeFrom == 0 {
		o.largeFrom, o.step, o.longest = largeFrom, stepSize, longestHold
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{o: o}
	s.gate.largeFrom, s.gate.idle.L = o.largeFrom, &s.mu
	s.pending.strict, s.pending.hash = o.CheckConsistency, newHasher()
	s.checker = newChecker(&s.pending, &s.gate, &s.pending.hash)
	s.clearLocked()
	s.metrics = newMetrics(s, o.Registerer)
	return s
}

func (s *Store) clearLocked() {
	s.pending.reset()
	s.queue.reset()
	s.keys = newKeys()
	s.clock.reset()
	s.shown.reset()
}

// Groups returns the committed version of every group that was pushed, as of one
// moment and in no particular order. It does not wait for changes.
func (s *Store) Groups() []*group.Group {
	return slices.DeleteFunc(s.All(), func(g *group.Group) bool { return g.Labels.IsJob() })
}

// All returns what Groups does, and the groups of expected jobs.
func (s *Store) All() []*group.Group {
	t := s.shown.now()
	return t.all()
}

// Lookup returns the committed version of one group, nil when it is absent.
func (s *Store) Lookup(l group.Labels) *group.Group {
	id := l.ID()
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.pending.entries[id]; e != nil {
		return e.committed
	}
	return nil
}

// View returns the committed state. Of pushes that were kept since it may have the keys,
// which says no more than the log does.
func (s *Store) View() group.View {
	t := s.shown.now()
	v := group.View{Groups: t.all(), Seq: t.seq, Floor: s.clock.highest.Load()}
	s.mu.Lock()
	defer s.mu.Unlock()
	v.Keys = s.keys.list()
	return v
}

// LiveConflicts returns how many inconsistencies the groups have among each
// other and with the gateway's own metrics: duplicate series, second types of a
// name, and names that collide with a component of a summary or histogram. With
// CheckConsistency it is 0, unless a state was restored that had some.
func (s *Store) LiveConflicts() int {
	s.ownOnce.Do(s.addOwnFamilies)
	return int(s.conflicts.Load())
}

// Share returns a shape equal to s: one that a group has, or s.
func (s *Store) Share(shape *group.Shape) *group.Shape { return s.pending.shapes.Share(shape) }

// ShareOf gives p a shape that a group has, if one is equal to its own.
func (s *Store) ShareOf(p *group.Part) { s.pending.shapes.ShareOf(p) }

// tidyLocked ends a change: it publishes the number of conflicts, and lets go of
// scratch space that only a huge push needs.
func (s *Store) tidyLocked() {
	s.countConflictsLocked()
	if s.checker.scratch() > maxScratch {
		s.pending.hash = s.pending.hash.fresh()
		s.checker = newChecker(&s.pending, &s.gate, &s.pending.hash)
	}
}

// maxScratch is the largest scratch space, in elements, that is kept.
const maxScratch = 1 << 16

// countConflictsLocked publishes the number of conflicts. While a large change is
// under way the index holds more than there is.
func (s *Store) countConflictsLocked() {
	if s.gate.large == nil {
		s.conflicts.Store(int64(s.pending.index.conflicts()))
	}
}
