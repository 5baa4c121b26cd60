package state

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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

// entry is the place of one group in a store. All fields are guarded by the
// store's lock.
type entry struct {
	pending   *group.Group // newest sequenced version; nil: absent
	committed *group.Group // newest durable version; nil: absent
	last      int64        // timestamp of the last record, that of failed commits and refreshes included
	expires   int64        // in ns, 0 for never; see expiry
	slot      uint32
	heapAt    int32 // place in the heap of expiries, -1 for none
	inFlight  int32 // records enqueued and not yet committed

	rules  *group.Rules // that policy was looked up in
	policy group.Policy // see policyLocked
}

// Store is the state of the gateway: the groups, what is pending, and the order
// of changes. All methods may be called at any time from any goroutine, except
// that Fold is called in the order of the log, and nothing else while Bulk runs.
type Store struct {
	o       Options
	log     *slog.Logger
	shapes  group.Shapes
	ownOnce sync.Once
	own     []OwnFamily          // set once, before the first change
	state   atomic.Pointer[tree] // committed
	rules   atomic.Pointer[group.Rules]

	conflicts atomic.Int64 // see LiveConflicts
	series    atomic.Int64 // samples of all pending groups

	mu         sync.Mutex
	generation uint64            // of what is pending, see Abort
	plans      []plan            // of what is enqueued and not folded in, in order
	bulk       *bulk             // while it goes on; nil: none
	entries    map[string]*entry // by Labels.ID
	slots      []*entry          // by slot number; slot 0 stands for the gateway itself
	free       []uint32
	dirty      map[*entry]struct{} // inFlight > 0
	failed     map[*entry]struct{} // pending is failedOnly
	expiry     expiryHeap
	clock      clock
	index      index
	metrics    *metrics

	checker *checker
	changes uint64       // how many records were sequenced
	large   *largeChange // under way; nil: none
	idle    sync.Cond    // large is nil again
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
	s := &Store{o: o, log: o.Logger}
	s.idle.L = &s.mu
	s.checker = newChecker(s, newHasher())
	s.clearLocked()
	s.metrics = newMetrics(s, o.Registerer)
	return s
}

func (s *Store) clearLocked() {
	s.entries = map[string]*entry{}
	s.slots, s.free = []*entry{nil}, nil
	s.dirty, s.failed = map[*entry]struct{}{}, map[*entry]struct{}{}
	s.expiry = nil
	s.shapes.Clear()
	s.clock.reset()
	s.index = newIndex()
	s.series.Store(0)
	s.state.Store(&tree{})
}

// Groups returns the committed version of every group that was pushed, as of one
// moment and in no particular order. It takes no lock.
func (s *Store) Groups() []*group.Group {
	return slices.DeleteFunc(s.All(), func(g *group.Group) bool { return g.Labels.IsJob() })
}

// All returns what Groups does, and the groups of expected jobs.
func (s *Store) All() []*group.Group { return s.state.Load().all() }

// Lookup returns the committed version of one group, nil when it is absent.
func (s *Store) Lookup(l group.Labels) *group.Group {
	id := l.ID()
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[id]; e != nil {
		return e.committed
	}
	return nil
}

// View returns the committed state.
func (s *Store) View() group.View {
	t := s.state.Load()
	return group.View{Groups: t.all(), Seq: t.seq, Floor: s.clock.highest.Load()}
}

// LiveConflicts returns how many inconsistencies the groups have among each
// other and with the gateway's own metrics: duplicate series, second types of a
// name, and names that collide with a component of a summary or histogram. With
// CheckConsistency it is 0, unless a state was restored that had some.
func (s *Store) LiveConflicts() int {
	s.ownOnce.Do(s.addOwnFamilies)
	return int(s.conflicts.Load())
}

// entryLocked returns the entry of an ID, making it when there is none.
func (s *Store) entryLocked(id string) *entry {
	e := s.entries[id]
	if e != nil {
		return e
	}
	e = &entry{heapAt: -1}
	if n := len(s.free); n > 0 {
		e.slot, s.free = s.free[n-1], s.free[:n-1]
		s.slots[e.slot] = e
	} else {
		e.slot = uint32(len(s.slots))
		s.slots = append(s.slots, e)
	}
	s.entries[id] = e
	return e
}

// dropLocked removes an entry that is absent, pending and committed.
func (s *Store) dropLocked(id string, e *entry) {
	delete(s.entries, id)
	s.slots[e.slot] = nil
	s.free = append(s.free, e.slot)
}

// setPendingLocked makes g the newest version of e, and keeps everything that
// follows the newest versions in step, except for the index.
func (s *Store) setPendingLocked(e *entry, g *group.Group) {
	if e.pending != nil {
		s.series.Add(-int64(e.pending.Samples()))
	}
	s.shapes.Replace(e.pending, g)
	e.pending = g
	delete(s.failed, e)
	if g != nil {
		s.series.Add(int64(g.Samples()))
		if failedOnly(g) {
			s.failed[e] = struct{}{}
		}
	}
	s.scheduleLocked(e)
}

// Share returns a shape equal to s: one that a group has, or s.
func (s *Store) Share(shape *group.Shape) *group.Shape { return s.shapes.Share(shape) }

// failedOnly reports whether g exists only because a push was refused.
func failedOnly(g *group.Group) bool { return g.Push == 0 && len(g.Members) == 0 }
