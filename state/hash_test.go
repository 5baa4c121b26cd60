package state

import (
	"slices"
	"testing"

	"github.com/pushbridge/pushbridge/group"
)

// hashesOf are the hashes of all series of a part in a group.
func hashesOf(g groupHash, p *group.Part) []seriesHash {
	var out []seriesHash
	for _, m := range p.Members() {
		g.each(m, func(_ int, s seriesHash) { out = append(out, s) })
	}
	return append(out, g.own(group.PushTimeName))
}

// TestGroupHashIsAValue: the hash of a group does not care what its hasher is asked in
// between, for other groups and other shapes.
func TestGroupHashIsAValue(t *testing.T) {
	alone := newHasher()
	keys := []group.Labels{labelsOf("job=a"), labelsOf("job=a instance=i"), labelsOf("job=a path=x"), labelsOf("job=a empty=")}
	parts := []*group.Part{
		part(t, "a{instance=\"\",path=\"y\"} 1\na{path=\"\"} 2\nb{path=\"y\"} 1\n"),
		part(t, "b{path=\"y\"} 1\nc{instance=\"i\",path=\"x\"} 1\nc{empty=\"\"} 1\n"),
	}
	shared := alone.fresh()
	var of []groupHash
	for _, k := range keys {
		of = append(of, shared.of(k))
	}
	for range 2 {
		for i, k := range keys {
			for _, p := range parts {
				only := alone.fresh()
				if got, want := hashesOf(of[i], p), hashesOf(only.of(k), p); !slices.Equal(got, want) {
					t.Errorf("%s: %v, want %v as of a hasher that nobody else asks", k, got, want)
				}
			}
		}
	}
}
