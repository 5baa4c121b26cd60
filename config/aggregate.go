package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/pushbridge/pushbridge/group"
)

// aggregateSchema says how the pushes to a group are added up. The first three have one
// value only, so that a file can say what it relies on.
type aggregateSchema struct {
	// Labels that neither the group nor its series have.
	Drop []string `yaml:"drop"`
	// sum
	Counters string `yaml:"counters"`
	// sum
	Histograms string `yaml:"histograms"`
	// sum
	Summaries string `yaml:"summaries"`
	// last, sum, max or min
	Gauges string `yaml:"gauges"`
}

func (s *aggregateSchema) aggregation() (*group.Aggregation, error) {
	for _, f := range []struct{ name, value string }{
		{"counters", s.Counters}, {"histograms", s.Histograms}, {"summaries", s.Summaries},
	} {
		if f.value != "" && f.value != "sum" {
			return nil, fmt.Errorf("%s: must be sum, is %q", f.name, f.value)
		}
	}
	a := &group.Aggregation{Drop: slices.Compact(slices.Sorted(slices.Values(s.Drop)))}
	for _, name := range a.Drop {
		switch {
		case name == model.JobLabel:
			return nil, fmt.Errorf("drop: a group has a job always, so %q must stay", name)
		case !model.UTF8Validation.IsValidLabelName(name) || strings.HasPrefix(name, model.ReservedLabelPrefix):
			return nil, fmt.Errorf("drop: %q is not the name of a grouping label", name)
		}
	}
	if s.Gauges == "" {
		return a, nil
	}
	var ok bool
	if a.Gauges, ok = group.ParseGaugeRule(s.Gauges); !ok {
		return nil, fmt.Errorf("gauges: must be last, sum, max or min, is %q", s.Gauges)
	}
	return a, nil
}
