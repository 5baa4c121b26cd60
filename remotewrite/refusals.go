package remotewrite

import (
	"slices"
	"sync"
	"time"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

// Refusal is the latest time that the receiver refused samples of a group.
type Refusal struct {
	Group   group.Labels
	Time    time.Time
	Samples uint64 // in that request
	Status  int    // of the answer, 0 when there was none
	Text    string // of the answer
}

// refusals keeps the latest one of each group, for as many groups as people look
// at: a metric with a label for the group would have no bound.
type refusals struct {
	mu     sync.Mutex
	latest map[string]Refusal // by group.Labels.ID
}

const maxRefusals = 1000

// note takes down that series of b were refused.
func (r *refusals) note(b *batch, series []convert.Series, a answer, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l, n := range b.owners(series) {
		r.put(Refusal{Group: l.labels, Time: now, Samples: n, Status: a.status, Text: a.problem()}, l.id)
	}
}

func (r *refusals) put(x Refusal, id string) {
	if r.latest == nil {
		r.latest = make(map[string]Refusal)
	}
	if _, ok := r.latest[id]; !ok && len(r.latest) >= maxRefusals {
		oldest := ""
		for k, v := range r.latest {
			if oldest == "" || v.Time.Before(r.latest[oldest].Time) {
				oldest = k
			}
		}
		delete(r.latest, oldest)
	}
	r.latest[id] = x
}

// Refusals returns the latest refusal of each group that had one, of at most
// 1,000 groups.
func (d *Destination) Refusals() []Refusal {
	d.refusals.mu.Lock()
	defer d.refusals.mu.Unlock()
	out := make([]Refusal, 0, len(d.refusals.latest))
	for _, x := range d.refusals.latest {
		out = append(out, x)
	}
	return out
}

// owner is a group with samples in a batch.
type owner struct {
	id     string
	labels group.Labels
}

// owners tells which groups series of b belong to, as far as that can be seen:
// relabelling may have taken the grouping labels away.
func (b *batch) owners(series []convert.Series) map[*owner]uint64 {
	known := map[string]*owner{}
	counts := map[*owner]uint64{}
	for i := range series[:min(len(series), maxOwned)] {
		for j := range b.parts {
			l := b.parts[j].item.record.Labels
			if len(b.parts) > 1 && !has(series[i].Labels, l) {
				continue
			}
			id := l.ID()
			if known[id] == nil {
				known[id] = &owner{id, l}
			}
			counts[known[id]]++
			break
		}
	}
	return counts
}

// maxOwned is how many refused series are looked at, at most.
const maxOwned = 100

// has says whether a series has all grouping labels of a group.
func has(series []group.Label, l group.Labels) bool {
	return !slices.ContainsFunc(l, func(p group.Label) bool { return p.Value != "" && !slices.Contains(series, p) })
}
