package disk

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestFsyncsPerAppend counts fsyncs. The fake disk needs fake time for each, and so do
// those who append before they do so again: the figures do not depend on the machine. One
// per append alone, and shared by all that wait otherwise.
func TestFsyncsPerAppend(t *testing.T) {
	const slow, fast = 2 * time.Millisecond, 150 * time.Microsecond
	for _, row := range []struct {
		appenders   int
		fsync, turn time.Duration
		most        float64
	}{
		{1, slow, 0, 1.01},
		{2, slow, 0, 0.51},
		{4, slow, 0, 0.26},
		{16, slow, 0, 0.13},
		{64, slow, 0, 0.1},
		{4, slow, slow * 2 / 3, 0.27}, // longer than half an fsync
		{1, fast, fast / 2, 1.01},
		{2, fast, fast / 2, 0.51},
		{4, fast, fast * 2 / 3, 0.27},
		{16, fast, fast * 2 / 3, 0.1},
	} {
		t.Run(fmt.Sprintf("appenders=%d/fsync=%v/turn=%v", row.appenders, row.fsync, row.turn), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const each = 200
				sim, l, stop := startTimed(t, row.fsync)
				begun := sim.synced()
				var wg sync.WaitGroup
				for range row.appenders {
					wg.Go(func() {
						for range each {
							add(t, l, rec{Body: "one push"})
							time.Sleep(row.turn)
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

// Those who have something to append already share the first fsync, too.
func TestReadyOnesShareAnFsync(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		const rounds = 40
		sim, l, stop := startTimed(t, time.Millisecond)
		begun := sim.synced()
		for range rounds {
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() { add(t, l, rec{Body: "one push"}) })
			}
			wg.Wait()
			time.Sleep(time.Second) // so that nobody has company
		}
		// Without waiting it would be two each time. The runtime takes one of 61 goroutines out of turn.
		if n := sim.synced() - begun; n > rounds+rounds/2 {
			t.Errorf("%d fsyncs for %d times 8 appends at once", n, rounds)
		}
		stop()
	})
}

// Who appends now and then waits for the disk, and hardly ever for somebody who does not come.
func TestNobodyWaitsForStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const fsync = 150 * time.Microsecond
		_, l, stop := startTimed(t, fsync)
		const pushers, each = 8, 500
		var waited atomic.Int64
		var wg sync.WaitGroup
		for i := range pushers {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(i)))
				for range each {
					time.Sleep(time.Duration(random.ExpFloat64() * float64(20*fsync)))
					begun := time.Now()
					add(t, l, rec{Body: "one push"})
					if time.Since(begun) > 2*fsync { // the one on the way, and the one behind it
						waited.Add(1)
					}
				}
			})
		}
		wg.Wait()
		stop()
		if n := waited.Load(); n > pushers*each/100 { // company may be there by chance
			t.Errorf("%d of %d appends waited for somebody", n, pushers*each)
		}
	})
}

// startTimed starts a log on a disk whose fsyncs take so long.
func startTimed(t *testing.T, fsync time.Duration) (*simDisk, *testLog, func()) {
	t.Helper()
	sim := newSim()
	sim.onSync = func() { time.Sleep(fsync) }
	o := simOptions()
	o.SegmentBytes = 1 << 20
	l, stop := startSim(t, sim, o)
	synctest.Wait()
	time.Sleep(time.Second)
	return sim, l, stop
}
