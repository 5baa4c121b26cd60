package remotewrite

import (
	"context"
	"sync"
	"time"

	"github.com/pushbridge/pushbridge/convert"
)

// troubled holds the samples that the receiver stumbles over and tries them by
// themselves, so that the shard they came from goes on. What does not get through is
// given up in the end, and for a while so is at once what comes of the same series.
type troubled struct {
	d      *Destination
	sender sender
	more   chan struct{}

	mu    sync.Mutex // guards what follows
	held  []*trouble
	count int                  // samples in held
	lost  map[uint64]time.Time // series that were given up: until when that is known
}

// trouble is one part of a batch.
type trouble struct {
	batch  batch
	series []convert.Series
	since  time.Time
	next   time.Time
}

const (
	maxTroubled   = 1000             // samples
	troubledRetry = 30 * time.Second // between tries
	troubledFor   = 10 * time.Minute // then they are given up
	lostFor       = time.Hour        // so long they are known
	maxLost       = 10000            // series
)

func newTroubled(d *Destination) *troubled {
	return &troubled{
		d:      d,
		sender: sender{d: d, shard: troubledShard, back: newBackoff(&d.config.Queue), exemplars: &sentExemplars{}},
		more:   make(chan struct{}, 1),
		lost:   make(map[uint64]time.Time),
	}
}

// known says whether all of series were given up a short time ago.
func (t *troubled) known(series []convert.Series) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.d.now()
	for i := range series {
		if !now.Before(t.lost[hashSeries(&series[i])]) {
			return false
		}
	}
	return true
}

// any says whether any of series is held, or was given up a short time ago: a
// request with it need not be tried for long.
func (t *troubled) any(series []convert.Series) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.held) == 0 && len(t.lost) == 0 {
		return false
	}
	held := make(map[uint64]bool)
	for _, x := range t.held {
		for i := range x.series {
			held[hashSeries(&x.series[i])] = true
		}
	}
	now := t.d.now()
	for i := range series {
		if h := hashSeries(&series[i]); held[h] || now.Before(t.lost[h]) {
			return true
		}
	}
	return false
}

// put takes f over, unless too much is held. Until it is settled its shard
// acknowledges nothing from there on.
func (t *troubled) put(w *delivery, f failing) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count+len(f.series) > maxTroubled {
		return false
	}
	now := t.d.now()
	x := &trouble{batch: *w.batch, series: own(f.series), since: now, next: now.Add(troubledRetry)}
	x.batch.series, x.batch.parts = x.series, ownParts(w.batch.partsOf(f.series))
	x.batch.lost, x.batch.letters = nil, nil
	w.batch.setAside(x.batch.parts)
	t.d.ledger.setAside(x.batch.into)
	t.held = append(t.held, x)
	t.count += len(x.series)
	t.d.metrics.stuck.Inc()
	t.d.log.Error("samples get nothing but server errors while others succeed; they are tried by themselves for ten minutes",
		"group", w.batch.groupOf(&x.series[0]).String(), "example", seriesName(x.series[0].Labels), "samples", len(x.series),
		"status", f.answer.status, "answer", f.answer.text)
	signal(t.more)
	return true
}

// run tries what is held until ctx ends. What is left then was not acknowledged.
func (t *troubled) run(ctx context.Context) {
	for {
		x := t.first()
		if x == nil {
			select {
			case <-t.more:
				continue
			case <-ctx.Done():
				return
			}
		}
		if !sleep(ctx, x.next.Sub(t.d.now())) || t.try(ctx, x) != nil {
			return
		}
	}
}

func (t *troubled) first() *trouble {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.held) == 0 {
		return nil
	}
	return t.held[0]
}

// try sends x, the first one, once. An error means that the end came first.
func (t *troubled) try(ctx context.Context, x *trouble) error {
	w := &delivery{
		sender: &t.sender, settlement: settlement{d: t.d, batch: &x.batch, ambiguous: true}, budget: cutBudget, patience: 1,
	}
	if err := w.settle(ctx, ctx, x.series, 0); err != nil {
		return err
	}
	now := t.d.now()
	if len(w.failing) > 0 && now.Sub(x.since) < troubledFor {
		w.sum()
		t.d.keepLetters(&x.batch)
		t.putBack(x, w.failing, now)
		return nil
	}
	for _, f := range w.failing {
		w.refuse(f.series, f.answer, serverError)
	}
	w.sum()
	t.d.keepLetters(&x.batch)
	t.remove(x, w.failing, now)
	return nil
}

// putBack moves the first one to the end, with what is left of it: when it was refused
// and cut, some of it is accounted for.
func (t *troubled) putBack(x *trouble, left []failing, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count -= len(x.series)
	x.series = nil
	for _, f := range left {
		x.series = append(x.series, f.series...)
	}
	t.count += len(x.series)
	parts := x.batch.parts
	x.batch.series, x.batch.parts = x.series, x.batch.partsOf(x.series)
	t.d.fates.aside(t.d, &x.batch, parts, x.batch.parts)
	x.next = now.Add(troubledRetry)
	t.held = append(t.held[1:], x)
}

// remove takes away the first one, which is accounted for, and remembers what was
// given up of it.
func (t *troubled) remove(x *trouble, failed []failing, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = t.held[1:]
	t.count -= len(x.series)
	if len(t.lost) >= maxLost {
		clear(t.lost)
	}
	for _, f := range failed {
		for i := range f.series {
			t.lost[hashSeries(&f.series[i])] = now.Add(lostFor)
		}
	}
	t.d.metrics.stuck.Dec()
	t.d.ledger.takeBack(x.batch.into)
	t.d.fates.aside(t.d, &x.batch, x.batch.parts, nil)
}
