package job

import "runtime"

// withRoom calls f in a goroutine whose stack has room for a push from the begin. One that
// grows step by step is copied each time, with all functions that are on it, and what the
// runtime must know of them stands in tables of the program's file, far apart: reading them is a
// megabyte of pages.
func withRoom(f func()) {
	go func() {
		makeRoom()
		f()
	}()
}

// makeRoom is no part of its caller, whose stack would be that much larger in all that follows.
//
//go:noinline
func makeRoom() {
	var room [10 << 10]byte // a stack is twice as large as the one before
	runtime.KeepAlive(&room)
}
