package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
)

// beside compares what pushes cost at two gateways: in turns, so that whatever else the
// machine does slows down both. The second one has something beside it.
type beside struct {
	gateways [2]*gateway
	cpu      [2]time.Duration // of the gateway's process
	wall     [2]time.Duration
	took     [2][]time.Duration
	pushes   [2]int
}

const (
	besideRounds = 12
	besidePushes = 4_000 // in a turn
	besideGroups = 500
	besideBodies = 21 // samples of a push
)

// run makes rounds of turns, and reports the first gateway's figures and how much more the
// second one's are. A turn ends when everything is sent.
func (c *beside) run(b *testing.B) {
	for round := range besideRounds {
		for turn := range 2 {
			c.turn(b, (round+turn)%2, round)
		}
	}
	per := func(d [2]time.Duration, i int) float64 { return float64(d[i].Nanoseconds()) / float64(c.pushes[i]) }
	more := func(with, without float64) float64 { return 100 * (with/without - 1) }
	p50 := [2]float64{float64(quantile(c.took[0], 0.5)), float64(quantile(c.took[1], 0.5))}
	p99 := [2]float64{float64(quantile(c.took[0], 0.99)), float64(quantile(c.took[1], 0.99))}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(per(c.cpu, 0)/1e3, "cpu-µs/push")
	b.ReportMetric(more(per(c.cpu, 1), per(c.cpu, 0)), "more-cpu-%")
	b.ReportMetric(1e9/per(c.wall, 0), "pushes/s")
	b.ReportMetric(more(1/per(c.wall, 1), 1/per(c.wall, 0)), "more-pushes-%")
	b.ReportMetric(p50[0]/1e6, "p50-ms")
	b.ReportMetric(more(p50[1], p50[0]), "more-p50-%")
	b.ReportMetric(more(p99[1], p99[0]), "more-p99-%")
}

func (c *beside) turn(b *testing.B, i, round int) {
	g := c.gateways[i]
	cpu, began := g.cpu(b), time.Now()
	took := driveTo(b, 8, besidePushes, func(_, n int) (string, string) {
		return fmt.Sprintf("%s/metrics/job/bench/group/%d", g.url, n%besideGroups), benchBody(besideBodies, round*besidePushes+n)
	})
	wall := time.Since(began)
	eventually(b, "everything is sent", func() error {
		if n := g.metric(b, "pushbridge_remotewrite_samples_pending", "destination", "good"); n > 0 {
			return fmt.Errorf("%g samples", n)
		}
		return nil
	})
	if round == 0 {
		return // caches, and a heap of the size that it will have
	}
	c.cpu[i] += g.cpu(b) - cpu
	c.wall[i] += wall
	c.took[i] = append(c.took[i], took...)
	c.pushes[i] += besidePushes
}

// BenchmarkWaiters says what clients that wait for the delivery of their pushes cost the pushes of
// others: a thousand wait at a destination that is down, beside one that takes everything. The gateway
// without them has had the same pushes. Run it with -benchtime 1x.
func BenchmarkWaiters(b *testing.B) {
	for b.Loop() {
		var c beside
		for i := range c.gateways {
			c.gateways[i] = startPushbridge(b, "--config.file="+configWith(b, fmt.Sprintf(`{name: good, url: %q}, {name: down, url: "http://127.0.0.1:1/write"}`, newCounter(b, "bench_").url)))
		}
		driveTo(b, 8, 1_000, func(_, i int) (string, string) { return waitsAt(c.gateways[0], i), "" })
		stop := wait(b, c.gateways[1], 1_000)
		c.run(b)
		if n := c.gateways[1].metric(b, "pushbridge_ingest_waiting_pushes"); n != 1_000 {
			b.Errorf("%g wait at the end", n)
		}
		stop()
		for _, g := range c.gateways {
			g.kill()
		}
	}
}

// waitsAt is the group of a client that waits.
func waitsAt(g *gateway, client int) string {
	return fmt.Sprintf("%s/metrics/job/waits/client/%d", g.url, client)
}

// wait has so many clients wait for what will not be delivered, until stop is called.
func wait(b *testing.B, g *gateway, clients int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	patient := &http.Client{Transport: &http.Transport{MaxConnsPerHost: clients}}
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, waitsAt(g, i)+"?wait=delivered:down&timeout=10m", http.NoBody)
			if err != nil {
				b.Error(err)
				return
			}
			if resp, err := patient.Do(req); err == nil {
				b.Errorf("answered %s", resp.Status)
				_ = resp.Body.Close()
			}
		})
	}
	eventually(b, "the clients wait", func() error {
		if n := g.metric(b, "pushbridge_ingest_waiting_pushes"); n != float64(clients) {
			return fmt.Errorf("%g wait", n)
		}
		return nil
	})
	return func() {
		cancel()
		all.Wait()
		patient.CloseIdleConnections()
	}
}

// BenchmarkPageOpen says what an open page costs pushes: the list of groups, which asks for what the
// page's script asks for, as often. With PUSHBRIDGE_BEFORE, the path of an older binary, the
// gateway without a page is that one: then what the hour that the pages show costs is in
// the figures, too. Run it with -benchtime 1x.
func BenchmarkPageOpen(b *testing.B) {
	for b.Loop() {
		var c beside
		for i, path := range [2]string{os.Getenv("PUSHBRIDGE_BEFORE"), ""} {
			section := fmt.Sprintf("{name: good, url: %q}", newCounter(b, "bench_").url)
			c.gateways[i] = startPushbridgeAt(b, path, b.TempDir(), "--config.file="+configWith(b, section))
		}
		ctx, cancel := context.WithCancel(b.Context())
		var page sync.WaitGroup
		page.Go(func() { lookAt(ctx, b, c.gateways[1].url, "/groups") })
		c.run(b)
		cancel()
		page.Wait()
		for _, g := range c.gateways {
			g.kill()
		}
	}
}

// lookAt asks as page.js does: how things are every 2.5 s, and then for the page, unless that took more
// than a fiftieth of the time.
func lookAt(ctx context.Context, b *testing.B, url, path string) {
	const every = 2500 * time.Millisecond
	next := time.Now().Add(every)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		mustGet(b, url+"/live")
		if began := time.Now(); !began.Before(next) {
			mustGet(b, url+path)
			next = time.Now().Add(max(every-100*time.Millisecond, 50*time.Since(began)))
		}
	}
}
