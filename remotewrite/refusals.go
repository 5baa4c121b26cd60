package remotewrite

import (
	"sync"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// Refusal is the latest time that the receiver refused samples of a group.
type Refusal struct {
	Group   group.Labels
	Time    time.Time
	Samples uint64 // of it
	Suspect bool   // perhaps they are of another group: at most so many are of this one
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

// note takes down what b lost. The samples of a group count together, however many
// records and requests they were in.
func (r *refusals) note(b *batch, lost *blame, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := make(map[string]Refusal)
	for i := range b.parts {
		it := &b.parts[i].item
		s, ok := lost.by[it.mark]
		if !ok {
			continue
		}
		x, again := sum[it.record.Labels.ID()]
		sum[it.record.Labels.ID()] = Refusal{
			Group: it.record.Labels, Time: now, Samples: x.Samples + s.samples,
			Suspect: !s.exact || again && x.Suspect, Status: lost.status, Text: lost.text,
		}
	}
	for id, x := range sum {
		x.Samples = min(x.Samples, lost.samples)
		x.Suspect = x.Suspect && len(sum) > 1
		r.put(x, id)
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
	x.Group = ownLabels(x.Group) // they are kept for long, and their record is not to be
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
