package web

import (
	"context"
	"hash/maphash"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushbridge/pushbridge/group"
)

// History remembers an hour of what happened, for the page: how destinations fared,
// how much was pushed, and the latest pushes. All of it is in memory, and bounded.
type History struct {
	o HistoryOptions

	mu           sync.Mutex
	traffic      ring[trafficPoint]
	last         trafficPoint // as counted by the latest look
	destinations map[string]*destinationHistory

	pushes pushLog
}

// HistoryOptions are where a History looks.
type HistoryOptions struct {
	Destinations func() []Destination
	Refused      func() uint64 // requests refused since the start
	Registerer   prometheus.Registerer
	Now          func() time.Time
}

const (
	historyStep   = 10 * time.Second
	historyPoints = int(time.Hour / historyStep)
	historyMost   = 64 // destinations; more have no history
	eventsKept    = 30 // of one destination
	pushesKept    = 1 << 14
)

// trafficPoint is what came in one step.
type trafficPoint struct{ pushes, samples, refused uint64 }

// destinationPoint is how a destination fared in one step.
type destinationPoint struct {
	delivered, dropped uint64
	pending            uint64  // at its end
	lag                float32 // in seconds, at its end
	requests           uint32
	request            float32 // seconds of all of them together
}

// destinationHistory is the last hour of one destination.
type destinationHistory struct {
	points ring[destinationPoint]
	last   Destination // as of the latest look
	errors []event     // the oldest first
	states []event
	seen   bool // by the look that goes on
}

// event is something that happened to a destination, and how often in a row.
type event struct {
	Time, First time.Time
	Text        string
	Count       int
}

// NewHistory returns an empty history.
func NewHistory(o HistoryOptions) *History {
	h := &History{o: o, destinations: map[string]*destinationHistory{}}
	h.traffic.size = historyPoints
	h.pushes.seed, h.pushes.latest.size = maphash.MakeSeed(), pushesKept
	if o.Registerer != nil {
		o.Registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pushbridge_web_history_bytes",
			Help: "Estimated memory of the history that the page shows.",
		}, func() float64 { return float64(h.size()) }))
	}
	return h
}

// Run looks around until ctx ends.
func (h *History) Run(ctx context.Context) error {
	tick := time.NewTicker(historyStep)
	defer tick.Stop()
	for {
		h.look()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look takes down one step.
func (h *History) look() {
	now, current := h.o.Now(), h.o.Destinations()
	total := h.pushes.total()
	total.refused = h.o.Refused()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.traffic.add(trafficPoint{
		pushes: total.pushes - h.last.pushes, samples: total.samples - h.last.samples, refused: total.refused - h.last.refused,
	})
	h.last = total
	for i := range current {
		h.lookAt(&current[i], now)
	}
	for name, d := range h.destinations {
		if !d.seen {
			delete(h.destinations, name)
		}
		d.seen = false
	}
}

func (h *History) lookAt(d *Destination, now time.Time) {
	one := h.destinations[d.Name]
	if one == nil {
		if len(h.destinations) == historyMost {
			return
		}
		one = &destinationHistory{last: *d}
		one.points.size = historyPoints
		h.destinations[d.Name] = one
	}
	one.seen = true
	one.points.add(destinationPoint{
		delivered: since(d.Books.Delivered, one.last.Books.Delivered), dropped: since(d.dropped(), one.last.dropped()),
		pending: d.Books.Pending, lag: float32(d.Backlog.Seconds),
		requests: uint32(since(d.Requests.Count, one.last.Requests.Count)),
		request:  float32(max(0, d.Requests.Seconds-one.last.Requests.Seconds)),
	})
	if d.State != one.last.State || one.states == nil {
		one.states = note(one.states, event{Time: now, Text: d.State})
	}
	if !d.LastErrorTime.IsZero() && (!d.LastErrorTime.Equal(one.last.LastErrorTime) || one.errors == nil) {
		one.errors = note(one.errors, event{Time: d.LastErrorTime, Text: group.Brief(d.LastError)})
	}
	one.last = *d
}

// since is the growth of a counter, which begins anew when its destination does.
func since(now, before uint64) uint64 {
	if now < before {
		return 0
	}
	return now - before
}

// note adds an event, or counts it when it is the latest once more.
func note(events []event, e event) []event {
	if n := len(events); n > 0 && events[n-1].Text == e.Text {
		events[n-1].Time = e.Time
		events[n-1].Count++
		return events
	}
	e.First, e.Count = e.Time, 1
	events = append(events, e)
	return slices.Clip(events[max(0, len(events)-eventsKept):])
}

// trafficSeen returns the points of the last hour, the oldest first.
func (h *History) trafficSeen() []trafficPoint {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.traffic.all()
}

// of returns a copy of what is known of a destination.
func (h *History) of(name string) (points []destinationPoint, errors, states []event) {
	if h == nil {
		return nil, nil, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.destinations[name]
	if d == nil {
		return nil, nil, nil
	}
	return d.points.all(), slices.Clone(d.errors), slices.Clone(d.states)
}

// size is roughly what the history takes.
func (h *History) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	const point, trafficBytes, entry, fixed = 40, 24, 40, 1024
	n := pushesKept*entry + cap(h.traffic.points)*trafficBytes
	for _, d := range h.destinations {
		n += fixed + cap(d.points.points)*point
		for _, e := range slices.Concat(d.errors, d.states) {
			n += 72 + len(e.Text)
		}
	}
	return n
}

// ring keeps the latest of what is added.
type ring[T any] struct {
	size   int
	points []T
	next   int // where the next one goes once it is full
}

func (r *ring[T]) add(v T) {
	if len(r.points) < r.size {
		r.points = append(r.points, v)
		return
	}
	r.points[r.next] = v
	r.next = (r.next + 1) % r.size
}

// all returns the points, the oldest first.
func (r *ring[T]) all() []T { return slices.Concat(r.points[r.next:], r.points[:r.next]) }

// backwards goes over the points, the latest first.
func (r *ring[T]) backwards() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		n := len(r.points)
		for i := range n {
			if !yield(&r.points[(r.next-1-i+2*n)%n]) {
				return
			}
		}
	}
}
