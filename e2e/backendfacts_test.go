//go:build backends

package e2e

import (
	"regexp"
	"testing"
	"time"
)

var jobLabel = regexp.MustCompile(`"job":"[^"]*"`)

// TestBackendsFacts holds docs/backends.md to the backends that make e2e-backends builds:
// Thanos 0.42.4, Cortex 1.21.1 and Mimir 3.0, with their own limits, and remote write 2.0
// switched on.
func TestBackendsFacts(t *testing.T) {
	var all []*started
	for _, b := range backends() {
		s := b.start(t, b, b.limits...)
		all = append(all, s)
		job := "first" // what Thanos has to have before Query asks it for anything
		if got := version1(job, time.Now(), []written{sampleOf(0, 1)}).post(t, s.writeURL(), nil); got != "200" {
			t.Fatalf("%s answers %s", b.name, got)
		}
		waitQuery(t, s, `m{job="first"}`, ofJob("m", job, 1))
	}
	now := time.Now().Truncate(time.Second)
	answers := backendAnswers()
	for _, f := range receiverFacts() {
		t.Run(f.name, func(t *testing.T) {
			for i, b := range backends() {
				if got, want := f.on(t, all[i], now), answers[f.name][i]; got != want {
					t.Errorf("%s: got %q, want %q", b.name, got, want)
				}
			}
		})
	}
}

// backendAnswers is what Thanos, Cortex and Mimir answer to what receiverFacts sends, and
// how many samples they hold afterwards.
func backendAnswers() map[string][3]string {
	return map[string][3]string{
		"1.0":                               {"200; 1", "200; 1", "200; 1"},
		"2.0":                               {"200; 0", "204 S1 H0 E0; 1", "200 S1 H0 E0; 1"},
		"2.0, blank in the content type":    {"200; 0", "200; 0", "400; 0"},
		"no series in 2.0":                  {"200; 0", "204 S0 H0 E0; 0", "200 S0 H0 E0; 0"},
		"zstd named, snappy sent":           {"200; 1", "415; 0", "200; 1"},
		"one of three too old in 1.0":       {"409; 3", "400; 3", "400; 3"},
		"one of three too old in 2.0":       {"200; 0", "400 S0 H0 E0; 3", "400 S3 H0 E0; 3"},
		"exact repeat":                      {"200; 1", "200; 1", "200; 1"},
		"another value at the same time":    {"409; 1", "400; 1", "400; 1"},
		"newest first in one request":       {"200; 1", "200; 1", "200; 1"},
		"two hours old":                     {"409; 0", "400; 0", "400; 0"},
		"eleven minutes ahead":              {"200; 1", "400; 0", "400; 0"},
		"stale marker of an unknown series": {"200; 0", "200; 0", "200; 0"},
		"native histogram in 1.0":           {"200; 1", "200; 0", "200; 1"},
		"native histogram in 2.0":           {"200; 0", "204 S0 H1 E0; 0", "200 S0 H1 E0; 1"},
		"empty label value":                 {"409; 0", "200; 1", "200; 1"},
		"unsorted labels":                   {"409; 0", "200; 1", "200; 1"},
		"label twice":                       {"409; 0", "400; 0", "400; 0"},
		"UTF-8 name":                        {"200; 1", "400; 0", "400; 0"},
		"label name of 300 bytes":           {"200; 1", "200; 1", "200; 1"},
		"label value of 5,000 bytes":        {"200; 1", "400; 0", "400; 0"},
		"41 labels":                         {"200; 1", "400; 0", "400; 0"},
		"after one three hours ahead":       {"409; 0", "200; 1", "200; 1"},
	}
}
