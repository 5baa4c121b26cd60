package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/common/model"

	"github.com/pushbridge/pushbridge/remotewrite"
)

// traitsSchema is what pushbridge.destinations says about one remote_write
// section, named by its name: what Prometheus' own section has no field for.
type traitsSchema struct {
	// The name of the section of remote_write.
	Name string `yaml:"name"`
	// For a receiver without UTF-8 names: underscores, dots or values. allow-utf-8
	// without one.
	EscapingScheme string `yaml:"metric_name_escaping_scheme"`
	// Of a histogram that has both forms: true sends the classic one beside the native
	// one, false the native one alone. Without it both, unless send_native_histograms
	// says that the receiver keeps native ones.
	AlwaysClassic *bool `yaml:"always_send_classic_histograms"`
	// Send the classic form only, in 2.0 too.
	LeaveNatives bool `yaml:"leave_out_native_histograms"`
	// What becomes of samples while the receiver refuses how it is reached, as by 401 or
	// 404: hold, the default, or drop.
	Misconfigured string `yaml:"on_misconfiguration"`
}

// traits are those of the file, by the name of the section.
func (o *ownSchema) traits(sections []*remotewrite.Config, wrong *problems) map[string]remotewrite.Traits {
	all := map[string]remotewrite.Traits{}
	for i := range o.Destinations {
		s := &o.Destinations[i].value
		t, err := s.traits(sections)
		if _, twice := all[s.Name]; err == nil && twice {
			err = fmt.Errorf("name %q is given twice", s.Name)
		}
		if err != nil {
			wrong.add(o.Destinations[i].line, fmt.Errorf("pushbridge.destinations, item %d: %w", i+1, err))
			continue
		}
		all[s.Name] = t
	}
	return all
}

func (s *traitsSchema) traits(sections []*remotewrite.Config) (remotewrite.Traits, error) {
	t := remotewrite.Traits{Natives: s.natives()}
	if s.Name == "" {
		return t, errors.New("name is missing: say which remote_write section, by its name")
	}
	if !slices.ContainsFunc(sections, func(c *remotewrite.Config) bool { return c.Name == s.Name }) {
		return t, fmt.Errorf("there is no remote_write section with name %q", s.Name)
	}
	switch s.Misconfigured {
	case "", "hold":
	case "drop":
		t.DropRejected = true
	default:
		return t, fmt.Errorf("on_misconfiguration: %q is neither hold nor drop", s.Misconfigured)
	}
	if s.EscapingScheme == "" {
		return t, nil
	}
	var err error
	if t.Escaping, err = model.ToEscapingScheme(s.EscapingScheme); err != nil {
		return t, fmt.Errorf("metric_name_escaping_scheme: %q is not one of %s, %s, %s, %s", s.EscapingScheme,
			model.AllowUTF8, model.EscapeUnderscores, model.EscapeDots, model.EscapeValues)
	}
	return t, nil
}

func (s *traitsSchema) natives() remotewrite.Natives {
	switch {
	case s.LeaveNatives:
		return remotewrite.NativesNever
	case s.AlwaysClassic == nil:
		return remotewrite.NativesSafe
	case *s.AlwaysClassic:
		return remotewrite.NativesBeside
	}
	return remotewrite.NativesAlone
}
