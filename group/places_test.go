package group

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// valuesOf returns all values of a group.
func valuesOf(g *Group) (all []uint64) {
	for _, m := range g.Members {
		for _, metric := range m.Metrics() {
			all = append(all, m.Part.ValuesOf(&metric)...)
		}
	}
	return all
}

// TestNext_Some: a record with some series of a group changes their values, whatever pages
// they are in, and no version before it.
func TestNext_Some(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 1))
	for _, size := range []int{3, 20, 300} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			var text strings.Builder
			text.WriteString("# TYPE h histogram\n")
			for i := range size {
				fmt.Fprintf(&text, "h_bucket{i=\"%d\",le=\"1\"} 1\nh_bucket{i=\"%d\",le=\"2\"} 1\nh_bucket{i=\"%d\",le=\"3\"} 1\nh_sum{i=\"%d\"} 1\nh_count{i=\"%d\"} 1\n", i, i, i, i, i)
			}
			whole := part(t, text.String())
			var shapes Shapes
			g := (*Group)(nil).Next(&Record{Kind: KindPost, Labels: labelsOf("job=a"), Part: whole, Members: whole.Members()}, &shapes)
			versions, want := []*Group{g}, [][]uint64{valuesOf(g)}
			for n := range uint64(50) {
				i := rng.IntN(size)
				p := part(t, strings.ReplaceAll("# TYPE h histogram\nh_bucket{i=\"N\",le=\"1\"} 1\nh_bucket{i=\"N\",le=\"2\"} 1\nh_bucket{i=\"N\",le=\"3\"} 1\nh_sum{i=\"N\"} 1\nh_count{i=\"N\"} 1\n", "N", fmt.Sprint(i)))
				next := append([]uint64(nil), want[len(want)-1]...)
				for j := range p.Values {
					p.Values[j] = n + uint64(j)
				}
				copy(next[5*i:], p.Values)
				g = g.Next(&Record{Kind: KindPost, Labels: labelsOf("job=a"), Part: p, Members: p.Members(), Merge: Merge{Pushes: 1, Some: true}}, &shapes)
				versions, want = append(versions, g), append(want, next)
			}
			for i, v := range versions {
				if diff := gocmp.Diff(want[i], valuesOf(v)); diff != "" {
					t.Fatalf("version %d (-want +got):\n%s", i, diff)
				}
			}
			if g.Samples() != versions[0].Samples() || g.Members[0].Part.Shape != versions[0].Members[0].Part.Shape {
				t.Error("the shape is another one")
			}
		})
	}
}
