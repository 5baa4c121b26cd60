package main

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/pushbridge/pushbridge/gateway"
)

// limitMemory tells the collector how much the container, or else the machine, has,
// unless the user has: near that bound it works harder, so that garbage is not what
// the process is killed for.
func (s *settings) limitMemory(log *slog.Logger) {
	if !s.autoMemoryLimit {
		return
	}
	limit, err := memlimit.SetGoMemLimitWithOpts(
		memlimit.WithRatio(s.memoryRatio),
		memlimit.WithProvider(memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)),
	)
	switch {
	case err != nil:
		log.Warn("how much memory there is cannot be found out, GOMEMLIMIT is not set", "err", err)
	case limit > 0:
		log.Info("GOMEMLIMIT is set", "bytes", limit, "ratio", s.memoryRatio)
	}
}

// trimmer gives memory back that a burst has left behind. By itself the collector
// looks at a process that does little every two minutes only, and then keeps twice
// of what is in use, and what pools hold for one round longer.
type trimmer struct {
	held      uint64 // bytes, after the last time
	live      uint64 // bytes, the same
	allocated uint64 // since the start, when looked at last
	at        time.Time
}

const (
	trimInterval = 10 * time.Second
	trimPause    = time.Minute // between two times, for the sake of the CPU
	trimFloor    = 32 << 20    // below which it is not worth it
)

// run looks until ctx ends.
func (t *trimmer) run(ctx context.Context) error {
	return gateway.Every(ctx, trimInterval, func() {
		if t.due(readMemory(), time.Now()) {
			t.trim()
		}
	})
}

func (t *trimmer) trim() {
	runtime.GC() // what pools hold goes the second time
	debug.FreeOSMemory()
	m := readMemory()
	t.held, t.live, t.at = m.held, m.live, time.Now()
}

// memory is what the runtime says of itself.
type memory struct {
	held      uint64 // bytes that the process has from the system
	live      uint64 // of them in use, when the collector ran last
	allocated uint64 // since the start
}

// due tells whether it is time: little is going on, and there is more than last
// time, or less in use.
func (t *trimmer) due(m memory, now time.Time) bool {
	fresh := m.allocated - t.allocated
	t.allocated = m.allocated
	switch {
	case m.held < trimFloor, now.Sub(t.at) < trimPause, fresh > m.held/5:
		return false
	}
	return m.held > t.held/3*4 || m.live < t.live/5*4
}

func readMemory() memory {
	s := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(s)
	return memory{
		held: s[0].Value.Uint64() - s[1].Value.Uint64(), live: s[2].Value.Uint64(), allocated: s[3].Value.Uint64(),
	}
}
