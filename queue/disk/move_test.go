package disk

import (
	"testing"

	"github.com/pushbridge/pushbridge/queue"
	"github.com/pushbridge/pushbridge/queue/queuetest"
)

// side returns a directory on a disk that forgets what was not synced: each process that
// moves finds what a power loss has left.
func side(t *testing.T, partBytes int64) queuetest.Side {
	sim, o := newSim(), conformanceOptions("/store", queuetest.Options{PartBytes: partBytes})
	return queuetest.Side{
		Plain: func() queue.Store { return newStore(sim, o) },
		Store: func() queue.Movable {
			if len(sim.locked) == 0 {
				sim = sim.crash(false, nil)
			}
			return &Movable{Store: newStore(sim, o)}
		},
		Damage: func(seq uint64) { flipRecord(t, sim, seq) },
	}
}

// TestMove moves one directory to another one.
func TestMove(t *testing.T) {
	for _, row := range []struct {
		name   string
		damage bool
	}{{"whole", false}, {"damaged", true}} {
		t.Run(row.name, func(t *testing.T) {
			from, to := side(t, 400), side(t, 1<<20)
			if !row.damage {
				from.Damage = nil
			}
			queuetest.Move(t, from, to)
		})
	}
}
