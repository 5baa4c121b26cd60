package state

import "github.com/pushbridge/pushbridge/group"

// pendingQueue is what was enqueued and is not folded in yet, in the order of the log. All
// of it was made from pending versions, so it is of one generation, and comes to be
// together or, from some record on, not at all.
//
// The store's lock guards it.
type pendingQueue struct {
	generation uint64 // of the records to come, see Store.Abort
	plans      []plan
	taken      int                 // so many of plans are no longer in it
	dirty      map[*entry]struct{} // inFlight > 0
	changes    uint64              // how many records changed a group, ever; see largeChange.checked
}

// plan says what becomes visible when a record that was enqueued is kept.
type plan struct {
	record *group.Record
	entry  *entry       // nil for a clock mark
	next   *group.Group // nil: the group ends
}

func (q *pendingQueue) reset() { q.plans, q.taken, q.dirty = nil, 0, map[*entry]struct{}{} }

func (q *pendingQueue) empty() bool { return q.taken == len(q.plans) }

// maxPlansKept is how much room for plans is kept while there are none.
const maxPlansKept = 4096

// put puts p at the end, where there is room as a rule.
func (q *pendingQueue) put(p plan) {
	if len(q.plans) == cap(q.plans) && q.taken > len(q.plans)/2 {
		n := copy(q.plans, q.plans[q.taken:])
		clear(q.plans[n:])
		q.plans, q.taken = q.plans[:n], 0
	}
	q.plans = append(q.plans, p)
}

// add puts a record at the end, after which the group of e is next.
func (q *pendingQueue) add(e *entry, r *group.Record, next *group.Group) {
	q.changes++
	r.Generation = q.generation
	q.put(plan{record: r, entry: e, next: next})
	e.inFlight++
	q.dirty[e] = struct{}{}
}

// addMark puts a clock mark at the end.
func (q *pendingQueue) addMark(r *group.Record) {
	r.Generation = q.generation
	q.put(plan{record: r})
}

// take removes what was planned for r, if r is the first record that is waited for.
func (q *pendingQueue) take(r *group.Record) (p plan, own bool) {
	if q.empty() || q.plans[q.taken].record != r {
		return plan{}, false
	}
	p = q.plans[q.taken]
	q.plans[q.taken] = plan{}
	if q.taken++; q.empty() {
		q.plans, q.taken = q.plans[:0], 0
		if cap(q.plans) > maxPlansKept {
			q.plans = nil
		}
	}
	if e := p.entry; e != nil {
		if e.inFlight--; e.inFlight == 0 {
			delete(q.dirty, e)
		}
	}
	return p, true
}

// takeBack forgets all of it, and returns the entries that were to change.
func (q *pendingQueue) takeBack() []*entry {
	all := make([]*entry, 0, len(q.dirty))
	for e := range q.dirty {
		e.inFlight = 0
		all = append(all, e)
	}
	q.reset()
	return all
}
