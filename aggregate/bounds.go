package aggregate

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/pushbridge/pushbridge/group"
)

const anew = "or begin anew, by a PUT or after a DELETE of the group"

// aligned returns the slots of a histogram as bounds lay them out. How many observations
// are up to a bound does not depend on the other bounds, so those that the histogram has
// more than are wanted can go; one that it lacks cannot be told. Up to +Inf are all.
func (s *series) aligned(bounds []float64) ([]uint64, error) {
	if slices.EqualFunc(s.bounds, bounds, sameBound) {
		return s.values, nil
	}
	out := append(make([]uint64, 0, 2+len(bounds)), s.values[:2]...)
	for _, b := range bounds {
		i := slices.IndexFunc(s.bounds, func(own float64) bool { return sameBound(own, b) })
		switch {
		case i >= 0:
			out = append(out, s.values[2+i])
		case math.IsInf(b, 1):
			out = append(out, s.values[1])
		default:
			return nil, fmt.Errorf("has buckets up to %s, and those that it is to be added to are up to %s: push those, %s",
				spelled(s.bounds), spelled(bounds), anew)
		}
	}
	return out, nil
}

func sameBound(a, b float64) bool { return a == b }

// spelled prints bounds, not more than a message may quote.
func spelled(bounds []float64) string {
	if len(bounds) == 0 {
		return "+Inf alone"
	}
	text := make([]string, len(bounds))
	for i, b := range bounds {
		text[i] = labels.FormatOpenMetricsFloat(b)
	}
	return group.Brief(strings.Join(text, ", "))
}
