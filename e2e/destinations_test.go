package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// stopwatch is a remote-write 1.0 receiver that notes when each value of a
// series called watch_value arrived. Each value is pushed once.
type stopwatch struct {
	mu      sync.Mutex
	arrived map[float64]time.Time
	url     string
}

func newStopwatch(t testing.TB) *stopwatch {
	t.Helper()
	s := &stopwatch{arrived: map[float64]time.Time{}}
	srv := httptest.NewServer(s)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	s.url = srv.URL + "/api/v1/write"
	return s
}

func (s *stopwatch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if r.Header.Get("Content-Type") != "application/x-protobuf" {
		w.WriteHeader(http.StatusUnsupportedMediaType)
		return
	}
	raw, err := snappy.Decode(nil, body)
	var req prompb.WriteRequest
	if err == nil {
		err = req.Unmarshal(raw)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ts := range req.Timeseries {
		for _, l := range ts.Labels {
			if l.Name != "__name__" || l.Value != "watch_value" {
				continue
			}
			for _, p := range ts.Samples {
				if _, ok := s.arrived[p.Value]; !ok {
					s.arrived[p.Value] = now
				}
			}
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// delays returns how long after their push the values arrived; fewer than
// pushed when some have not.
func (s *stopwatch) delays(pushed map[float64]time.Time) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var d []time.Duration
	for v, at := range pushed {
		if arrived, ok := s.arrived[v]; ok {
			d = append(d, arrived.Sub(at))
		}
	}
	return d
}

// TestDestinationsAreIndependent compares a gateway that has one healthy
// destination with one that has also a dead one and one that answers after ten
// seconds: pushes, and the way to the healthy destination, take as long.
func TestDestinationsAreIndependent(t *testing.T) {
	ended := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-time.After(10 * time.Second): // how slow it is
			w.WriteHeader(http.StatusNoContent)
		case <-ended:
		}
	}))
	defer slow.Close()
	defer close(ended)
	alone, among := newStopwatch(t), newStopwatch(t)
	watches := []*stopwatch{alone, among}
	gateways := []*gateway{
		startPushbridge(t, "--remote-write.url="+alone.url),
		startPushbridge(t, "--remote-write.url="+among.url, "--remote-write.url=http://"+reserve(t).addr+"/api/v1/write", "--remote-write.url="+slow.URL),
	}
	took, pushed := pushWatched(t, gateways)

	t.Logf("%-28s %10s %10s %10s %10s %10s", "destinations", "push p50", "push p99", "way p50", "way p99", "RSS")
	var pushes, ways [2]time.Duration
	for i, w := range watches {
		var delays []time.Duration
		eventually(t, "everything arrives at the healthy one", func() error {
			if delays = w.delays(pushed[i]); len(delays) < len(pushed[i]) {
				return fmt.Errorf("%d of %d", len(delays), len(pushed[i]))
			}
			return nil
		})
		pushes[i], ways[i] = quantile(took[i], 0.99), quantile(delays, 0.99)
		t.Logf("%-28s %10v %10v %10v %10v %7d MiB", []string{"healthy", "healthy, dead and slow"}[i],
			quantile(took[i], 0.5), pushes[i], quantile(delays, 0.5), ways[i], gateways[i].memory(t, "VmRSS")>>20)
	}
	// Were one held up by another, it would take seconds.
	if limit := 3*pushes[0] + 20*time.Millisecond; pushes[1] > limit {
		t.Errorf("p99 of a push is %v beside a dead and a slow destination, %v without", pushes[1], pushes[0])
	}
	if limit := 3*ways[0] + 50*time.Millisecond; ways[1] > limit {
		t.Errorf("p99 of the way to the healthy destination is %v beside a dead and a slow one, %v without", ways[1], ways[0])
	}
}

// pushWatched pushes values, each only once, to the gateways in turn. It
// returns how long pushes took, and when each value's push began.
func pushWatched(t *testing.T, gateways []*gateway) (took [2][]time.Duration, pushed [2]map[float64]time.Time) {
	t.Helper()
	const pushers, pushes = 4, 400
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range pushed {
		pushed[i] = map[float64]time.Time{}
	}
	for p := range pushers {
		wg.Go(func() {
			for n := range pushes {
				v := float64(p*pushes + n + 1)
				for i, g := range gateways {
					begin := time.Now()
					code, body, err := send(t.Context(), http.MethodPut, fmt.Sprintf("%s/metrics/job/watch%d", g.url, p), fmt.Sprintf("watch_value %v\n", v), nil)
					d := time.Since(begin)
					if err != nil || code != http.StatusOK {
						t.Errorf("push: %d %v %s", code, err, body)
						return
					}
					mu.Lock()
					took[i] = append(took[i], d)
					pushed[i][v] = begin
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return took, pushed
}
