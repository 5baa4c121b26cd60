#!/bin/sh
# Asking a weak pointer for its value waits until the garbage collection at hand has ended, once it first tried
# to finish marking (Go 1.26): tens of milliseconds with a large heap, where everything else goes on. So a weak pointer
# has no place on the way of a request.
. "$(dirname "$0")/lib.sh"
case $(go env GOVERSION) in
go1.26*) ;;
*) echo "the finding is about Go 1.26, this is $(go env GOVERSION)" >&2 && exit 1 ;;
esac
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"weak"
)

type node struct {
	next *node
	_    [6]uint64
}

// longest is the longest of many calls of f, each for itself, while collections follow each other.
func longest(f func()) time.Duration {
	var done atomic.Bool
	go func() {
		for range 20 {
			runtime.GC()
		}
		done.Store(true)
	}()
	var most time.Duration
	for !done.Load() {
		begin := time.Now()
		f()
		most = max(most, time.Since(begin))
		time.Sleep(50 * time.Microsecond)
	}
	return most
}

func main() {
	var heap *node
	for range 5_000_000 {
		heap = &node{next: heap}
	}
	var plain atomic.Pointer[node]
	plain.Store(heap)
	w := weak.Make(heap)
	loads := longest(func() { _ = plain.Load() })
	values := longest(func() { _ = w.Value() })
	fmt.Fprintln(os.Stderr, "longest load of a pointer:", loads, "value of a weak one:", values)
	fmt.Println("a weak pointer waits ten times as long:", values > 10*loads && values > 5*time.Millisecond)
	runtime.KeepAlive(heap)
}
GO
echo "a weak pointer waits ten times as long: true" >want
gorun >got
same
