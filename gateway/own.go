package gateway

import (
	dto "github.com/prometheus/client_model/go"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/state"
)

// ownFamilies describes the gateway's own metrics to the consistency check, those that
// it does not show yet too: a push must not collide with them.
func ownFamilies(o Options) []state.OwnFamily {
	families, err := o.Own.Gather()
	if err != nil {
		o.Logger.Error("own metrics cannot be gathered", "err", err)
	}
	own := make([]state.OwnFamily, 0, 2*len(families))
	shown := map[string]bool{}
	for _, f := range families {
		shown[f.GetName()] = true
	}
	for t, names := range o.Reserved {
		for _, name := range names {
			if !shown[name] {
				own = append(own, state.OwnFamily{Name: name, Type: t})
			}
		}
	}
	for _, f := range families {
		typ, _ := group.TypeOf(f.GetType())
		o := state.OwnFamily{Name: f.GetName(), Type: typ}
		for _, m := range f.GetMetric() {
			o.Series = append(o.Series, ownLabels(m))
		}
		own = append(own, o)
	}
	return own
}

func ownLabels(m *dto.Metric) group.Labels {
	l := make([]group.Label, 0, len(m.GetLabel()))
	for _, p := range m.GetLabel() {
		l = append(l, group.Label{Name: p.GetName(), Value: p.GetValue()})
	}
	return group.NewLabels(l)
}
