package state

import (
	"hash/maphash"

	"github.com/pushbridge/pushbridge/group"
)

// floorBuckets is the number of floors. Groups that can own the same series
// share a job, and therefore a floor.
const floorBuckets = 1024

// floors hold, per bucket of jobs, the largest timestamp at which a series
// ended. A record that adds series is stamped later than that, so a series that
// moves from one group to another goes forward in time (promise P2).
type floors struct {
	seed maphash.Seed
	at   *[floorBuckets]int64
}

func newFloors() floors {
	return floors{seed: maphash.MakeSeed(), at: new([floorBuckets]int64)}
}

func (f *floors) of(l group.Labels) *int64 {
	return &f.at[maphash.String(f.seed, l.Job())%floorBuckets]
}

func (f *floors) raise(l group.Labels, to int64) {
	p := f.of(l)
	*p = max(*p, to)
}
