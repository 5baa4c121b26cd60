package queue

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestCompany: company is waited for when it comes again and again, or the store is slow.
func TestCompany(t *testing.T) {
	type batch struct {
		records, waiting int // of it, and behind it at its end
		alone            bool
	}
	four := batch{1, 3, false}
	for _, tt := range []struct {
		name    string
		took    time.Duration
		batches []batch
		later   time.Duration // behind the last one
		wait    time.Duration
		records int
	}{
		{"nothing yet", 0, nil, 0, 0, 0},
		{"one after the other", 2 * time.Millisecond, []batch{{1, 0, false}, {1, 0, false}}, 0, 0, 0},
		{"once, slow", 2 * time.Millisecond, []batch{four}, 0, time.Millisecond, 4},
		{"once, fast", 150 * time.Microsecond, []batch{four}, 0, 0, 0},
		{"three times, fast", 150 * time.Microsecond, []batch{four, four, four}, 0, 0, 0},
		{"reliable, fast", 150 * time.Microsecond, []batch{four, four, four, four}, 0, 150 * time.Microsecond, 4},
		{"reliable, slow", 2 * time.Millisecond, []batch{four, four, four, four}, 0, 2 * time.Millisecond, 4},
		{"reliable, no disk", 20 * time.Microsecond, []batch{four, four, four, four}, 0, 0, 0},
		{"reliable, a pause", 150 * time.Microsecond, []batch{four, four, four, four}, time.Millisecond, 0, 0},
		{"fewer than before, fast", 150 * time.Microsecond, []batch{four, four, four, four, {1, 1, false}}, 0, 0, 0},
		{"fewer than before, slow", 2 * time.Millisecond, []batch{four, four, four, four, {1, 1, false}}, 0, time.Millisecond, 2},
		{"waited in vain, fast", 150 * time.Microsecond, []batch{four, four, four, four, {1, 3, true}}, 0, 0, 0},
		{"waited in vain, then not", 150 * time.Microsecond, []batch{four, four, four, four, {1, 3, true}, four, four, four}, 0, 150 * time.Microsecond, 4},
		{"many", 2 * time.Millisecond, []batch{{50, 50, false}}, 0, time.Millisecond, mostCompany},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c company
				for _, b := range tt.batches {
					begun := time.Now()
					if b.alone {
						c.stayedAway()
					}
					time.Sleep(tt.took)
					c.note(b.records, b.waiting, begun)
				}
				time.Sleep(tt.later)
				if wait, records := c.patience(); wait != tt.wait || records != tt.records {
					t.Errorf("waits %v for %d records, want %v for %d", wait, records, tt.wait, tt.records)
				}
			})
		})
	}
}
