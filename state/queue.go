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
	dirty      map[*entry]struct{} // inFlight > 0
	changes    uint64              // how many records changed a group, ever; see largeChange.checked
}

// plan says what becomes visible when a record that was enqueued is kept.
type plan struct {
	record *group.Record
	entry  *entry       // nil for a clock mark
	next   *group.Group // nil: the group ends
}

func (q *pendingQueue) reset() { q.plans, q.dirty = nil, map[*entry]struct{}{} }

// add puts a record at the end, after which the group of e is next.
func (q *pendingQueue) add(e *entry, r *group.Record, next *group.Group) {
	q.changes++
	r.Generation = q.generation
	q.plans = append(q.plans, plan{record: r, entry: e, next: next})
	e.inFlight++
	q.dirty[e] = struct{}{}
}

// addMark puts a clock mark at the end.
func (q *pendingQueue) addMark(r *group.Record) {
	r.Generation = q.generation
	q.plans = append(q.plans, plan{record: r})
}

// take removes what was planned for r, if r is the first record that is waited for.
func (q *pendingQueue) take(r *group.Record) (p plan, own bool) {
	if len(q.plans) == 0 || q.plans[0].record != r {
		return plan{}, false
	}
	p = q.plans[0]
	q.plans[0] = plan{}
	q.plans = q.plans[1:]
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
