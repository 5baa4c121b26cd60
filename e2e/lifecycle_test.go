package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// fastClock is a clock of the gateway that runs faster than time. It begins in
// the past and never gets ahead of time: receivers refuse what is.
type fastClock struct {
	file  string
	speed float64
	start time.Time // simulated
	now   time.Time // simulated
	real  time.Time // when now was set
	most  time.Time // now goes no further
	held  int       // how often it did not
}

func newFastClock(t *testing.T, simulated time.Duration, speed float64) *fastClock {
	t.Helper()
	begin := time.Now().Add(-simulated - time.Hour)
	c := &fastClock{
		file: filepath.Join(t.TempDir(), "offset"), speed: speed, start: begin, now: begin,
		real: time.Now(), most: begin.Add(3 * time.Minute),
	}
	c.set(t)
	return c
}

// set lets time pass, tells the gateway what time it is, and returns it.
func (c *fastClock) set(t *testing.T) time.Time {
	t.Helper()
	real := time.Now()
	next := c.now.Add(time.Duration(float64(real.Sub(c.real)) * c.speed))
	if next.After(c.most) {
		next = c.most
		c.held++
	}
	c.now, c.real = next, real
	if err := os.WriteFile(c.file+".new", []byte(time.Until(next).String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(c.file+".new", c.file); err != nil {
		t.Fatal(err)
	}
	return next
}

// jump lets time pass at once.
func (c *fastClock) jump(t *testing.T, d time.Duration) time.Time {
	t.Helper()
	c.now = c.now.Add(d)
	c.most = c.now.Add(3 * time.Minute)
	return c.set(t)
}

// hold keeps the clock within four minutes of the newest samples, where a
// refresh interval is three: the machine that runs the test may stand still for
// a second now and then, and this is no test of that.
func (c *fastClock) hold(t *testing.T, b backend, series string) {
	t.Helper()
	// The gateway's clock is a little ahead: it goes on between two settings.
	got, err := b.queryAt("min(timestamp("+series+"))", c.now.Add(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) == 0 {
		return
	}
	seconds, err := strconv.ParseFloat(strings.TrimPrefix(got[0], "{} "), 64)
	if err != nil {
		t.Fatal(err)
	}
	c.most = time.UnixMilli(int64(seconds * 1000)).Add(4 * time.Minute)
}

// simulated is how long the gateway lives in TestSeriesLiveAsLongAsTheirGroup:
// an hour, which takes 20 s, or what E2E_SIMULATE says: a day takes eight minutes.
func simulated(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("E2E_SIMULATE")
	if text == "" {
		return time.Hour
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("E2E_SIMULATE: %v", err)
	}
	return d
}

// TestSeriesLiveAsLongAsTheirGroup pushes once and then only looks, with a query
// that looks back five minutes, while the gateway's clock runs at 180 times its
// speed: one refresh is three minutes. A group is there as long as nobody ends
// it, and gone at the evaluation right after DELETE, after a PUT without it, and
// at the end of its TTL.
func TestSeriesLiveAsLongAsTheirGroup(t *testing.T) {
	const speed = 180
	length := simulated(t)
	clock := newFastClock(t, length, speed)
	b := newInProcess(t, bothProtocols, nil)
	g := startPushbridge(t, "--remote-write.url="+b.writeURL(), "--refresh.interval=1s", "--test.clock-offset-file="+clock.file)
	clock.set(t)
	g.put(t, "idle", "life_value 1\n")
	g.put(t, "replaced", "life_value 1\nlife_kept 1\n")
	g.put(t, "mortal?ttl="+strconv.Itoa(int(length.Minutes())/2)+"m", "life_value 1\n")
	dies := clock.now.Add(length / 2)
	waitAt(t, b, clock, `count(life_value)`, "{} 3")

	queries := 0
	limit := time.Now().Add(time.Duration(float64(3*length) / speed))
	for end := clock.now.Add(length); clock.now.Before(end); time.Sleep(20 * time.Millisecond) { // the pace of looking
		if time.Now().After(limit) {
			t.Fatalf("refreshes come too late: the clock was held back %d times", clock.held)
		}
		now := clock.set(t)
		want := []string{`life_value{job="idle"} 1`, `life_value{job="replaced"} 1`}
		// Expiry looks once a second, which is three minutes here.
		switch slack := 6 * time.Minute; {
		case now.Before(dies.Add(-slack)):
			want = []string{`life_value{job="idle"} 1`, `life_value{job="mortal"} 1`, `life_value{job="replaced"} 1`}
		case now.Before(dies.Add(slack)):
			clock.hold(t, b, "life_value")
			if end := dies.Add(slack); clock.most.After(end) {
				clock.most = end
			}
			continue
		}
		got, err := b.queryAt("life_value", now)
		if err != nil {
			t.Fatal(err)
		}
		queries++
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%v after the push: %q, want %q", now.Sub(clock.start).Round(time.Second), got, want)
		}
		clock.hold(t, b, "life_value")
	}
	t.Logf("%d queries over %v, always what it should be (clock held back %d times)", queries, length, clock.held)

	g.put(t, "replaced", "life_kept 2\n")
	waitAt(t, b, clock, `life_value`, `life_value{job="idle"} 1`)
	g.delete(t, "idle")
	waitAt(t, b, clock, `life_value`)
	waitAt(t, b, clock, `life_kept`, `life_kept{job="replaced"} 2`)
	onlyLastIsStale(t, b, "life_value")
}

// waitAt waits for the answer of a query, while the clock goes on by half a
// minute: the newest sample is four minutes old at most, so nothing fades by itself.
func waitAt(t *testing.T, b backend, clock *fastClock, expr string, want ...string) {
	t.Helper()
	clock.most = clock.now.Add(30 * time.Second)
	eventually(t, "query "+expr, func() error {
		got, err := b.queryAt(expr, clock.set(t))
		if err == nil && strings.Join(got, "\n") != strings.Join(want, "\n") {
			err = fmt.Errorf("got %q, want %q", got, want)
		}
		return err
	})
}

// onlyLastIsStale checks that each series was ended exactly once, at its end.
func onlyLastIsStale(t *testing.T, b *inProcess, name string) {
	t.Helper()
	for series, samples := range b.samples(t, named(name)) {
		for i, s := range samples {
			if s.Stale != (i == len(samples)-1) {
				t.Errorf("%s: sample %d of %d is stale: %t", strings.TrimSpace(series), i+1, len(samples), s.Stale)
			}
		}
	}
}

// TestFunctionsAsOverScrapedPushgateway pushes the same to a Pushgateway that is
// scraped and to pushbridge that writes to the same Prometheus, and compares what
// functions over time make of it.
func TestFunctionsAsOverScrapedPushgateway(t *testing.T) {
	theirs := startPushgateway(t)
	prometheus := startPrometheus(t, fmt.Sprintf(`
scrape_configs:
  - job_name: pushgateway
    honor_labels: true
    scrape_interval: 1s
    static_configs: [{ targets: [%q] }]
`, strings.TrimPrefix(theirs.url, "http://")))
	ours := startPushbridge(t, "--remote-write.url="+prometheus.writeURL(), "--refresh.interval=1s")
	for _, v := range []int{100, 160, 40} { // with a reset
		for from, g := range map[string]*gateway{"pushgateway": theirs, "pushbridge": ours} {
			g.put(t, "func/from/"+from, fmt.Sprintf("# TYPE func_total counter\nfunc_total %d\n", v))
		}
		waitQuery(t, prometheus, "func_total",
			fmt.Sprintf(`func_total{from="pushbridge",job="func"} %d`, v), fmt.Sprintf(`func_total{from="pushgateway",job="func"} %d`, v))
		// The next push comes when both were shown several times with this one.
		waitQuery(t, prometheus, fmt.Sprintf(`count_over_time((func_total == %d)[30s:1s]) >= bool 3`, v),
			`{from="pushbridge",job="func"} 1`, `{from="pushgateway",job="func"} 1`)
	}
	for _, expr := range []string{"resets(%s[1m])", "changes(%s[1m])", "max_over_time(%s[1m])", "min_over_time(%s[1m])", "absent(%s)", "last_over_time(%s[1m])"} {
		if o, p := valueOf(t, prometheus, expr, "pushbridge"), valueOf(t, prometheus, expr, "pushgateway"); o != p {
			t.Errorf("%s: %v over pushbridge, %v over a scraped Pushgateway", expr, o, p)
		}
	}
	for _, expr := range []string{"increase(%s[1m])", "rate(%s[1m])", "avg_over_time(%s[1m])"} {
		o, p := valueOf(t, prometheus, expr, "pushbridge"), valueOf(t, prometheus, expr, "pushgateway")
		t.Logf("%-26s %8.3f over pushbridge, %8.3f over a scraped Pushgateway", fmt.Sprintf(expr, "func_total"), o, p)
		if o < 0.75*p || o > 1.25*p {
			t.Errorf("%s: %v over pushbridge, %v over a scraped Pushgateway", expr, o, p)
		}
	}
	ours.delete(t, "func/from/pushbridge")
	theirs.delete(t, "func/from/pushgateway")
	waitQuery(t, prometheus, `func_total`)
}

// valueOf evaluates a function over the series of one gateway; 0 for nothing.
func valueOf(t *testing.T, b backend, expr, from string) float64 {
	t.Helper()
	got := query(t, b, fmt.Sprintf(expr, `func_total{from="`+from+`"}`))
	if len(got) == 0 {
		return 0
	}
	v, err := strconv.ParseFloat(got[0][strings.LastIndex(got[0], " ")+1:], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestEndsOnce ends series in every way there is, also while the destination is
// down, and looks for exactly one marker at each end.
func TestEndsOnce(t *testing.T) {
	address := reserve(t)
	late := newInProcess(t, bothProtocols, nil)
	b := newInProcess(t, bothProtocols, nil)
	g := startPushbridge(t, "--web.enable-admin-api", "--remote-write.url="+b.writeURL(), "--remote-write.url=http://"+address.addr+"/")
	const histogram = "# TYPE end_seconds histogram\nend_seconds_bucket{le=\"1\"} 1\nend_seconds_bucket{le=\"+Inf\"} 1\nend_seconds_sum 1\nend_seconds_count 1\n"
	g.put(t, "put", "end_value{way=\"put\"} 1\n")
	g.put(t, "put", "other 1\n")
	g.put(t, "post", "end_value{way=\"post\"} 1\n")
	g.post(t, "post", "end_value{way=\"post, kept\"} 1\n")
	g.put(t, "type", histogram)
	g.put(t, "type", "# TYPE end_seconds gauge\nend_seconds 1\n")
	g.put(t, "delete", "end_value{way=\"delete\"} 1\n"+strings.ReplaceAll(histogram, "end_seconds", "end_other_seconds"))
	g.delete(t, "delete")
	for range 5 { // within a millisecond or so
		g.put(t, "again", "end_again 1\n")
		g.delete(t, "again")
	}
	g.put(t, "wipe", "end_value{way=\"wipe\"} 1\n")
	must(t, http.MethodPut, g.url+"/api/v1/admin/wipe", "")

	address.serve(t, late.write)
	all := labels.MustNewMatcher(labels.MatchRegexp, "__name__", "end_.*|other|push_.*")
	for name, backend := range map[string]*inProcess{"up all the time": b, "down meanwhile": late} {
		t.Run(name, func(t *testing.T) {
			waitQuery(t, backend, `count({job=~".+"})`)
			eventually(t, "markers", func() error {
				series := backend.samples(t, all)
				if len(series) < 12 {
					return fmt.Errorf("only %d series", len(series))
				}
				for name, samples := range series {
					if err := endsWell(name, samples); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
}

// endsWell checks that a series has a marker at its end, and never two in a row.
func endsWell(series string, samples []sample) error {
	for i, s := range samples {
		if i > 0 && s.Stale && samples[i-1].Stale {
			return fmt.Errorf("%s has two markers in a row", series)
		}
	}
	if !samples[len(samples)-1].Stale {
		return fmt.Errorf("%s has not ended", series)
	}
	return nil
}
