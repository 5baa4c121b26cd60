package jetstream

import "time"

// company says how long what is no record may wait for a message that has some. A
// destination writes its position before and after each request, as often as pushes come.
// In messages of their own, between two with pushes each time, positions would make these
// wait twice as long.
type company struct {
	records int // of the last message that had some
	took    time.Duration
	ended   time.Time
}

// mostPatience is less than any beat of the leader, which waits with the chain.
const mostPatience = 50 * time.Millisecond

// note says that a message with records was on its way for so long.
func (c *company) note(records int, began, ended time.Time) {
	c.records, c.took, c.ended = records, ended.Sub(began), ended
}

// patience returns how long it is until records that were likely to come would have come:
// several clients were answered, and push again within the time that a message takes. After
// a client alone, or a pause, nothing waits.
func (c *company) patience(now time.Time) time.Duration {
	if c.records < 2 {
		return 0
	}
	return min(c.took, mostPatience) - now.Sub(c.ended)
}
