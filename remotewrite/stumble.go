package remotewrite

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

// A receiver may stumble over a sample: it answers 500 to each request that holds
// it, for ever, and takes all others. An outage looks the same, but for the others.
// So a batch that got nothing but 500 is cut when others get through, and now and
// then to see whether its own parts do.
const (
	stumbleTries = 10          // answers of 500, and nothing else
	probeAfter   = time.Minute // of them, when nothing else is sent
)

// stumbleWatch counts what the tries of a request ended in.
type stumbleWatch struct {
	d     *Destination
	since time.Time
	tries int
	other bool // not all of them ended in 500
}

// failed notes a try. It returns whether the request is one to be cut.
func (s *stumbleWatch) failed(a answer, patience int) bool {
	now := s.d.now()
	if s.since.IsZero() {
		s.since = now
	}
	s.tries++
	s.other = s.other || a.status != 500
	if s.other || s.tries < patience {
		return false
	}
	return patience == 1 || s.d.report.succeededSince(s.since) || now.Sub(s.since) >= probeAfter
}

// failing is a part of a batch that got a 500.
type failing struct {
	series []convert.Series
	answer answer
}

// stumbled finds the series that the receiver stumbles over, and sets them aside.
// Where nothing gets through it is an outage: then it returns false, and the request is
// tried on as it is.
func (w *delivery) stumbled(ctx, hard context.Context, series []convert.Series, reserved int, a answer) (bool, error) {
	if w.patience == 1 {
		w.failing = append(w.failing, failing{series, a})
		return true, nil
	}
	budget := w.budget
	w.patience = 1
	found, err := w.isolate(ctx, hard, failing{series, a}, reserved)
	w.patience = stumbleTries
	if err != nil {
		return true, err
	}
	if !w.through {
		w.budget = budget
		return false, nil
	}
	for _, f := range found {
		if w.setAside(f) {
			continue
		}
		if err := w.settle(ctx, hard, f.series, reserved); err != nil {
			return true, err
		}
	}
	return true, nil
}

// isolate cuts f until what fails is one series each, or the budget is used up. It
// goes by series, not by position: the samples of a series stay together, in order. It
// looks at one half down to the end before the other, so that where nothing gets through
// few requests show it; then f stays whole.
func (w *delivery) isolate(ctx, hard context.Context, f failing, reserved int) ([]failing, error) {
	open, done := []failing{f}, []failing(nil)
	for len(open) > 0 {
		next := open[0]
		open = open[1:]
		halves := splitSeries(next.series)
		if halves == nil || w.budget-reserved < 2 {
			if !w.through {
				return []failing{f}, nil
			}
			done = append(done, next)
			continue
		}
		w.failing = nil
		for _, half := range halves {
			w.d.metrics.cuts.Inc()
			if err := w.settle(ctx, hard, half, reserved); err != nil {
				return nil, err
			}
		}
		w.through = w.through || len(w.failing) < len(halves)
		open = append(w.failing, open...)
	}
	return done, nil
}

// setAside takes f out of the way of what comes after it. It returns false if it has
// to wait here.
func (w *delivery) setAside(f failing) bool {
	if w.batch.kind.unstored() || w.d.troubled.known(f.series) {
		w.refuse(f.series, f.answer, serverError)
		return true
	}
	return w.d.troubled.put(w, f)
}

// splitSeries parts series in two by label set, and returns nil when there is only one.
func splitSeries(series []convert.Series) [][]convert.Series {
	place := make(map[uint64]int)
	for i := range series {
		if h := hashSeries(&series[i]); !has(place, h) {
			place[h] = len(place)
		}
	}
	if len(place) < 2 {
		return nil
	}
	halves := make([][]convert.Series, 2)
	for _, x := range series {
		n := 2 * place[hashSeries(&x)] / len(place)
		halves[n] = append(halves[n], x)
	}
	return halves
}

func has[K comparable, V any](m map[K]V, k K) bool { _, ok := m[k]; return ok }

// own is a copy of series that the converter does not use again, and that keeps nothing
// else of their records alive.
func own(series []convert.Series) []convert.Series {
	out := slices.Clone(series)
	for i := range out {
		x := &out[i]
		x.Labels, x.Exemplars = ownLabels(x.Labels), nil
		x.Family.Name, x.Family.Help, x.Family.Unit = strings.Clone(x.Family.Name), strings.Clone(x.Family.Help), strings.Clone(x.Family.Unit)
		if x.Hist != nil {
			x.Hist = x.Hist.Copy()
		}
		if x.FloatHist != nil {
			x.FloatHist = x.FloatHist.Copy()
		}
	}
	return out
}

func ownLabels(l []group.Label) []group.Label {
	out := slices.Clone(l)
	for i := range out {
		out[i].Name, out[i].Value = strings.Clone(l[i].Name), strings.Clone(l[i].Value)
	}
	return out
}

// ownParts is parts with what is told of their records, and nothing else of those.
func ownParts(parts []part) []part {
	for i := range parts {
		r := parts[i].item.record
		parts[i].item.record = &group.Record{Labels: ownLabels(r.Labels), Time: r.Time}
	}
	return parts
}
