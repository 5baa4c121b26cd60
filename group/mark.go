package group

import "time"

// RefreshSlots is the number of slots that one refresh interval is cut into. It belongs
// to the format: a mark says which of them was refreshed.
const RefreshSlots = 60

// NewRefreshMark returns a clock mark that defines a refresh: the groups of a slot that
// are refreshed at that interval are sent again at one time. Whoever has folded the log
// up to the mark knows which groups, and what they have.
//
// Earlier versions take it for any other clock mark: what says so stands in fields that
// a mark has no other use for.
func NewRefreshMark(at int64, slot int, interval time.Duration) *Record {
	return &Record{Kind: KindClock, Time: at, TTL: int64(interval), Expect: int64(slot) + 1}
}

// Refreshes returns what a clock mark refreshes, if it does.
func (r *Record) Refreshes() (slot int, interval time.Duration, ok bool) {
	if r.Kind != KindClock || r.Expect < 1 || r.Expect > RefreshSlots {
		return 0, 0, false
	}
	return int(r.Expect) - 1, time.Duration(r.TTL), true
}
