// Package early is what every command does first, so that the rest of its start reads less of the
// program's file. It imports nothing but the runtime: of the packages that could be next Go
// initialises the first by its path, and this one before all that import anything else.
package early

import "runtime"

// rate is how often the heap is sampled.
var rate int

func init() {
	makeRoom()
	rate, runtime.MemProfileRate = runtime.MemProfileRate, 0
}

// makeRoom has the stack grow at once, of the goroutine that initialises all packages and
// calls main. One that grows step by step is copied each time, with all functions that are on
// it, and what the runtime must know of them stands in tables of the file, far apart.
//
//go:noinline
func makeRoom() {
	var room [20 << 10]byte // a stack is twice as large as the one before
	runtime.KeepAlive(&room)
}

// SampleHeap has the heap sampled from now on, for who can be asked for its profile: each sample
// reads those tables for all functions on the stack.
func SampleHeap() { runtime.MemProfileRate = rate }
