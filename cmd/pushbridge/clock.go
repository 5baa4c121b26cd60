package main

import (
	"os"
	"strings"
	"time"
)

// newClock returns the clock of the gateway. With a file, for tests only, the
// duration in it is added to the time: a clock that somebody sets while the
// process runs.
func newClock(offsetFile string) func() time.Time {
	if offsetFile == "" {
		return time.Now
	}
	return func() time.Time { return time.Now().Add(readOffset(offsetFile)) }
}

// readOffset reads a duration such as -500ms. A file that is missing or half
// written stands for no offset.
func readOffset(file string) time.Duration {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	d, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return d
}
