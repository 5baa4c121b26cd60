package disk

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestFsyncsPerAppend counts fsyncs. The fake disk needs 2 ms of fake time for
// each, so the figures do not depend on the machine: one per append alone, and
// shared by all that wait otherwise.
func TestFsyncsPerAppend(t *testing.T) {
	for _, row := range []struct {
		appenders int
		most      float64
	}{{1, 1.01}, {2, 0.51}, {4, 0.26}, {16, 0.13}, {64, 0.1}} {
		t.Run(fmt.Sprintf("appenders=%d", row.appenders), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const each = 200
				sim := newSim()
				sim.onSync = func() { time.Sleep(2 * time.Millisecond) }
				o := simOptions()
				o.SegmentBytes = 1 << 20
				l, stop := startSim(t, sim, o)
				synctest.Wait()
				time.Sleep(time.Second)
				begun := sim.synced()
				var wg sync.WaitGroup
				for range row.appenders {
					wg.Go(func() {
						for range each {
							add(t, l, rec{Body: "one push"})
						}
					})
				}
				wg.Wait()
				appends := row.appenders * each
				syncs := sim.synced() - begun
				per := float64(syncs) / float64(appends)
				t.Logf("%d fsyncs for %d appends: %.3f per append", syncs, appends, per)
				if per > row.most {
					t.Errorf("%.3f fsyncs per append, want at most %.2f", per, row.most)
				}
				stop()
			})
		})
	}
}
