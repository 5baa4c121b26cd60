package remotewrite

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/pushbridge/pushbridge/convert"
)

// maxBatchBytes bounds a request before compression. Prometheus and
// VictoriaMetrics refuse more than 32 MiB (rule R-7).
const maxBatchBytes = 3 << 20

// shard sends the records of some jobs, one request at a time: order before
// throughput (rules R-5 and S-3). Everything but in, unsettled and oldest belongs
// to the goroutine that runs it.
type shard struct {
	n    int
	d    *Destination
	in   *inbox
	gone chan struct{} // closed when run has ended

	// Where the cursor was when the destination started: records up to acked are
	// settled, those up to doubtful were perhaps sent.
	acked, doubtful uint64

	unsettled atomic.Int64 // items put and not settled
	troubled  atomic.Int64 // parts of batches that are tried elsewhere; until they are settled nothing is acknowledged
	oldest    atomic.Int64 // timestamp of the batch at hand, 0 for none

	conv    convert.Converter
	relabel *relabeler
	formers []former
	seen    sampleSet
	sent    sentExemplars
	sender  sender

	// What was converted and is not settled yet. It all goes at once: see unload.
	protocol Protocol
	series   []convert.Series
	ended    []convert.Series
	loaded   []loaded
	again    []item // to be converted anew, before what is in the inbox
	sets     uint32
	marks    uint32
}

// loaded is a converted record: series[from:to], as far as they are in no batch
// yet.
type loaded struct {
	item     item
	from, to int
	drops    outcome
	started  bool // a part of it was in a batch
	late     bool // what of the record is not newer than its series, and nothing else
	more     bool // its late part follows
}

func newShard(d *Destination, n int) *shard {
	s := &shard{
		n:       n,
		d:       d,
		in:      newInbox(d.config.Queue.Capacity),
		gone:    make(chan struct{}),
		relabel: newRelabeler(d.o.External, d.config.WriteRelabelConfigs, d.o.escaping()),
	}
	s.acked, s.doubtful = d.cursor.Position(n)
	for i := range d.o.Former {
		s.formers = append(s.formers, newFormer(&d.o.Former[i]))
	}
	s.sender = sender{d: d, shard: n, back: newBackoff(&d.config.Queue), exemplars: &s.sent}
	return s
}

// run works until the inbox is closed and empty, or a batch cannot be settled
// before the end. ctx ends all waiting, hard also the request on the way.
func (s *shard) run(ctx, hard context.Context) {
	defer close(s.gone)
	for {
		b := s.gather(hard)
		if b == nil {
			return
		}
		s.oldest.Store(b.newest())
		err := s.settle(ctx, hard, b)
		s.oldest.Store(0)
		if err != nil {
			return
		}
	}
}

// gather makes the next batch of what is there: it waits for the first record
// and not for more. Nil means that there will be none.
func (s *shard) gather(ctx context.Context) *batch {
	if len(s.loaded) == 0 {
		it, ok := s.wait(ctx)
		if !ok {
			return nil
		}
		s.protocol = s.d.line.negotiation.choose(s.d.now())
		s.load(it)
	}
	first := s.loaded[0].item
	b := &batch{kind: first.kind, shard: s.n, protocol: s.protocol}
	f := filling{max: s.d.config.Queue.MaxSamplesPerSend}
	for s.fill(b, &f) {
		it, ok := s.peek()
		if !ok || !mixes(first, it) || f.samples+it.samples > f.max {
			break
		}
		s.drop()
		s.load(it)
	}
	b.series = s.series[b.from:b.to]
	return b
}

// mixes says whether two records may share a request.
func mixes(a, b item) bool { return a.kind == b.kind && a.set == b.set && a.kind != careful }

// filling is how full a batch is.
type filling struct {
	max                       int
	samples, exemplars, bytes int
}

// takes counts x in, unless it does not fit any more. The first one always fits.
func (f *filling) takes(x *convert.Series) bool {
	n := sizeSeries1(x) + len(x.Family.Help)
	samples, exemplars := f.samples+1, f.exemplars+len(x.Exemplars)
	if f.samples > 0 && (samples > f.max || samples+exemplars > f.max+max(f.max/10, 1) && exemplars > 0 || f.bytes+n > maxBatchBytes) {
		return false
	}
	f.samples, f.exemplars, f.bytes = samples, exemplars, f.bytes+n
	return true
}

// fill moves loaded records into b. It returns false when b is full: then a
// record, or the rest of it, stays for the next batch. Only a record that stands
// first in a batch is split, so that a push which fits into one request is never
// spread over two.
func (s *shard) fill(b *batch, f *filling) bool {
	for len(s.loaded) > 0 {
		r := &s.loaded[0]
		if r.late && len(b.parts) > 0 {
			return false // alone: a receiver that refuses it refuses all beside it
		}
		before, at := *f, r.from
		for at < r.to && f.takes(&s.series[at]) {
			at++
		}
		if at < r.to {
			if len(b.parts) > 0 {
				*f = before
				return false
			}
			at = splitAt(s.series, r.from, at)
		}
		b.add(r, at)
		if r.from < r.to {
			return false
		}
		s.loaded = s.loaded[1:]
		if r.late {
			return false
		}
	}
	return true
}

// splitAt moves a split behind from, at at, back to where a family begins, if
// that is not far: the buckets of a histogram belong together.
func splitAt(series []convert.Series, from, at int) int {
	for i := at; i > from+(at-from)/2; i-- {
		if series[i].Family.Name != series[i-1].Family.Name {
			return i
		}
	}
	return at
}

// add takes the series of r before at into b. Records are loaded one behind the
// other, so that those of a batch are next to each other.
func (b *batch) add(r *loaded, at int) {
	if len(b.parts) == 0 {
		b.from, b.fresh = r.from, !r.started
	}
	b.to, r.from, r.started = at, at, true
	b.late = r.late
	whole := at == r.to && !r.more
	if whole {
		b.drops.Add(&r.drops)
	}
	b.parts = append(b.parts, part{item: r.item, whole: whole})
	b.last = max(b.last, r.item.seq)
}

// wait returns the next record, and takes it.
func (s *shard) wait(ctx context.Context) (item, bool) {
	it, ok := s.peek()
	if !ok {
		if it, ok = s.in.wait(ctx); !ok {
			return it, false
		}
	}
	s.drop()
	return it, true
}

// peek returns the next record without waiting.
func (s *shard) peek() (item, bool) {
	if len(s.again) > 0 {
		return s.again[0], true
	}
	it, ok, _ := s.in.peek()
	return it, ok
}

// drop takes what peek returned.
func (s *shard) drop() {
	if len(s.again) > 0 {
		s.again = s.again[1:]
		return
	}
	s.in.take()
}

// load converts a record: series, final labels, stale markers, in this order,
// since markers are what ended and has no series any more (rule ST-2a).
func (s *shard) load(it item) {
	s.marks++
	it.mark = s.marks
	l := loaded{item: it, from: len(s.series)}
	live := s.convert(&l)
	inOrder(live[l.from:], it.record.Time)
	n := len(live)
	live = s.seen.compact(live, l.from)
	l.drops[duplicateSeries] += uint64(n - len(live))
	for i := range live[l.from:] {
		live[l.from+i].Record = it.mark
	}
	s.exemplars(live[l.from:])
	if s.protocol == Protocol1 {
		s.d.metadata.note(live[l.from:])
	}
	s.series, l.to = live, len(live)
	s.append(l)
}

// convert appends what l is sent as to s.series.
func (s *shard) convert(l *loaded) []convert.Series {
	if l.item.aside == endedAside {
		return s.endedOnly(l)
	}
	o := s.d.convertOptions(s.protocol)
	live, skipped := s.conv.Append(s.series, l.item.record, o)
	live = live[:l.from+len(s.relabel.all(live[l.from:], &l.drops))]
	l.skip(&skipped)
	ended, skipped := s.conv.AppendEnded(s.ended[:0], l.item.record, o)
	s.ended = s.relabel.all(ended, &l.drops)
	l.skip(&skipped)
	n := len(live)
	live = s.conv.Markers(live, s.ended, live[l.from:])
	l.drops[markerNotNeeded] += uint64(len(s.ended) - (len(live) - n))
	if l.item.aside == stateAside {
		live = s.endFormer(live, l)
	}
	return live
}

// append adds a converted record. Samples that are not newer than their series,
// which stand at its end, form a part of their own.
func (s *shard) append(l loaded) {
	series := s.series[l.from:l.to]
	if !slices.ContainsFunc(series, late) {
		s.loaded = append(s.loaded, l)
		return
	}
	at := l.from + slices.IndexFunc(series, late)
	rest := loaded{item: l.item, from: at, to: l.to, drops: l.drops, started: true, late: true}
	l.to, l.drops, l.more = at, outcome{}, true
	s.loaded = append(s.loaded, l, rest)
}

func late(x convert.Series) bool { return x.Late }

// inOrder moves markers that are older than the record to the front, and late
// samples to the end.
func inOrder(series []convert.Series, time int64) {
	place := func(x *convert.Series) int {
		switch {
		case x.Late:
			return 1
		case x.Stale && x.Time < time:
			return -1
		}
		return 0
	}
	if !slices.ContainsFunc(series, func(x convert.Series) bool { return place(&x) != 0 }) {
		return
	}
	slices.SortStableFunc(series, func(a, b convert.Series) int { return place(&a) - place(&b) })
}

// exemplars leaves those that are to be sent.
func (s *shard) exemplars(series []convert.Series) {
	m, limit := s.d.metrics, s.d.now().Add(maxAhead).UnixMilli()
	for i := range series {
		x := &series[i]
		switch {
		case len(x.Exemplars) == 0:
		case !s.d.config.SendExemplars:
			x.Exemplars = nil
		default:
			f := s.sent.filter(x, limit)
			x.Exemplars = f.fresh
			m.duplicates.Add(float64(f.repeats))
			m.exemplars.dropped.WithLabelValues(clockAhead.String()).Add(float64(f.ahead))
		}
	}
}

// settle closes the matter of b: it was delivered, or what was not is counted.
// An error means that the end came first; then nothing of it is acknowledged.
func (s *shard) settle(ctx, hard context.Context, b *batch) error {
	s.sender.packed.leave = s.noteSent(b)
	err := s.sender.send(ctx, hard, b)
	if errors.Is(err, errMisunderstood) || errors.Is(err, errNoNatives) {
		if b.fresh {
			s.reconvert(b)
			return nil
		}
		// Half of a record is with the receiver. What is left of it goes out as it
		// was converted.
		if errors.Is(err, errMisunderstood) {
			b.protocol, s.protocol = Protocol1, Protocol1
		}
		err = s.sender.send(ctx, hard, b)
	}
	if err != nil {
		return err
	}
	s.finish(b)
	return nil
}

// noteSent returns what writes down, before a request of b leaves, that the
// records in it may have arrived. Sending goes on where that cannot be written:
// what it costs is told in docs/remote-write.md.
func (s *shard) noteSent(b *batch) func() {
	if b.kind == ephemeral {
		return nil
	}
	n, last := s.n, b.last
	return func() {
		if err := s.d.cursor.Sent(n, last); err != nil {
			s.d.report.cursorFailed(err)
		}
	}
}

// finish writes down that b is settled.
func (s *shard) finish(b *batch) {
	s.d.ledger.settle(s.n, b.kind, &b.drops)
	s.d.noteUnsent(&b.drops)
	if seq, total := b.done(); seq > 0 && !s.d.debt.first.Load() && s.troubled.Load() == 0 {
		if err := s.acknowledge(seq, total); err != nil {
			// The next one that works covers this one too.
			s.d.report.cursorFailed(err)
		}
	}
	s.d.metrics.highestSent.raise(b.newest())
	s.d.paidBy(b)
	s.unsettled.Add(-b.ended())
	if len(s.loaded) == 0 || !s.loaded[0].started {
		s.unload()
	}
}

// acknowledge moves the position of the shard, which has settled everything up to
// seq, and notes what became of it.
func (s *shard) acknowledge(seq, total uint64) error {
	return s.d.cursor.Settle(s.n, seq, total, s.d.ledger.note(s.n))
}

// unload forgets everything that was converted. Records of which nothing was
// sent are converted again when their turn comes.
func (s *shard) unload() {
	var rest []item
	for i := range s.loaded {
		if !s.loaded[i].late { // comes with the record
			rest = append(rest, s.loaded[i].item)
		}
	}
	s.again = append(rest, s.again...)
	clear(s.series)
	clear(s.ended)
	s.series, s.ended, s.loaded = s.series[:0], s.ended[:0], s.loaded[:0]
	s.seen.clear()
	s.sent.forget()
	s.relabel.reset()
	for i := range s.formers {
		s.formers[i].relabel.reset()
	}
	s.conv.Reset()
}

// reconvert takes b apart, so that its records are converted again for 1.0, in
// batches of their own: they were tried once, and new ones were not.
func (s *shard) reconvert(b *batch) {
	s.sets++
	var tried []item
	for _, p := range b.parts {
		p.item.set = s.sets
		tried = append(tried, p.item)
	}
	if last := b.parts[len(b.parts)-1]; !last.whole {
		s.loaded = s.loaded[1:] // the rest of that one
	}
	s.unload()
	s.again = append(tried, s.again...)
}
