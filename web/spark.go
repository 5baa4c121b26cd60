package web

import (
	"fmt"
	"strings"
)

// sparkline is a small picture of the last hour: its newest value is at the right.
type sparkline struct {
	Name   string // what it shows, for those who do not see it
	Line   string // points of a polyline
	Area   string // the same, closed at the bottom
	Now    string // the newest value
	Most   string // the largest value
	Any    bool   // there is something to draw
	Wanted bool   // above zero is nothing bad
}

const (
	sparkWidth  = 240
	sparkHeight = 36
)

// spark draws values, the oldest first, of which an hour has most.
func spark(name string, values []float64, unit func(float64) string, wanted bool) sparkline {
	s := sparkline{Name: name, Wanted: wanted}
	if len(values) == 0 {
		s.Now, s.Most = "–", "–"
		return s
	}
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	s.Now, s.Most, s.Any = unit(values[len(values)-1]), unit(most), true
	var line strings.Builder
	first := historyPoints - len(values)
	for i, v := range values {
		y := float64(sparkHeight - 1)
		if most > 0 {
			y -= v / most * (sparkHeight - 3)
		}
		fmt.Fprintf(&line, "%.1f,%.1f ", float64(first+i)*sparkWidth/float64(historyPoints-1), y)
	}
	s.Line = strings.TrimSpace(line.String())
	s.Area = fmt.Sprintf("%.1f,%d %s %d,%d", float64(first)*sparkWidth/float64(historyPoints-1), sparkHeight, s.Line, sparkWidth, sparkHeight)
	return s
}

// perSecond turns what came in each step into rates.
func perSecond[T any](points []T, of func(*T) uint64) []float64 {
	out := make([]float64, len(points))
	for i := range points {
		out[i] = float64(of(&points[i])) / historyStep.Seconds()
	}
	return out
}

func each[T any](points []T, of func(*T) float64) []float64 {
	out := make([]float64, len(points))
	for i := range points {
		out[i] = of(&points[i])
	}
	return out
}
