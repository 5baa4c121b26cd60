package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// outage stands before a receiver: it answers 503 while it lasts, and counts what
// the receiver refuses.
type outage struct {
	next    http.Handler
	on      atomic.Bool
	refused atomic.Int64
}

func (o *outage) before(next http.Handler) http.Handler {
	o.next = next
	return o
}

func (o *outage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if o.on.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	o.next.ServeHTTP(&outageAnswer{w, o}, r)
}

type outageAnswer struct {
	http.ResponseWriter
	of *outage
}

func (a *outageAnswer) WriteHeader(code int) {
	if code/100 != 2 {
		a.of.refused.Add(1)
	}
	a.ResponseWriter.WriteHeader(code)
}

// flooded configures two destinations so that the flood fills their memory, and
// reaches neither.
const flooded = `    queue_config: { max_shards: 1, max_backoff: 100ms }
    write_relabel_configs: [{ source_labels: [job], regex: flood, action: drop }]
`

// TestBackfill takes a destination away for 24 minutes, in which one group is
// left alone, one is pushed to and one is deleted, while so much else is pushed
// that refreshes fall out of memory. With --refresh.backfill, queries at times in the
// outage find every group for as long as its state is known; without it they find
// nothing that was not pushed within the five minutes that they look back.
func TestBackfill(t *testing.T) {
	for _, flag := range []string{"--refresh.backfill", "--no-refresh.backfill"} {
		t.Run(flag, func(t *testing.T) {
			fill := flag == "--refresh.backfill"
			down, clock := &outage{}, newFastClock(t, 30*time.Minute, 1)
			b := newInProcess(t, bothProtocols, down.before)
			healthy := newInProcess(t, bothProtocols, nil)
			g := startPushbridge(t, "--refresh.interval=1s", flag, "--test.clock-offset-file="+clock.file,
				"--config.file="+remoteWrite(t, b, "    name: away\n"+flooded+"  - url: "+healthy.writeURL()+"\n    name: healthy\n"+flooded))
			for _, job := range []string{"alone", "pushed", "deleted"} {
				g.put(t, job, "fill_value 1\n")
			}
			waitAt(t, b, clock, "count(fill_value)", "{} 3")

			down.on.Store(true)
			flood(t, g, healthy, clock)
			began := clock.set(t)
			changed := clock.jump(t, 12*time.Minute)
			g.put(t, "pushed", "fill_value 2\n")
			g.delete(t, "deleted")
			back := clock.jump(t, 12*time.Minute)
			down.on.Store(false)
			waitAt(t, b, clock, "fill_value", `fill_value{job="alone"} 1`, `fill_value{job="pushed"} 2`)
			checkOutage(t, b, fill, began, changed, back)

			g.delete(t, "alone")
			g.delete(t, "pushed")
			waitAt(t, b, clock, "fill_value")
			onlyLastIsStale(t, b, "fill_value")
			if n := down.refused.Load(); n > 0 {
				t.Errorf("the destination refused %d requests", n)
			}
			if g.metric(t, "pushbridge_remotewrite_refresh_samples_total", "destination", "away", "outcome", "skipped") == 0 {
				t.Error("no refresh fell out of memory: there was no hole to fill")
			}
		})
	}
}

// flood fills the memory that refreshes wait in for a destination that is away,
// so that at least one of them falls out. Each push has a series of its own: the
// same series again take little but their values.
func flood(t *testing.T, g *gateway, healthy *inProcess, clock *fastClock) {
	t.Helper()
	clock.jump(t, 0) // what follows may take a while
	var body strings.Builder
	for n := range 50_000 {
		fmt.Fprintf(&body, "flood_value{n=\"%d\"} 1\n", n)
	}
	push := func(turn string) { g.put(t, "flood", fmt.Sprintf("flood_value{turn=%q} 1\n%s", turn, &body)) }
	g.put(t, "pushed", "fill_value 1\n") // in a request that does not get through
	for n := range 3 {                   // more than has room behind it
		push(fmt.Sprint("first ", n))
	}
	full := clock.set(t).UnixMilli()
	eventually(t, "a refresh that has no room", func() error {
		samples := healthy.samples(t, named("fill_value"))[`fill_value{job="alone"} `]
		if len(samples) == 0 || samples[len(samples)-1].Time <= full {
			return errors.New("not yet")
		}
		return nil
	})
	for n := range 25 {
		push(fmt.Sprint("second ", n))
	}
}

// either is the value when a query may find something and may find nothing.
const either = "either"

// foundOf is what a query finds of a value that was sent last at some time:
// nothing once it is older than five minutes, give or take what the test takes.
func foundOf(value string, last, at time.Time) string {
	const lookback, slack = 5 * time.Minute, time.Minute
	switch age := at.Sub(last); {
	case age < lookback-slack:
		return value
	case age > lookback+slack:
		return ""
	}
	return either
}

// checkOutage asks for every half minute of an outage what there was then.
func checkOutage(t *testing.T, b backend, fill bool, began, changed, back time.Time) {
	t.Helper()
	for at := began; at.Before(back); at = at.Add(30 * time.Second) {
		want := map[string]string{"alone": foundOf("1", began, at), "pushed": foundOf("1", began, at), "deleted": foundOf("1", began, at)}
		switch since := at.Sub(changed); {
		case since.Abs() < time.Minute:
			continue
		case since > 0:
			want = map[string]string{"alone": foundOf(either, changed, at), "pushed": foundOf("2", changed, at), "deleted": ""}
			if fill {
				want["pushed"] = "2"
			}
		}
		if fill {
			want["alone"] = "1"
		}
		got, err := b.queryAt("fill_value", at)
		if err != nil {
			t.Fatal(err)
		}
		for job, value := range want {
			if found := valueIn(got, fmt.Sprintf("fill_value{job=%q} ", job)); value != either && found != value {
				t.Errorf("%s %v into the outage: found %q, want %q", job, at.Sub(began), found, value)
			}
		}
	}
}

// valueIn returns the value of a series in the answer of a query.
func valueIn(answer []string, series string) string {
	for _, l := range answer {
		if value, ok := strings.CutPrefix(l, series); ok {
			return value
		}
	}
	return ""
}
