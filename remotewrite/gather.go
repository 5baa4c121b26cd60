package remotewrite

import (
	"context"
	"slices"
	"time"

	"github.com/pushbridge/pushbridge/convert"
)

// maxBatchBytes bounds a request before compression. Prometheus and
// VictoriaMetrics refuse more than 32 MiB (rule R-7).
const maxBatchBytes = 3 << 20

// gatherer makes batches of what waits for a shard. It belongs to the goroutine that
// runs the shard.
type gatherer struct {
	d     *Destination
	shard int
	in    *inbox
	again []item // to be converted anew, before what is in the inbox
	sets  uint32
	left  time.Time // when the last batch was made
	parts int       // that it had

	// What was converted and is not settled yet. It all goes at once: see unload.
	protocol Protocol
	stage    stage
	series   []convert.Series
	loaded   []loaded
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

// next makes the next batch. It waits for the first record, and for more only while
// the batch before left a moment ago: see soon. Nil means that there will be none.
func (g *gatherer) next(ctx context.Context) *batch {
	if len(g.loaded) == 0 {
		it, ok := g.wait(ctx)
		if !ok {
			return nil
		}
		g.protocol = g.d.line.negotiation.choose(g.d.now())
		g.load(it)
	}
	first := g.loaded[0].item
	b := &batch{shard: g.shard, kind: first.kind, into: g.d.ledger.at(g.shard), protocol: g.protocol, parts: make([]part, 0, g.parts)}
	f := filling{max: g.d.config.Queue.MaxSamplesPerSend}
	soon, cancel := g.soon(ctx)
	defer cancel()
	for g.fill(b, &f) {
		it, ok := g.peek()
		if !ok && !b.kind.doubtful() && f.samples < f.max {
			it, ok = g.in.wait(soon)
		}
		if !ok || !mixes(first, it) || f.samples+it.samples > f.max {
			break
		}
		g.drop()
		g.load(it)
	}
	g.left, g.parts = time.Now(), len(b.parts)
	b.series = g.series[b.from:b.to]
	return b
}

// soon ends when a batch that is not full leaves: so long after the last one that a
// line which was idle sends at once, and a busy one sends few requests that are
// worth it.
func (g *gatherer) soon(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, g.left.Add(time.Duration(g.d.config.Queue.BatchSendDeadline)))
}

// mixes says whether two records may share a request. Those of two refreshes may not, so that
// the position of what is on its way says which of them it is.
func mixes(a, b item) bool {
	return a.kind == b.kind && a.set == b.set && !a.kind.doubtful() && (!a.kind.unstored() || a.seq == b.seq)
}

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
func (g *gatherer) fill(b *batch, f *filling) bool {
	for len(g.loaded) > 0 {
		r := &g.loaded[0]
		if r.late && len(b.parts) > 0 {
			return false // alone: a receiver that refuses it refuses all beside it
		}
		before, at := *f, r.from
		for at < r.to && f.takes(&g.series[at]) {
			at++
		}
		if at < r.to {
			if len(b.parts) > 0 {
				*f = before
				return false
			}
			at = splitAt(g.series, r.from, at)
		}
		b.add(r, at)
		if r.from < r.to {
			return false
		}
		g.shift()
		if b.late {
			return false
		}
	}
	return true
}

// shift forgets the first of what is loaded, which is little.
func (g *gatherer) shift() { g.loaded = slices.Delete(g.loaded, 0, 1) }

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
	p := part{item: r.item, whole: whole}
	if whole {
		b.drops.Add(&r.drops)
		p.dropped(&r.drops)
	}
	b.parts = append(b.parts, p)
	b.last = max(b.last, r.item.seq)
}

// dropped notes what of the record never made it into series.
func (p *part) dropped(drops *outcome) {
	n := int(drops.Sum())
	if n == 0 || p.item.kind.unstored() {
		return
	}
	p.quiet = 0
	for why := range allReasons {
		if why.quiet() {
			p.quiet += int(drops[why])
		}
	}
	if p.quiet < n || n == p.item.samples {
		all := *drops
		p.quiet, p.unsent = 0, &all
	}
}

// wait returns the next record, and takes it.
func (g *gatherer) wait(ctx context.Context) (item, bool) {
	it, ok := g.peek()
	if !ok {
		if it, ok = g.in.wait(ctx); !ok {
			return it, false
		}
	}
	g.drop()
	return it, true
}

// peek returns the next record without waiting.
func (g *gatherer) peek() (item, bool) {
	if len(g.again) > 0 {
		return g.again[0], true
	}
	it, ok, _ := g.in.peek()
	return it, ok
}

// drop takes what peek returned.
func (g *gatherer) drop() {
	if len(g.again) > 0 {
		g.again = g.again[1:]
		return
	}
	g.in.take()
}

// load converts a record.
func (g *gatherer) load(it item) {
	l := loaded{item: it, from: len(g.series)}
	g.series = g.stage.convert(g.series, &l, g.protocol)
	l.to = len(g.series)
	if g.protocol == Protocol1 {
		g.d.metadata.note(g.series[l.from:])
	}
	g.append(l)
}

// append adds a converted record. Samples that are not newer than their series,
// which stand at its end, form a part of their own.
func (g *gatherer) append(l loaded) {
	series := g.series[l.from:l.to]
	first := indexSeries(series, late)
	if first < 0 {
		g.loaded = append(g.loaded, l)
		return
	}
	at := l.from + first
	rest := loaded{item: l.item, from: at, to: l.to, drops: l.drops, started: true, late: true}
	l.to, l.drops, l.more = at, outcome{}, true
	g.loaded = append(g.loaded, l, rest)
}

func late(x *convert.Series) bool { return x.Late }

// settled notes that the batch before is: what was converted for it can go, unless the
// rest of its last record still needs it.
func (g *gatherer) settled() {
	if len(g.loaded) == 0 || !g.loaded[0].started {
		g.unload()
	}
}

// unload forgets everything that was converted. Records of which nothing was
// sent are converted again when their turn comes.
func (g *gatherer) unload() {
	var rest []item
	for i := range g.loaded {
		if !g.loaded[i].late { // comes with the record
			rest = append(rest, g.loaded[i].item)
		}
	}
	g.again = append(rest, g.again...)
	clear(g.series)
	g.series, g.loaded = g.series[:0], g.loaded[:0]
	g.stage.reset()
}

// reconvert takes b apart, so that its records are converted again for 1.0, in
// batches of their own: they were tried once, and new ones were not.
func (g *gatherer) reconvert(b *batch) {
	g.sets++
	var tried []item
	for _, p := range b.parts {
		p.item.set = g.sets
		tried = append(tried, p.item)
	}
	if last := b.parts[len(b.parts)-1]; !last.whole {
		g.shift() // the rest of that one
	}
	g.unload()
	g.again = append(tried, g.again...)
}
