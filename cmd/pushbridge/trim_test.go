package main

import (
	"testing"
	"time"
)

func TestTrimDue(t *testing.T) {
	const mb = 1 << 20
	last := trimmer{held: 300 * mb, live: 250 * mb, allocated: 5000 * mb, at: time.Unix(1000, 0)}
	later := last.at.Add(trimPause)
	for _, tt := range []struct {
		name string
		last trimmer
		m    memory
		now  time.Time
		want bool
	}{
		{"after a burst", last, memory{held: 1000 * mb, live: 250 * mb, allocated: 5010 * mb}, later, true},
		{"in the middle of it", last, memory{held: 1000 * mb, live: 250 * mb, allocated: 5500 * mb}, later, false},
		{"too soon", last, memory{held: 1000 * mb, live: 250 * mb, allocated: 5010 * mb}, later.Add(-1), false},
		{"nothing has grown", last, memory{held: 350 * mb, live: 250 * mb, allocated: 5010 * mb}, later, false},
		{"much was deleted", last, memory{held: 310 * mb, live: 100 * mb, allocated: 5010 * mb}, later, true},
		{"after the start", trimmer{}, memory{held: 200 * mb, live: 100 * mb, allocated: 30 * mb}, later, true},
		{"a small one", trimmer{}, memory{held: 30 * mb, live: 4 * mb, allocated: mb}, later, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.last.due(tt.m, tt.now); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestTrim leaves behind what a burst does, and has it back.
func TestTrim(t *testing.T) {
	const size = 256 << 20
	burst := make([][]byte, 0, size>>16)
	for range cap(burst) {
		burst = append(burst, make([]byte, 1<<16))
	}
	burst[0][0] = 1
	before := readMemory()
	if before.held < size {
		t.Fatalf("%d bytes are held, with %d in use", before.held, size)
	}
	clear(burst)
	var tr trimmer
	tr.trim()
	if after := readMemory(); before.held-after.held < size/10*9 {
		t.Errorf("%d bytes are held, %d before", after.held, before.held)
	}
	if tr.due(readMemory(), time.Now()) {
		t.Error("due again at once")
	}
}
