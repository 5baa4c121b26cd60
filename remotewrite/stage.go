package remotewrite

import (
	"slices"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

// stage makes of a record the series that a destination is sent, until reset. It
// belongs to the goroutine that runs the shard.
type stage struct {
	d       *Destination
	conv    convert.Converter
	relabel *relabeler
	faces   *faces
	formers []former
	seen    sampleSet
	sent    sentExemplars
	ended   []convert.Series
	marks   uint32
	unlike  int // series of which no two have the same labels reach to here
}

func newStage(d *Destination) stage {
	s := stage{d: d, relabel: newRelabeler(d.o.External, d.config.WriteRelabelConfigs, d.o.escaping())}
	s.faces = newFaces(&d.metrics.faces)
	for i := range d.o.Former {
		s.formers = append(s.formers, newFormer(&d.o.Former[i]))
	}
	return s
}

// convert appends to series, which ends where l begins, what is to be sent of its
// record, each sample once and in order.
func (s *stage) convert(series []convert.Series, l *loaded, p Protocol) []convert.Series {
	s.marks++
	l.item.mark = s.marks
	live := s.all(series, l, p)
	inOrder(live[l.from:], l.item.record.Time)
	n := len(live)
	live = s.seen.compact(live, l.from, n == s.unlike)
	l.drops[duplicateSeries] += uint64(n - len(live))
	for i := range live[l.from:] {
		live[l.from+i].Record = l.item.mark
	}
	s.exemplars(live[l.from:])
	return live
}

// all appends what l is sent as: series, final labels, stale markers, in this order,
// since markers are what ended and has no series any more (rule ST-2a).
func (s *stage) all(series []convert.Series, l *loaded, p Protocol) []convert.Series {
	if l.item.aside == endedAside {
		return s.endedOnly(series, l, p)
	}
	o := s.d.convertOptions(p)
	live := s.live(series, l, o)
	ended, skipped := s.conv.AppendEnded(s.ended[:0], l.item.record, o)
	s.ended = s.relabel.all(ended, &l.drops)
	l.skip(&skipped)
	n := len(live)
	live = s.conv.Markers(live, s.ended, live[l.from:])
	l.drops[markerNotNeeded] += uint64(len(s.ended) - (len(live) - n))
	if l.item.aside == stateAside {
		live = s.endFormer(live, l, p)
	}
	return live
}

// live appends the series of l's record with their final labels.
func (s *stage) live(series []convert.Series, l *loaded, o convert.Options) []convert.Series {
	r := l.item.record
	s.unlike = 0
	k, ok := keyOf(r, o)
	if !ok {
		live, skipped := s.conv.Append(series, r, o)
		l.skip(&skipped)
		return live[:l.from+len(s.relabel.all(live[l.from:], &l.drops))]
	}
	h := k.hash()
	f, learn := s.faces.find(&k, h)
	appendTo := s.conv.Append
	if f != nil {
		appendTo = s.conv.AppendBare
	}
	live, skipped := appendTo(series, r, o)
	l.skip(&skipped)
	switch {
	case learn:
		f = s.faces.learn(&k, h, live[l.from:], s.relabel)
	case f == nil:
		return live[:l.from+len(s.relabel.all(live[l.from:], &l.drops))]
	}
	live = f.dress(live, l.from, &l.drops)
	if f.unlike {
		s.unlike = len(live)
	}
	return live
}

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
	if indexSeries(series, func(x *convert.Series) bool { return place(x) != 0 }) < 0 {
		return
	}
	slices.SortStableFunc(series, func(a, b convert.Series) int { return place(&a) - place(&b) })
}

// exemplars leaves those that are to be sent.
func (s *stage) exemplars(series []convert.Series) {
	m := s.d.metrics
	for i := range series {
		x := &series[i]
		switch {
		case len(x.Exemplars) == 0:
		case !s.d.config.SendExemplars:
			x.Exemplars = nil
		default:
			f := s.sent.filter(x, s.d.now().Add(group.MaxAhead).UnixMilli())
			x.Exemplars = f.fresh
			m.duplicates.Add(float64(f.repeats))
			m.exemplars.dropped.WithLabelValues(clockAhead.String()).Add(float64(f.ahead))
		}
	}
}

// reset takes back what was converted.
func (s *stage) reset() {
	clear(s.ended)
	s.ended = s.ended[:0]
	s.seen.clear()
	s.sent.forget()
	s.relabel.reset()
	for i := range s.formers {
		s.formers[i].relabel.reset()
	}
	s.conv.Reset()
}
