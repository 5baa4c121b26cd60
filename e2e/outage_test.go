package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	outagePushers = 4
	outagePushes  = 400 // by each pusher to each gateway
)

// TestOutageDoesNotDelayPushes runs four gateways in one run: one with a
// healthy destination, one whose destination refuses connections, one whose
// destination takes requests and never answers, and one whose destination turns
// everything away. Pushes take turns, so that
// noise hits all alike. It holds them to promise P4, and once the destinations
// are back, everything must be there, in order.
func TestOutageDoesNotDelayPushes(t *testing.T) {
	healthy := newInProcess(t, bothProtocols, nil)
	dead := newInProcess(t, bothProtocols, nil)
	address := reserve(t)
	var shut *gate
	hanging := newInProcess(t, bothProtocols, func(h http.Handler) http.Handler {
		shut = newGate(h)
		return shut
	})
	var door *door
	away := newInProcess(t, bothProtocols, func(h http.Handler) http.Handler {
		door = newDoor(h, http.StatusUnauthorized)
		return door
	})
	gateways := []*gateway{
		startPushbridge(t, "--remote-write.url="+healthy.writeURL()),
		startPushbridge(t, "--remote-write.url=http://"+address.addr+"/api/v1/write"),
		startPushbridge(t, "--remote-write.url="+hanging.writeURL()),
		startPushbridge(t, "--remote-write.url="+away.writeURL()),
	}
	took := pushInTurn(t, gateways)

	names := []string{"healthy", "refuses connections", "never answers", "turns everything away"}
	t.Logf("%-20s %10s %10s %10s", "destination", "p50", "p99", "max")
	for i, d := range took {
		t.Logf("%-20s %10v %10v %10v", names[i], quantile(d, 0.5), quantile(d, 0.99), quantile(d, 1))
	}
	for i := 1; i < len(took); i++ {
		// A push that waited for the destination would take seconds.
		if with, without := quantile(took[i], 0.99), quantile(took[0], 0.99); with > 3*without+20*time.Millisecond {
			t.Errorf("p99 with a destination that %s is %v, with a healthy one %v", names[i], with, without)
		}
	}

	address.serve(t, dead.write)
	close(shut.open)
	door.open.Store(true)
	for i, b := range []*inProcess{healthy, dead, hanging, away} {
		checkAllInOrder(t, names[i], b)
	}
}

// pushInTurn pushes rising values to every gateway, by several pushers at once,
// and returns how long the pushes took, by gateway.
func pushInTurn(t *testing.T, gateways []*gateway) [][]time.Duration {
	t.Helper()
	took := make([][]time.Duration, len(gateways))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for p := range outagePushers {
		wg.Go(func() {
			for n := range outagePushes {
				for i, g := range gateways {
					begin := time.Now()
					code, body, err := send(t.Context(), http.MethodPut,
						fmt.Sprintf("%s/metrics/job/outage/pusher/%d", g.url, p), fmt.Sprintf("outage_value %d\n", n+1), nil)
					d := time.Since(begin)
					if err != nil || code != http.StatusOK {
						t.Errorf("push: %d %v %s", code, err, body)
						return
					}
					mu.Lock()
					took[i] = append(took[i], d)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return took
}

func checkAllInOrder(t *testing.T, name string, b *inProcess) {
	t.Helper()
	want := make([]float64, outagePushes)
	for i := range want {
		want[i] = float64(i + 1)
	}
	eventually(t, name+": everything arrives", func() error {
		got := b.samples(t, named("outage_value"))
		if len(got) != outagePushers {
			return fmt.Errorf("%d series", len(got))
		}
		for series, samples := range got {
			var values []float64
			for _, s := range samples {
				if len(values) == 0 || values[len(values)-1] != s.Value { // a refresh repeats the value
					values = append(values, s.Value)
				}
			}
			if !slices.Equal(values, want) {
				return fmt.Errorf("%s has %d values: %.200s", strings.TrimSpace(series), len(values), fmt.Sprint(values))
			}
		}
		return nil
	})
}

func quantile(d []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Round(10 * time.Microsecond)
}
