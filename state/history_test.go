package state

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"github.com/pushbridge/pushbridge/group"
)

// history drives a store through a random life and checks every promise of the
// package at every step.
type history struct {
	t        testing.TB
	r        *rand.Rand
	o        Options
	mask     uint64
	s        *Store // makes the records
	follower *Store // gets them, one by one
	now      time.Time
	seq      uint64
	queued   []*group.Record // enqueued and not yet durable; refreshes are among them

	generation uint64   // how often everything queued has failed
	disk       [][]byte // what is durable, encoded, from base on
	base       []byte   // a snapshot, or nothing
	floor      int64
	rx         *receiver
	stamps     map[string]int64 // last timestamp given out since the start, by group
	trace      []string
	timed      bool
	how        *group.Aggregation // of half of the pushes; nil: of none
	keys       []group.PushKey    // of pushes that were added, whatever became of them
	refused    int
	pushes     int
	some       int // that were added, and all of whose series were known
	repeated   int
}

func newHistory(t testing.TB, seed uint64) *history {
	r := rand.New(rand.NewPCG(seed, 1))
	h := &history{t: t, r: r, now: time.UnixMilli(1_700_000_000_000), rx: newReceiver(), mask: ^uint64(0)}
	h.o = Options{CheckConsistency: r.IntN(3) > 0, MaxFailedGroups: 2, OwnFamilies: ownForTest}
	if r.IntN(3) == 0 && h.o.CheckConsistency {
		h.mask = 0x1f // series meet by chance all the time
	}
	h.timed = r.IntN(4) == 0
	if r.IntN(2) == 0 {
		h.how = &group.Aggregation{Gauges: pick(r, group.GaugeLast, group.GaugeSum, group.GaugeMax, group.GaugeMin)}
		if r.IntN(2) == 0 {
			h.how.Drop = []string{"x"}
		}
	}
	if r.IntN(2) == 0 { // half of all changes, or all, are large
		h.o.largeFrom, h.o.step = pick(r, 1, 5), pick(r, 1, 3, 100)
	}
	h.lead(h.newStore())
	h.follower = h.newStore()
	return h
}

func ownForTest() []OwnFamily {
	return []OwnFamily{{Name: "g_sum", Type: group.Counter}, {Name: "k", Type: group.Gauge, Series: []group.Labels{{{Name: "job", Value: "a"}}}}}
}

func (h *history) newStore() *Store {
	s := New(h.o)
	s.checker.hash.mask = h.mask
	s.ownOnce.Do(s.addOwnFamilies)
	return s
}

// lead makes s the store that changes go to.
func (h *history) lead(s *Store) {
	h.s, h.stamps, h.queued = s, map[string]int64{}, nil
	h.generation++
	s.Abort(h.generation)
}

// enqueue checks that no timestamp of a group is given out twice, not even
// after a failed commit.
func (h *history) enqueue(r *group.Record) {
	if r.Generation != h.generation {
		h.fail("%s is of generation %d, not %d", r.Labels, r.Generation, h.generation)
	}
	if last, ok := h.stamps[r.Labels.ID()]; ok && r.Kind != group.KindClock && r.Time <= last {
		h.fail("%s gets timestamp %d after %d", r.Labels, r.Time, last)
	}
	if r.Kind != group.KindClock {
		h.stamps[r.Labels.ID()] = r.Time
	}
	h.queued = append(h.queued, r)
}

func (h *history) logf(format string, a ...any) {
	h.trace = append(h.trace, strconv.Itoa(len(h.trace))+": "+fmt.Sprintf(format, a...))
}

func (h *history) fail(format string, a ...any) {
	h.t.Helper()
	for _, l := range h.trace[max(0, len(h.trace)-40):] {
		h.t.Log(l)
	}
	h.t.Fatalf(format, a...)
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func (h *history) labels() group.Labels {
	l := []group.Label{{Name: "job", Value: pick(h.r, "a", "a", "b")}}
	if v := pick(h.r, "-", "-", "", "i", "j"); v != "-" {
		l = append(l, group.Label{Name: "instance", Value: v})
	}
	if v := pick(h.r, "-", "-", "-", "", "1"); v != "-" {
		l = append(l, group.Label{Name: "x", Value: v})
	}
	return group.NewLabels(l)
}

func (h *history) families() []*dto.MetricFamily {
	var mfs []*dto.MetricFamily
	for range h.r.IntN(4) {
		mfs = append(mfs, h.family())
	}
	return mfs
}

func (h *history) family() *dto.MetricFamily {
	name := pick(h.r, "g", "g", "m", "k", "s", "s", "s_count", "s_bucket", "h", "h", "h_sum", group.FailTimeName, group.PushTimeName)
	typ := pick(h.r, dto.MetricType_GAUGE, dto.MetricType_GAUGE, dto.MetricType_COUNTER, dto.MetricType_SUMMARY, dto.MetricType_HISTOGRAM)
	switch name {
	case "s":
		typ = dto.MetricType_SUMMARY
	case "h":
		typ = dto.MetricType_HISTOGRAM
	}
	if h.r.IntN(3) > 0 && name != "s" && name != "h" {
		typ = dto.MetricType_GAUGE
	}
	mf := &dto.MetricFamily{Name: &name, Type: &typ}
	if h.r.IntN(3) == 0 {
		mf.Help = new(pick(h.r, "", "help"))
	}
	n := h.r.IntN(4)
	if name == group.FailTimeName {
		n++
	}
	for range n {
		mf.Metric = append(mf.Metric, h.metric(typ))
	}
	return mf
}

func (h *history) metric(typ dto.MetricType) *dto.Metric {
	m := &dto.Metric{}
	for _, name := range []string{"x", "y", "instance", "job"} {
		if h.r.IntN(3) == 0 {
			m.Label = append(m.Label, &dto.LabelPair{Name: new(name), Value: new(pick(h.r, "", "1", "2", "i"))})
		}
	}
	if h.timed && h.r.IntN(3) == 0 {
		m.TimestampMs = new(h.now.UnixMilli())
	}
	v := new(float64(h.r.IntN(5)))
	switch typ {
	case dto.MetricType_GAUGE:
		m.Gauge = &dto.Gauge{Value: v}
	case dto.MetricType_COUNTER:
		m.Counter = &dto.Counter{Value: v}
	case dto.MetricType_SUMMARY:
		m.Summary = &dto.Summary{SampleSum: v, SampleCount: proto.Uint64(3)}
		for range h.r.IntN(3) {
			m.Summary.Quantile = append(m.Summary.Quantile, &dto.Quantile{Quantile: new(pick(h.r, 0, 0.5, 1)), Value: v})
		}
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM, dto.MetricType_UNTYPED:
		m.Histogram = h.histogram()
	}
	return m
}

func (h *history) histogram() *dto.Histogram {
	x := &dto.Histogram{SampleSum: proto.Float64(1), SampleCount: proto.Uint64(2)}
	for range h.r.IntN(4) {
		x.Bucket = append(x.Bucket, &dto.Bucket{UpperBound: new(pick(h.r, -1, 0, 1, 2.5, inf)), CumulativeCount: proto.Uint64(1)})
	}
	if h.r.IntN(3) == 0 {
		x.Schema, x.ZeroThreshold, x.ZeroCount = proto.Int32(1), new(0.1), proto.Uint64(2)
	}
	return x
}

func (h *history) step() {
	switch n := h.r.IntN(100); {
	case n < 45:
		h.push()
	case n < 53:
		l := h.labels()
		err := h.s.Apply(group.Change{Kind: group.KindDelete, Labels: l}, h.now, h.enqueue)
		h.logf("delete %s: %v", l, err)
	case n < 58:
		h.refuse(h.labels())
	case n < 60:
		h.logf("wipe")
		h.s.Wipe(h.now, h.enqueue)
	case n < 62:
		n := h.s.DeleteAll([]group.Labels{h.labels(), h.labels(), h.labels()}, h.now, h.enqueue)
		h.logf("delete %d by matcher", n)
	case n < 66:
		h.logf("refresh")
		interval := time.Duration(pick(h.r, 0, 0, 1, 1000)) * time.Millisecond
		h.s.Refresh(h.r.IntN(6), interval, h.now, h.enqueue, h.enqueue)
		if h.r.IntN(4) == 0 {
			h.commit(len(h.queued))
			pick(h.r, h.restart, h.takeOver)()
		}
	case n < 69:
		h.logf("expire %d", h.s.Expire(h.now, h.enqueue))
	case n < 80:
		h.commit(h.r.IntN(len(h.queued) + 1))
	case n < 84:
		h.abort()
	case n < 87:
		h.restart()
	case n < 90:
		h.restate()
	case n < 93:
		h.takeOver()
	default:
		d := pick(h.r, 0, 0, 1, 1, 7, 1000, -1, -500)
		h.now = h.now.Add(time.Duration(d) * time.Millisecond)
		h.logf("clock %+d", d)
	}
}

func (h *history) push() {
	kind, l, mfs := pick(h.r, group.KindPut, group.KindPost), h.labels(), h.families()
	if h.r.IntN(2) == 0 {
		if g := h.s.pending.newest(l.ID()); g != nil { // the same again
			mfs = nil
			for _, m := range g.Members {
				if m.Part.Times == nil {
					mfs = append(mfs, m.DTO(l))
				}
			}
		}
	}
	p, err := group.FromDTO(mfs, group.BuildOptions{AcceptTimestamps: true})
	if err != nil {
		h.fail("build %v: %v", mfs, err)
	}
	var ttl time.Duration
	if h.r.IntN(4) == 0 {
		ttl = 500 * time.Millisecond
	}
	if h.how != nil && h.r.IntN(2) == 0 {
		h.add(group.Change{Kind: kind, Labels: h.how.Key(l), Part: p, TTL: ttl, How: h.how})
		return
	}
	before := pendingGroups(h.s)
	queued := len(h.queued)
	err = h.s.Apply(group.Change{Kind: kind, Labels: l, Part: p, TTL: ttl}, h.now, h.enqueue)
	h.logf("push %d %s %v: %v", kind, l, mfs, err)
	h.pushes++
	h.checkAnswer(kind, l, p, before, err)
	if err == nil {
		h.checkUnsent(h.queued[len(h.queued)-1])
		return
	}
	h.refused++
	if len(h.queued) != queued {
		h.fail("a refused push was enqueued")
	}
	if h.r.IntN(2) == 0 {
		h.refuse(l)
	}
}

// add makes a push that is added to what is there, perhaps one that came before.
func (h *history) add(c group.Change) {
	if g := h.s.pending.newest(c.Labels.ID()); g != nil && h.r.IntN(4) > 0 {
		c.Kind, c.Part = group.KindPost, h.someOf(g)
	}
	c.Key = group.NewPushKey(c.Labels, strconv.Itoa(len(h.trace)))
	if len(h.keys) > 0 && h.r.IntN(4) == 0 {
		c.Key = pick(h.r, h.keys...)
	}
	again, before := h.s.keys.has(c.Key, h.now.UnixMilli()), printGroups(pendingGroups(h.s))
	queued := len(h.queued)
	err := h.s.Apply(c, h.now, h.enqueue)
	h.logf("add %d %s: %v, again %v", c.Kind, c.Labels, err, again)
	h.pushes++
	after := pendingGroups(h.s)
	switch {
	case (err != nil || again) && printGroups(after) != before:
		h.fail("a push that adds nothing has changed something")
	case err != nil && len(h.queued) != queued:
		h.fail("a refused push was enqueued")
	case err != nil:
		h.refused++
		return
	case again:
		h.repeated++
		return
	}
	h.keys = append(h.keys, c.Key)
	if h.o.CheckConsistency {
		if err := gathered(append(after, gatewayGroup())); err != nil {
			h.fail("what was added makes the view inconsistent: %v", err)
		}
	}
	r := h.queued[len(h.queued)-1]
	h.checkUnsent(r)
	if r.Merge.Some {
		h.some++
	}
}

// someOf returns some of the series that g has.
func (h *history) someOf(g *group.Group) *group.Part {
	var mfs []*dto.MetricFamily
	for _, m := range g.Members {
		if h.r.IntN(3) == 0 || m.Part.Times != nil {
			continue
		}
		mf := m.DTO(g.Labels)
		mf.Metric = nil
		for i, metric := range m.Metrics() {
			if h.r.IntN(4) > 0 {
				mf.Metric = append(mf.Metric, m.MetricDTO(i, m.Part.Shape.AppendLabels(nil, &metric)))
			}
		}
		if len(mf.Metric) > 0 || mf.GetName() != group.FailTimeName {
			mfs = append(mfs, mf)
		}
	}
	p, err := group.FromDTO(mfs, group.BuildOptions{})
	if err != nil {
		h.fail("build %v: %v", mfs, err)
	}
	return p
}

func (h *history) refuse(l group.Labels) {
	err := h.s.Apply(group.Change{Kind: group.KindFail, Labels: l}, h.now, h.enqueue)
	h.logf("refuse %s: %v", l, err)
	if c := (*group.ConflictError)(nil); err != nil && !errors.As(err, &c) {
		h.fail("refuse: %v", err)
	}
}

// checkAnswer compares the answer to a push with that of a whole gathering.
func (h *history) checkAnswer(kind group.Kind, l group.Labels, p *group.Part, before []*group.Group, err error) {
	if !h.o.CheckConsistency {
		if err != nil {
			h.fail("unchecked push refused: %v", err)
		}
		return
	}
	after := []*group.Group{gatewayGroup()}
	var old *group.Group
	for _, g := range before {
		if g.ID == l.ID() {
			old = g
		} else {
			after = append(after, g)
		}
	}
	r := &group.Record{Kind: kind, Labels: l, Part: p, Members: p.Members()}
	after = append(after, old.Next(r, &group.Shapes{}))
	want := gathered(after)
	if want == nil && p.Shape.Has(group.FailTimeName) {
		f, _ := p.Shape.Find(group.FailTimeName)
		if f.Type != group.Gauge {
			want = errors.New("would refuse every other group's push")
		}
	}
	if (err == nil) != (want == nil) {
		h.fail("the store says %v, gathering says %v", err, want)
	}
}

// gatewayGroup holds the names of the gateway's own metrics, for gathered.
func gatewayGroup() *group.Group {
	b := group.NewBuilder()
	for _, f := range ownForTest() {
		b.Family(f.Name, f.Type)
		for range f.Series {
			b.Metric(group.FormSingle, nil, nil, 0)
		}
	}
	b.Family(group.PushTimeName, group.Gauge)
	b.Family(group.FailTimeName, group.Gauge)
	return &group.Group{Labels: group.Labels{{Name: "job", Value: "a"}}, Members: b.Part().Members()}
}

// checkUnsent checks that a pushed metric is sent exactly when no other metric
// of its name and labels at delivery is sent.
func (h *history) checkUnsent(r *group.Record) {
	metrics, components := map[string]bool{}, map[string]bool{}
	take := func(g group.Labels, members []group.Member, own *group.Record) {
		for _, m := range members {
			mf := m.DTO(g)
			for i, metric := range mf.Metric {
				id := identity(mf.GetName(), pairs(metric))
				unsent := m.Part.IsUnsent(uint32(m.Of().First() + i))
				if own != nil && h.o.CheckConsistency && unsent != metrics[id] || metrics[id] && !unsent {
					h.fail("%s: unsent %v, but owned by another %v", id, unsent, metrics[id])
				}
				if unsent {
					continue
				}
				metrics[id] = true
				for c := range expanded(mf, metric) {
					if components[c] {
						h.fail("%s of %s is sent twice", c, id)
					}
					components[c] = true
				}
			}
		}
	}
	for _, g := range pendingGroups(h.s) {
		if g.ID != r.Labels.ID() {
			take(g.Labels, g.Members, nil)
			for _, o := range ownSeries {
				if g.Hide&o.own == 0 {
					metrics[identity(o.name, g.Labels)] = true
				}
			}
		}
	}
	for i := range r.Part.Shape.Families() {
		take(r.Labels, []group.Member{{Part: r.Part, Family: uint32(i)}}, r)
	}
}

// expanded is expand, each series once.
func expanded(mf *dto.MetricFamily, m *dto.Metric) map[string]bool {
	out := map[string]bool{}
	for _, id := range expand(mf, m) {
		out[id] = true
	}
	return out
}

func (h *history) commit(n int) {
	if n > 0 {
		h.logf("commit %d of %d", n, len(h.queued))
	}
	for _, r := range h.queued[:n] {
		if r.Kind != group.KindRefresh {
			h.seq++
			h.disk = append(h.disk, group.EncodeRecord(nil, r))
			h.floor = max(h.floor, r.Time)
			h.s.Fold(r, h.seq)
			h.follow()
		}
		h.deliver(r)
	}
	h.queued = h.queued[n:]
}

// follow passes the last record to the follower.
func (h *history) follow() {
	r, err := group.DecodeRecord(h.disk[len(h.disk)-1])
	if err != nil {
		h.fail("decode: %v", err)
	}
	h.follower.Fold(r, h.seq)
}

func (h *history) deliver(r *group.Record) {
	h.logf("deliver kind %d %s at %d", r.Kind, r.Labels, r.Time)
	if err := h.rx.take(r); err != nil {
		h.fail("receiver: %v", err)
	}
	if got := countSamples(r); got != r.Samples() {
		h.fail("record of kind %d has %d samples, says %d", r.Kind, got, r.Samples())
	}
}

// countSamples is Record.Samples, from protobuf.
func countSamples(r *group.Record) int {
	n := 0
	for _, m := range r.Members {
		mf := m.DTO(r.Labels)
		for _, metric := range mf.Metric {
			n += len(expand(mf, metric))
			if x := metric.Histogram; x != nil && slices.ContainsFunc(boundsOf(x), func(b float64) bool { return math.IsInf(b, 1) }) {
				n-- // expand names it twice
			}
		}
	}
	if r.Kind != group.KindClock && r.Kind != group.KindDelete {
		for _, o := range ownSeries {
			if r.Hide&o.own == 0 {
				n++
			}
		}
	}
	for i := range r.Ended {
		n += len(expandEnded(&r.Ended[i], r.Labels))
	}
	return n
}

func boundsOf(x *dto.Histogram) []float64 {
	var out []float64
	for _, b := range x.Bucket {
		out = append(out, b.GetUpperBound())
	}
	if isNative(x) && len(out) == 0 {
		return nil
	}
	return out
}

func (h *history) abort() {
	h.commit(h.r.IntN(len(h.queued) + 1))
	h.logf("abort %d", len(h.queued))
	h.queued = nil
	h.generation++
	h.s.Abort(h.generation)
	if got, want := printGroups(pendingGroups(h.s)), printGroups(h.s.Groups()); got != want {
		h.fail("after an abort, pending is %s, committed %s", got, want)
	}
	if len(h.s.queue.dirty) != 0 {
		h.fail("%d dirty after an abort", len(h.s.queue.dirty))
	}
}

// restart kills the store and restores it from what is durable.
func (h *history) restart() {
	h.logf("restart")
	if h.r.IntN(2) == 0 {
		h.snapshot()
	}
	before, keys := printGroups(h.s.Groups()), h.s.keys.list()
	h.lead(h.restored())
	if after := printGroups(h.s.Groups()); after != before {
		h.fail("restored state differs: %s", gocmp.Diff(before, after))
	}
	if after := h.s.keys.list(); !slices.Equal(after, keys) {
		h.fail("restored with %d keys of pushes, there were %d", len(after), len(keys))
	}
}

// restored returns a store that is made of what is durable.
func (h *history) restored() *Store {
	s := h.newStore()
	refill(h.t, s, h.floor, func() error {
		if h.base != nil {
			if err := s.Load(bytes.NewReader(h.base)); err != nil {
				return err
			}
		}
		seq := h.seq - uint64(len(h.disk))
		for _, b := range h.disk {
			r, err := group.DecodeRecord(b)
			if err != nil {
				return err
			}
			seq++
			s.Fold(r, seq)
		}
		return nil
	})
	return s
}

// takeOver makes the follower the one that makes records. The other one follows, whatever
// it has pending.
func (h *history) takeOver() {
	h.logf("take over, %d dropped", len(h.queued))
	was := h.s
	h.lead(h.follower)
	h.follower = was
	if h.r.IntN(4) == 0 {
		h.follower = h.restored()
	}
}

func (h *history) snapshot() {
	var b bytes.Buffer
	v := h.s.View()
	if v.Seq != h.seq {
		h.fail("view has seq %d, not %d", v.Seq, h.seq)
	}
	if err := group.EncodeSnapshot(&b, v); err != nil {
		h.fail("snapshot: %v", err)
	}
	h.base, h.disk = b.Bytes(), nil
	h.floor = max(h.floor, v.Floor)
}

// restate adds a new destination, which takes over from the old one.
func (h *history) restate() {
	h.logf("restate")
	records := h.s.Restate(h.now, h.enqueue)
	h.commit(len(h.queued))
	h.rx = newReceiver()
	for _, r := range records {
		h.deliver(r)
	}
}

// check compares the receiver and the index with the state.
func (h *history) check() {
	want := map[string]bool{}
	timed := map[string]bool{}
	for _, g := range h.s.Groups() {
		series, own := delivered(g)
		for id := range series {
			want[id] = true
		}
		for id := range own {
			timed[id] = true
		}
	}
	for id := range h.rx.live {
		if !want[id] {
			h.fail("%s lives at the receiver, but in no group", id)
		}
	}
	for id := range want {
		if !h.rx.live[id] && !h.rx.timed[id] && !timed[id] {
			h.fail("%s does not live at the receiver", id)
		}
	}
	for who, s := range map[string]*Store{"leader": h.s, "follower": h.follower} {
		if diff := gocmp.Diff(printIndex(s, rebuilt(s)), printIndex(s, &s.pending.index)); diff != "" {
			h.fail("index of the %s differs from a new one: %s", who, diff)
		}
	}
	if a, b := printGroups(h.s.Groups()), printGroups(h.follower.Groups()); a != b {
		h.fail("the follower shows something else: %s", gocmp.Diff(a, b))
	}
	if a, b := h.s.View().Seq, h.follower.View().Seq; a != b {
		h.fail("the leader is at %d, the follower at %d", a, b)
	}
	h.checkConflicts()
}

func (h *history) checkConflicts() {
	groups := []*group.Group{gatewayGroup()}
	for _, g := range pendingGroups(h.s) {
		shown := *g
		shown.Members = slices.DeleteFunc(slices.Clone(g.Members), func(m group.Member) bool { return h.s.pending.index.names.hidesFamily(m.Of().Name, m.Of().Type) })
		groups = append(groups, &shown)
	}
	err := gathered(groups)
	if (err != nil) != (h.s.pending.index.conflicts() > 0) {
		h.fail("%d conflicts, but gathering says %v", h.s.pending.index.conflicts(), err)
	}
	if got := h.s.LiveConflicts(); got != h.s.pending.index.conflicts() {
		h.fail("LiveConflicts %d, not %d", got, h.s.pending.index.conflicts())
	}
}

var (
	histories   = flag.Uint64("histories", 100, "number of random histories")
	historySeed = flag.Uint64("history-seed", 1, "seed of the first")
)

// TestHistories is the main test of the package: promises P2 and P3, and that a
// restart, an abort and a snapshot lose nothing.
func TestHistories(t *testing.T) {
	pushes, refused, some, repeated := 0, 0, 0, 0
	for seed := *historySeed; seed < *historySeed+*histories; seed++ {
		h := newHistory(t, seed)
		h.logf("seed %d: %+v mask %x timed %v", seed, h.o.CheckConsistency, h.mask, h.timed)
		for range 120 {
			h.step()
			h.check()
		}
		pushes, refused = pushes+h.pushes, refused+h.refused
		some, repeated = some+h.some, repeated+h.repeated
	}
	t.Logf("%d pushes, %d refused, %d added to known series, %d repeated", pushes, refused, some, repeated)
	if some == 0 || repeated == 0 {
		t.Error("what is added up was not tried")
	}
}
