package main_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func floatBits(v float64) uint64 { return math.Float64bits(v) }

// family is one metric family of a push and what it looks like in remote write:
// a value for each series, named as seriesName does.
type family struct {
	name   string
	text   string
	series map[string]float64
}

// gauges makes a family with one gauge for each label.
func gauges(key []string, name string, v float64, own ...string) family {
	f := family{name: name, text: "# TYPE " + name + " gauge\n", series: map[string]float64{}}
	f.series[f.line(key, name, own, v)] = v
	return f
}

// histogram makes a family with a classic histogram of the given bounds.
func histogram(key []string, name string, v float64, bounds ...string) family {
	f := family{name: name, text: "# TYPE " + name + " histogram\n", series: map[string]float64{}}
	for _, b := range append(bounds, "+Inf") {
		f.series[f.line(key, name+"_bucket", []string{"le", b}, v)] = v
	}
	f.series[f.line(key, name+"_sum", nil, v)] = v
	f.series[f.line(key, name+"_count", nil, v)] = v
	return f
}

// line adds a line of text and returns the series that it stands for.
func (f *family) line(key []string, name string, own []string, v float64) string {
	var b []string
	for i := 0; i < len(own); i += 2 {
		b = append(b, own[i]+"="+strconv.Quote(own[i+1]))
	}
	f.text += name + "{" + strings.Join(b, ",") + "} " + strconv.FormatFloat(v, 'g', -1, 64) + "\n"
	return mustSeries(name, key, own)
}

// mustSeries names the series of a metric with its grouping key and own labels.
func mustSeries(name string, key, own []string) string {
	set := map[string]string{"__name__": name}
	for i := 0; i < len(own); i += 2 {
		set[own[i]] = own[i+1]
	}
	for i := 0; i < len(key); i += 2 {
		set[key[i]] = key[i+1]
	}
	var pairs []string
	for _, n := range slices.Sorted(maps.Keys(set)) {
		pairs = append(pairs, n, set[n])
	}
	series, err := seriesName(pairs)
	if err != nil {
		panic("crash test: " + err.Error())
	}
	return series
}

// state is what one pusher's groups hold: families by group, then by name. An
// absent group is not in it; one with no families is.
type state map[int]map[string]family

// series returns all series of the state. The value of push_time_seconds is not
// known beforehand: it stands as 0.
func (s state) series(keys [][]string) map[string]float64 {
	all := map[string]float64{}
	for g, families := range s {
		all[mustSeries("push_time_seconds", keys[g], nil)] = 0
		for _, f := range families {
			maps.Copy(all, f.series)
		}
	}
	return all
}

// change is one request of a pusher.
type change struct {
	method   string
	group    int
	families []family
}

// apply returns the state after c.
func (s state) apply(c change) state {
	next := maps.Clone(s)
	switch c.method {
	case http.MethodDelete:
		delete(next, c.group)
	case http.MethodPut:
		next[c.group] = map[string]family{}
	case http.MethodPost:
		next[c.group] = maps.Clone(s[c.group])
		if next[c.group] == nil {
			next[c.group] = map[string]family{}
		}
	}
	for _, f := range c.families {
		next[c.group][f.name] = f
	}
	return next
}

// event is something that an acknowledged push makes arrive: a value of a
// series, or its stale marker.
type event struct {
	value float64
	stale bool
}

func (e event) String() string {
	if e.stale {
		return "end"
	}
	return strconv.FormatFloat(e.value, 'g', -1, 64)
}

// pusher changes two groups of its own. Both can hold the same series, so
// that its order across groups is tried as well; other pushers share its job.
type pusher struct {
	keys   [][]string // grouping keys: pairs of name and value
	paths  []string
	rng    *rand.Rand
	idle   bool    // pushes once, and leaves the rest to refresh
	n      float64 // the last value pushed, each only once
	now    state   // after the last acknowledged change
	maybe  []state // after changes that were not answered
	events map[string][]event
	acked  int
}

const (
	groupA = 0
	groupB = 1 // has the label part="b", which a metric of groupA can have as well
)

func newPusher(seed uint64, i int) *pusher {
	job, id := fmt.Sprintf("crash%d", i%3), strconv.Itoa(i)
	return &pusher{
		keys:   [][]string{{"job", job, "pusher", id}, {"job", job, "part", "b", "pusher", id}},
		paths:  []string{"/metrics/job/" + job + "/pusher/" + id, "/metrics/job/" + job + "/pusher/" + id + "/part/b"},
		rng:    rand.New(rand.NewPCG(seed, uint64(i)+100)),
		now:    state{},
		events: map[string][]event{},
	}
}

// next makes up a change that is allowed in the present state.
func (p *pusher) next() change {
	p.n++
	a := p.keys[groupA]
	_, movingInA := p.now[groupA]["crash_moving"]
	_, movingInB := p.now[groupB]["crash_moving"]
	switch dice := p.rng.IntN(100); {
	case dice < 40: // a label that comes and goes, bounds that change
		step := strconv.Itoa(p.rng.IntN(4))
		bounds := []string{"0.5", "2.5", "7.5"}[:1+p.rng.IntN(3)]
		return change{http.MethodPut, groupA, []family{
			gauges(a, "crash_value", p.n), gauges(a, "crash_step", p.n, "step", step),
			histogram(a, "crash_seconds", p.n, bounds...),
		}}
	case dice < 55:
		return change{http.MethodPost, groupA, []family{gauges(a, "crash_extra", p.n)}}
	case dice < 70 && !movingInB:
		return change{http.MethodPost, groupA, []family{gauges(a, "crash_moving", p.n, "part", "b")}}
	case dice < 85 && !movingInA:
		return change{http.MethodPut, groupB, []family{gauges(p.keys[groupB], "crash_moving", p.n)}}
	case dice < 88:
		return change{http.MethodPut, groupA, nil}
	case dice < 94:
		return change{http.MethodDelete, groupB, nil}
	}
	return change{http.MethodDelete, groupA, nil}
}

// run pushes until the server no longer answers, and returns an error when it
// answered anything but success.
func (p *pusher) run(ctx context.Context, client *http.Client, url string) error {
	for !p.idle || len(p.now) == 0 {
		c := p.next()
		after := p.now.apply(c)
		p.maybe = append(p.maybe, after)
		code, err := p.send(ctx, client, url, c)
		if err != nil {
			return nil //nolint:nilerr // the server is gone, as planned: whether the push was taken is asked later
		}
		if code/100 != 2 {
			return fmt.Errorf("%s %s was answered %d", c.method, p.paths[c.group], code)
		}
		p.acked++
		p.settle(after)
	}
	return nil
}

func (p *pusher) send(ctx context.Context, client *http.Client, url string, c change) (int, error) {
	var body strings.Builder
	for _, f := range c.families {
		body.WriteString(f.text)
	}
	return answerTo(ctx, client, c.method, url+p.paths[c.group], body.String())
}

// answerTo sends a request and returns the status of the answer.
func answerTo(ctx context.Context, client *http.Client, method, url, body string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// settle makes next the known state and notes what must arrive for it.
func (p *pusher) settle(next state) {
	before, after := p.now.series(p.keys), next.series(p.keys)
	for s, v := range after {
		if old, ok := before[s]; (!ok || old != v) && !strings.HasPrefix(s, "push_time_seconds") {
			p.events[s] = append(p.events[s], event{value: v})
		}
	}
	for s := range before {
		if _, ok := after[s]; !ok {
			p.events[s] = append(p.events[s], event{stale: true})
		}
	}
	p.now, p.maybe = next, nil
}

// observe compares what /metrics shows after a restart with what it may show:
// the last acknowledged state, or what a push without an answer made of it.
func (p *pusher) observe(t *testing.T, shown map[string]float64) {
	t.Helper()
	for _, s := range append(p.maybe, p.now) {
		if maps.Equal(shown, s.series(p.keys)) {
			p.now, p.maybe = s, nil
			return
		}
	}
	t.Fatalf("pusher %s: /metrics shows after the restart\n%v\nacknowledged was\n%v\nnot answered were %d pushes",
		p.keys[0][3], shown, p.now.series(p.keys), len(p.maybe))
}

// missing says what has not arrived yet: each event that was acknowledged, in
// the order of the acknowledgements, and the end that each series has reached.
func (p *pusher) missing(r *strictReceiver) error {
	for s, events := range p.events {
		if n := arrivedInOrder(r.points(s), events); n < len(events) {
			return fmt.Errorf("%s: event %d of %d has not arrived\nacknowledged: %v\narrived:      %v", s, n+1, len(events), events, r.points(s))
		}
	}
	alive := p.now.series(p.keys)
	for s, v := range alive {
		pts := r.points(s)
		if len(pts) == 0 || pts[len(pts)-1].stale() {
			return fmt.Errorf("%s lives, and is not seen or ended at the receiver", s)
		}
		if last := pts[len(pts)-1]; v != 0 && last.bits != floatBits(v) {
			return fmt.Errorf("%s: last value at the receiver is %v, want %v", s, math.Float64frombits(last.bits), v)
		}
	}
	return nil
}

// arrivedInOrder returns how many of the events are found among the points, in order.
func arrivedInOrder(points []point, events []event) int {
	n := 0
	for _, p := range points {
		if n < len(events) && (events[n].stale && p.stale() || !events[n].stale && p.bits == floatBits(events[n].value)) {
			n++
		}
	}
	return n
}
