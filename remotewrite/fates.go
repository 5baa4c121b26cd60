package remotewrite

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// fates remembers what became of the newest records of a destination, record by
// record, in bounded memory. Shards settle their records in the order of the log, so
// that a position and a time tell of all records of a batch; those of which not all was
// delivered stand beside it.
type fates struct {
	limit int // bytes, of each shard

	mu     sync.Mutex
	shards []shardFates
	gaps   []gapFate // oldest first
	ended  bool      // nobody settles anything any more
}

const (
	maxFateBytes = 1 << 20 // of a destination
	maxFateText  = 200     // of what a receiver said about one record
	maxGaps      = 64
)

// shardFates is what is known of the records of one shard: those behind from, as far as
// to. What is at or in front of from was settled, and nobody knows how.
type shardFates struct {
	from, to uint64
	done     []settledRun
	odd      []oddRecord // by sequence
	bytes    int
	waiters  []waiter // by sequence
}

// settledRun says when the records behind the run before it were settled.
type settledRun struct {
	to uint64
	at int64 // ms
}

const settledRunSize = 16

// oddRecord is a record of which not all was delivered, or not yet.
type oddRecord struct {
	seq   uint64
	sent  int // samples that should have been delivered
	aside int // parts that are tried by themselves
	lost  []loss
}

// loss is samples of a record that were not delivered.
type loss struct {
	place   uint8 // in an outcome
	suspect bool  // at most so many; perhaps they were of other records
	samples uint32
	text    string // of the receiver
}

func (o *oddRecord) size() int {
	n := 56 + 32*len(o.lost)
	for i := range o.lost {
		n += len(o.lost[i].text)
	}
	return n
}

// add adds samples that were lost in the same way.
func (o *oddRecord) add(l loss) {
	for i := range o.lost {
		if x := &o.lost[i]; x.place == l.place {
			x.samples += l.samples
			x.suspect = x.suspect || l.suspect
			x.text = cmp.Or(x.text, l.text)
			return
		}
	}
	o.lost = append(o.lost, l)
}

// gapFate is records that could never be read.
type gapFate struct {
	from, to uint64
	why      reason
	at       int64
}

// waiter is somebody who wants to hear when a record is settled.
type waiter struct {
	seq  uint64
	done chan struct{}
}

func newFates(shards []*shard) *fates {
	f := &fates{limit: maxFateBytes / max(len(shards), 1), shards: make([]shardFates, len(shards))}
	for i, s := range shards {
		f.shards[i].from, f.shards[i].to = s.acked, s.acked
	}
	return f
}

// settle notes what became of the records that end in b.
func (f *fates) settle(shard int, b *batch, now time.Time) {
	if b.kind.unstored() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &f.shards[shard]
	for i := range b.parts {
		p := &b.parts[i]
		if l := b.lost[p.item.mark]; l != nil || p.unsent != nil {
			s.note(p, l)
		}
	}
	if seq := b.settledTo(); seq > s.to {
		s.to = seq
		s.done = append(s.done, settledRun{seq, now.UnixMilli()})
		s.bytes += settledRunSize
	}
	s.forget(f.limit)
}

// settledTo returns the sequence of the last record that ends in b, 0 for none.
func (b *batch) settledTo() uint64 {
	for _, p := range slices.Backward(b.parts) {
		if p.whole {
			return p.item.seq
		}
	}
	return 0
}

// note takes down what was lost of the record of p.
func (s *shardFates) note(p *part, l *oddRecord) {
	o := s.oddAt(p.item.seq)
	s.bytes -= o.size()
	o.sent = p.item.samples - p.quiet
	if l != nil {
		o.aside += l.aside
		for _, x := range l.lost {
			o.add(x)
		}
	}
	if p.unsent != nil {
		for why := range allReasons {
			if n := p.unsent[why]; n > 0 {
				o.add(loss{place: uint8(why), samples: uint32(n)})
			}
		}
	}
	s.bytes += o.size()
}

// oddAt returns what is noted of a record, which is made if there is nothing.
func (s *shardFates) oddAt(seq uint64) *oddRecord {
	i, ok := s.findOdd(seq)
	if !ok {
		s.odd = slices.Insert(s.odd, i, oddRecord{seq: seq})
		s.bytes += s.odd[i].size()
	}
	return &s.odd[i]
}

func (s *shardFates) findOdd(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(s.odd, seq, func(o oddRecord, seq uint64) int { return cmp.Compare(o.seq, seq) })
}

// forget lets go of the oldest records until what is left is within limit. What is
// not known of one record any more is not told of any before it either.
func (s *shardFates) forget(limit int) {
	for s.bytes > limit && len(s.done) > 0 {
		s.from = s.done[0].to
		s.bytes -= settledRunSize
		s.done = s.done[1:]
		for len(s.odd) > 0 && s.odd[0].seq <= s.from {
			s.bytes -= s.odd[0].size()
			s.odd = s.odd[1:]
		}
	}
}

// pass notes that the shard has nothing to settle up to seq.
func (f *fates) pass(shard int, seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &f.shards[shard]
	s.to = max(s.to, seq)
	s.wake()
}

// tell tells those who wait for records of the shard that are settled.
func (f *fates) tell(shard int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shards[shard].wake()
}

func (s *shardFates) wake() {
	n := 0
	for n < len(s.waiters) && s.waiters[n].seq <= s.to {
		n++
	}
	left := slices.DeleteFunc(s.waiters[:n:n], func(w waiter) bool {
		if s.pendingAside(w.seq) {
			return false
		}
		close(w.done)
		return true
	})
	s.waiters = slices.Delete(s.waiters, len(left), n)
}

// pendingAside says whether a part of the record is tried by itself.
func (s *shardFates) pendingAside(seq uint64) bool {
	i, ok := s.findOdd(seq)
	return ok && s.odd[i].aside > 0
}

// aside notes what a trouble with the records of parts has cost, and for those that left
// does not have that it is over.
func (f *fates) aside(d *Destination, b *batch, parts, left []part) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range parts {
		p := &parts[i]
		s := &f.shards[d.shardOf(p.item.record.Labels.Job()).n]
		if p.item.seq <= s.from {
			continue // forgotten
		}
		o := oddRecord{}
		if l := b.lost[p.item.mark]; l != nil {
			o.lost = l.lost
		}
		if !slices.ContainsFunc(left, func(q part) bool { return q.item.mark == p.item.mark }) {
			o.aside = -1
		}
		s.note(p, &o)
		s.wake()
	}
	b.lost = nil
}

// gap notes records that can never be read.
func (f *fates) gap(from, to uint64, why reason, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gaps = append(f.gaps, gapFate{from, to, why, now.UnixMilli()})
	if len(f.gaps) > maxGaps {
		f.gaps = f.gaps[1:]
	}
}

// end tells all who wait that they wait in vain.
func (f *fates) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	for i := range f.shards {
		for _, w := range f.shards[i].waiters {
			close(w.done)
		}
		f.shards[i].waiters = nil
	}
}

// size returns the bytes of what is remembered.
func (f *fates) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.gaps) * 32
	for i := range f.shards {
		n += f.shards[i].bytes
	}
	return n
}

// lose notes samples of b that were not delivered, by the mark of their record.
func (b *batch) lose(place uint8, by map[uint32]suspect, text string) {
	if b.kind.unstored() {
		return
	}
	if len(text) > maxFateText {
		text = strings.ToValidUTF8(text[:maxFateText], "") + "…"
	}
	for mark, x := range by {
		b.lostOf(mark).add(loss{place: place, suspect: !x.exact, samples: uint32(x.samples), text: strings.Clone(text)})
	}
}

// setAside notes that a part of some records is tried by itself.
func (b *batch) setAside(parts []part) {
	for i := range parts {
		b.lostOf(parts[i].item.mark).aside++
	}
}

func (b *batch) lostOf(mark uint32) *oddRecord {
	if b.lost == nil {
		b.lost = make(map[uint32]*oddRecord)
	}
	if b.lost[mark] == nil {
		b.lost[mark] = &oddRecord{}
	}
	return b.lost[mark]
}
