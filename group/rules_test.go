package group

import (
	"slices"
	"testing"
	"time"
)

func matchersOf(t *testing.T, text string) Matchers {
	t.Helper()
	m, err := ParseMatchers(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRules(t *testing.T) {
	hour, never := time.Hour, time.Duration(0)
	r := NewRules(Policy{TTL: 2 * hour, Refresh: time.Minute}, []Rule{
		{Match: []Matchers{matchersOf(t, `job=~"ci-.*"`), matchersOf(t, `instance!=""`)}, TTL: &hour, Refresh: &never},
		{Match: []Matchers{matchersOf(t, `job=~"ci-.*"`)}, Expect: &hour},
		{Match: []Matchers{matchersOf(t, `job="ci-1"`)}, TTL: &never},
	})
	for _, row := range []struct {
		name, labels string
		want         Policy
	}{
		{"none matches", "job=a", Policy{TTL: 2 * hour, Refresh: time.Minute}},
		{"all of a list must match", "job=ci-1", Policy{TTL: 2 * hour, Refresh: time.Minute, Expect: hour}},
		{"the first that matches counts, alone", "job=ci-1 instance=x", Policy{TTL: hour}},
	} {
		if got := r.Of(labelsOf(row.labels)); got != row.want {
			t.Errorf("%s: got %+v, want %+v", row.name, got, row.want)
		}
	}
	if got := r.Intervals(); !slices.Equal(got, []time.Duration{time.Minute}) {
		t.Errorf("intervals: %v", got)
	}
}
