package main

import (
	"testing"
	"time"
)

func TestParseBytes(t *testing.T) {
	f := func(in string, want int64) {
		t.Helper()
		got, err := parseBytes(in)
		if (err != nil) != (want < 0) || (err == nil && got != want) {
			t.Errorf("%q: got %d, %v; want %d", in, got, err, want)
		}
	}
	f("0", 0)
	f("1048576", 1<<20)
	f("12B", 12)
	f("512MB", 512e6)
	f("512 mb", 512e6)
	f("10GiB", 10<<30)
	f("1.5KiB", 1536)
	f("7TiB", 7<<40)
	f("", -1)
	f("GiB", -1)
	f("10XB", -1)
	f("1 2", -1)
	f("inf", -1)
	f("1e30", -1)
	f("9999999TiB", -1)
}

func TestParseDuration(t *testing.T) {
	f := func(in string, want time.Duration) {
		t.Helper()
		got, err := parseDuration(in)
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
