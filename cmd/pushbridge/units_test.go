package main

import "testing"

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
