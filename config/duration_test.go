package config

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	f := func(in string, want time.Duration) {
		t.Helper()
		got, err := ParseDuration(in)
		if (err != nil) != (want < 0) || (err == nil && got != want) {
			t.Errorf("%q: got %s, %v; want %s", in, got, err, want)
		}
	}
	f("0", 0)
	f("1.5h", 90*time.Minute)
	f("1h30m", 90*time.Minute)
	f("2d", 48*time.Hour)
	f("1w", 7*24*time.Hour)
	f("", -1)
	f("5", -1)
	f("1 h", -1)
}
