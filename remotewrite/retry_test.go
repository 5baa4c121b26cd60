package remotewrite

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func none() written { return written{-1, -1, -1} }

func TestJudge(t *testing.T) {
	pin1 := terms{protocol: Protocol1, retry429: true}
	pin2 := terms{protocol: Protocol2, retry429: true}
	nego2 := terms{protocol: Protocol2, negotiate: true, retry429: true}
	known2 := terms{protocol: Protocol2, negotiate: true, known2: true, retry429: true}
	no429 := terms{protocol: Protocol1}
	nego1 := terms{protocol: Protocol1, negotiate: true, retry429: true}
	drop1 := terms{protocol: Protocol1, dropMisconfigured: true}
	drop2 := terms{protocol: Protocol2, dropMisconfigured: true}
	dropNego1 := terms{protocol: Protocol1, negotiate: true, dropMisconfigured: true}
	all := written{2, 0, 0}
	for _, row := range []struct {
		name string
		a    answer
		t    terms
		want verdict
	}{
		{"1.0 200", answer{status: 200}, pin1, delivered},
		{"1.0 204", answer{status: 204, written: none()}, pin1, delivered},
		{"1.0 202", answer{status: 202}, pin1, delivered},
		{"2.0 with counts", answer{status: 204, written: all}, nego2, partly},
		{"2.0 with one count", answer{status: 200, written: written{5, -1, -1}}, pin2, partly},
		{"2.0 success without counts, negotiating", answer{status: 204, written: none()}, nego2, speak1},
		{"2.0 success without counts, known", answer{status: 204, written: none()}, known2, speak1},
		{"2.0 success without counts, pinned", answer{status: 204, written: none()}, pin2, again},
		{"2.0 success without counts, pinned when told to drop", answer{status: 204, written: none()}, drop2, rejected},
		{"2.0 202 without counts", answer{status: 202, written: none()}, nego2, speak1},
		{"2.0 nothing written", answer{status: 200}, nego2, rejected},
		{"2.0 nothing written but 202", answer{status: 202}, nego2, delivered},
		{"415 negotiating", answer{status: 415, written: none()}, nego2, speak1},
		{"415 pinned 2.0", answer{status: 415, written: none()}, pin2, again},
		{"415 pinned 2.0 when told to drop", answer{status: 415, written: none()}, drop2, rejected},
		{"415 1.0", answer{status: 415}, pin1, again},
		{"415 1.0 when told to drop", answer{status: 415}, drop1, rejected},
		{"415 1.0 after a fallback", answer{status: 415}, nego1, speak2},
		{"415 1.0 after a fallback, when told to drop", answer{status: 415}, dropNego1, rejected},
		{"2.0 400 before any success", answer{status: 400, written: none()}, nego2, speak1},
		{"2.0 400 with counts before any success", answer{status: 400, written: all}, nego2, refused},
		{"2.0 400 after success", answer{status: 400, written: none()}, known2, refused},
		{"2.0 400 pinned", answer{status: 400, written: none()}, pin2, refused},
		{"2.0 409", answer{status: 409, written: none()}, nego2, refused},
		{"2.0 422", answer{status: 422, written: none()}, nego2, refused},
		{"2.0 413", answer{status: 413, written: none()}, nego2, refused},
		{"1.0 400", answer{status: 400}, pin1, refused},
		{"1.0 409", answer{status: 409}, pin1, refused},
		{"1.0 413", answer{status: 413}, pin1, refused},
		{"1.0 422", answer{status: 422}, pin1, refused},
		{"401", answer{status: 401}, pin1, again},
		{"401 when told to drop", answer{status: 401}, drop1, rejected},
		{"403", answer{status: 403}, nego2, again},
		{"403 when told to drop", answer{status: 403}, drop2, rejected},
		{"404", answer{status: 404}, nego2, again},
		{"404 when told to drop", answer{status: 404}, drop2, rejected},
		{"410", answer{status: 410}, pin1, again},
		{"410 when told to drop", answer{status: 410}, drop1, rejected},
		{"429", answer{status: 429}, pin1, again},
		{"429 when told to drop", answer{status: 429}, no429, rejected},
		{"500", answer{status: 500}, pin1, again},
		{"503", answer{status: 503}, nego2, again},
		{"529", answer{status: 529}, nego2, again},
		{"501", answer{status: 501}, pin2, again},
		{"301", answer{status: 301}, pin1, again},
		{"301 when told to drop", answer{status: 301}, drop1, rejected},
		{"304", answer{status: 304}, pin1, again},
		{"304 when told to drop", answer{status: 304}, drop1, rejected},
		{"101", answer{status: 101}, pin1, again},
		{"101 when told to drop", answer{status: 101}, drop1, rejected},
		{"600", answer{status: 600}, pin1, again},
		{"600 when told to drop", answer{status: 600}, drop1, rejected},
		{"999", answer{status: 999}, pin1, again},
		{"999 when told to drop", answer{status: 999}, drop1, rejected},
		{"no connection", answer{err: errors.New("connection refused")}, pin1, again},
		{"timeout", answer{err: errors.New("context deadline exceeded")}, nego2, again},
		{"not HTTP", answer{err: fmt.Errorf("net/http: %w", errors.New(`malformed HTTP response "hello"`))}, pin1, again},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := judge(row.a, row.t); got != row.want {
				t.Errorf("got %d, want %d", got, row.want)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"":                               0,
		"0":                              0,
		"7":                              7 * time.Second,
		" 7 ":                            7 * time.Second,
		"-7":                             0,
		"1.5":                            0,
		"soon":                           0,
		"601":                            10 * time.Minute,
		"9223372036854775807":            10 * time.Minute,
		"99999999999999999999999999":     0,
		"Fri, 02 Jan 2026 03:04:35 GMT":  30 * time.Second,
		"Fri, 02 Jan 2026 03:04:00 GMT":  0,
		"Fri, 02 Jan 2027 03:04:00 GMT":  10 * time.Minute,
		"Friday, 02-Jan-26 03:04:06 GMT": time.Second,
		"Fri Jan  2 03:04:06 2026":       time.Second,
		"2026-01-02T03:04:06Z":           0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: got %v, want %v", header, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "5", "-5", "Fri, 02 Jan 2026 03:04:35 GMT", "99999999999999999999"} {
		f.Add(s)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if d := retryAfter(s, now); d < 0 || d > maxRetryAfter {
			t.Errorf("%q: %v", s, d)
		}
	})
}

func TestBackoff(t *testing.T) {
	c := defaults()
	for _, random := range []float64{0, 0.5, 0.999999} {
		b := newBackoff(&c.Queue)
		b.random = func() float64 { return random }
		if d := b.next(0); d != 30*time.Millisecond {
			t.Errorf("first delay %v", d)
		}
		last := 30 * time.Millisecond
		for range 20 {
			d := b.next(0)
			if d < last*4/5 || d > 5*time.Second {
				t.Errorf("random %v: %v follows %v", random, d, last)
			}
			last = d
		}
		if last < 4*time.Second {
			t.Errorf("random %v: stays at %v", random, last)
		}
		b.reset()
		if d := b.next(0); d != 30*time.Millisecond {
			t.Errorf("after a success: %v", d)
		}
	}
}

func TestBackoffGoesOnFromRetryAfter(t *testing.T) {
	c := defaults()
	b := newBackoff(&c.Queue)
	b.random = func() float64 { return 0 }
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second} {
		told := time.Duration(0)
		if i == 0 {
			told = time.Second
		}
		if d := b.next(told); d != want {
			t.Errorf("delay %d: got %v, want %v", i, d, want)
		}
	}
	if d := b.next(time.Minute); d != time.Minute {
		t.Errorf("told a minute: %v", d)
	}
	if d := b.next(0); d != 5*time.Second {
		t.Errorf("after a minute: %v", d)
	}
}
