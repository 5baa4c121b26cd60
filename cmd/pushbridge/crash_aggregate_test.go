package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const aggregateRule = `pushbridge:
  rules:
    - match: '{job="sum"}'
      aggregate: {drop: [pod], gauges: sum}
`

// TestCrash_Aggregate kills the server with kill -9 while pods push to one sum. Each
// repeats a push until it is answered, in whichever life of the server, and now and then
// one that was answered long ago. In the end the sums are exact, in the view and at the
// receiver.
func TestCrash_Aggregate(t *testing.T) {
	c := &aggregateCrash{
		binary: serverBinary(t), dir: t.TempDir(), receiver: newStrictReceiver(*crashSeed, false), rng: rand.New(rand.NewPCG(*crashSeed, 4)),
	}
	srv := httptest.NewServer(c.receiver)
	defer srv.Close()
	defer srv.CloseClientConnections()
	c.target, c.config = srv.URL, filepath.Join(c.dir, "pushbridge.yml")
	if err := os.WriteFile(c.config, []byte(aggregateRule), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		c.pods = append(c.pods, &pod{number: i, rng: rand.New(rand.NewPCG(*crashSeed, uint64(i)+200)), sums: map[string]float64{}})
	}
	c.receiver.trouble(0.05, 0.05)
	kills, early := lives(t, c, c.rng, 150*time.Millisecond, *crashTime/4)
	pushes, repeated := c.settle(t)
	t.Logf("%d kills (%d before ready): %d pushes, %d repeated when they had been answered; the sums are exact", kills, early, pushes, repeated)
}

// aggregateCrash is one run.
type aggregateCrash struct {
	binary, dir, config string
	target              string
	receiver            *strictReceiver
	pods                []*pod
	rng                 *rand.Rand
}

// pod pushes to the sum.
type pod struct {
	number   int
	rng      *rand.Rand
	n        int
	open     *podPush           // not answered yet
	done     []*podPush         // answered
	sums     map[string]float64 // of what was answered, by series
	repeated int
}

type podPush struct {
	id, body string
	adds     map[string]float64
}

// next makes up a push: a counter of which series come and go, a gauge and a histogram.
func (p *pod) next() *podPush {
	p.n++
	v := float64(1 + p.rng.IntN(9))
	part := p.rng.IntN(20)
	counter := fmt.Sprintf("crash_total{part=\"%d\"}", part)
	x := &podPush{id: fmt.Sprintf("push %d", p.n), adds: map[string]float64{
		counter: v, "crash_open": 1,
		`crash_seconds_bucket{le="0.5"}`: v, `crash_seconds_bucket{le="+Inf"}`: v + 1, "crash_seconds_sum": 10 * v, "crash_seconds_count": v + 1,
	}}
	x.body = fmt.Sprintf("# TYPE crash_total counter\n%s %g\n# TYPE crash_open gauge\ncrash_open 1\n# TYPE crash_seconds histogram\n"+
		"crash_seconds_bucket{le=\"0.5\"} %g\ncrash_seconds_bucket{le=\"+Inf\"} %g\ncrash_seconds_sum %g\ncrash_seconds_count %g\n", counter, v, v, v+1, 10*v, v+1)
	return x
}

// run pushes until the server is gone, or, if last says so, until nothing is open.
func (p *pod) run(ctx context.Context, client *http.Client, url string, last bool) error {
	for {
		if p.open == nil {
			if last {
				return nil
			}
			p.open = p.next()
		}
		code, err := p.send(ctx, client, url, p.open)
		if err != nil {
			return nil //nolint:nilerr // the server is gone, as planned: the push is repeated in its next life
		}
		if code == http.StatusServiceUnavailable {
			continue
		}
		if code != http.StatusOK {
			return fmt.Errorf("pod %d: answered %d", p.number, code)
		}
		for series, v := range p.open.adds {
			p.sums[series] += v
		}
		p.done, p.open = append(p.done, p.open), nil
		if p.rng.IntN(4) > 0 {
			continue
		}
		if code, err = p.send(ctx, client, url, p.done[p.rng.IntN(len(p.done))]); err == nil && code == http.StatusOK {
			p.repeated++
		}
	}
}

func (p *pod) send(ctx context.Context, client *http.Client, url string, x *podPush) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s/metrics/job/sum/pod/%d", url, p.number), strings.NewReader(x.body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Idempotency-Key", x.id) // the pods use the same ones
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func (c *aggregateCrash) start(t *testing.T) *server {
	t.Helper()
	return startServer(t, c.binary, c.dir, "--config.file="+c.config, "--storage.path="+filepath.Join(c.dir, "data"), "--remote-write.url="+c.target, "--log.level=warn")
}

func (c *aggregateCrash) push(t *testing.T, url string, s *server) {
	c.pushAll(t, url, s, false)
	<-s.done
}

func (c *aggregateCrash) pushAll(t *testing.T, url string, s *server, last bool) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: len(c.pods)}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	errs := make([]error, len(c.pods))
	var wg sync.WaitGroup
	for i, p := range c.pods {
		wg.Go(func() { errs[i] = p.run(t.Context(), client, url, last) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("%v\nserver: %s", err, s.tail())
	}
}

// sums returns what was answered, and what may be in the sums or not.
func (c *aggregateCrash) sums() (answered, open map[string]float64) {
	answered, open = map[string]float64{}, map[string]float64{}
	for _, p := range c.pods {
		for series, v := range p.sums {
			answered[series] += v
		}
		if p.open != nil {
			for series, v := range p.open.adds {
				open[series] += v
			}
		}
	}
	return answered, open
}

// observe compares the view with what was answered.
func (c *aggregateCrash) observe(t *testing.T, url string) {
	t.Helper()
	answered, open := c.sums()
	shown := shownSums(t, url)
	for series, v := range answered {
		if got := shown[series]; got < v || got > v+open[series] {
			t.Fatalf("%s is %g, answered were %g, and %g were not", series, got, v, open[series])
		}
	}
}

// shownSums reads the sums of a view.
func shownSums(t *testing.T, url string) map[string]float64 {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	mfs, err := p.TextToMetricFamilies(bytes.NewReader(fetch(t, url+"/metrics")))
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]float64{}
	for _, m := range mfs["crash_total"].GetMetric() {
		for _, l := range m.Label {
			if l.GetName() == "part" {
				shown[fmt.Sprintf("crash_total{part=%q}", l.GetValue())] = m.Counter.GetValue()
			}
		}
	}
	for _, m := range mfs["crash_open"].GetMetric() {
		shown["crash_open"] = m.Gauge.GetValue()
	}
	for _, m := range mfs["crash_seconds"].GetMetric() {
		h := m.Histogram
		shown["crash_seconds_sum"], shown["crash_seconds_count"] = h.GetSampleSum(), float64(h.GetSampleCount())
		shown[`crash_seconds_bucket{le="0.5"}`] = float64(h.Bucket[0].GetCumulativeCount())
		shown[`crash_seconds_bucket{le="+Inf"}`] = float64(h.Bucket[1].GetCumulativeCount())
	}
	return shown
}

func (c *aggregateCrash) check(t *testing.T, s *server) {
	t.Helper()
	c.receiver.mu.Lock()
	defer c.receiver.mu.Unlock()
	if v := strings.Join(c.receiver.violations, "\n"); v != "" {
		t.Fatalf("promise P2 broken:\n%s\nserver: %s", v, s.tail())
	}
}

// settle lets every pod have its answer, and compares.
func (c *aggregateCrash) settle(t *testing.T) (pushes, repeated int) {
	t.Helper()
	c.receiver.trouble(0, 0)
	s := c.start(t)
	defer func() { s.kill() }()
	url := s.ready(t)
	c.pushAll(t, url, s, true)
	want, _ := c.sums()
	shown := shownSums(t, url)
	for series, v := range want {
		if shown[series] != v {
			t.Errorf("%s is %g, pushed were %g", series, shown[series], v)
		}
		c.await(t, s, series, v)
	}
	for _, p := range c.pods {
		pushes, repeated = pushes+p.n, repeated+p.repeated
	}
	if code := s.stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s = c.start(t)
	c.observe(t, s.ready(t))
	return pushes, repeated
}

// await waits until the receiver has the sum of a series.
func (c *aggregateCrash) await(t *testing.T, s *server, series string, want float64) {
	t.Helper()
	name, rest, labeled := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	var own []string
	if labeled {
		label, value, _ := strings.Cut(rest, "=")
		own = []string{label, strings.Trim(value, `"`)}
	}
	id := mustSeries(name, []string{"job", "sum"}, own)
	got := -1.0
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if pts := c.receiver.points(id); len(pts) > 0 {
			if got = math.Float64frombits(pts[len(pts)-1].bits); got == want {
				return
			}
		}
	}
	t.Fatalf("the receiver has %g of %s, pushed were %g\nserver: %s", got, id, want, s.tail())
}
