package remotewrite

import (
	"bytes"
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"
	"go.yaml.in/yaml/v2"

	"github.com/pushbridge/pushbridge/convert"
	"github.com/pushbridge/pushbridge/group"
)

// Naming is what decides under which names and labels a destination's series
// arrive. When it changes, a receiver goes on showing those that have other ones
// now, until somebody ends them: that takes the old Naming.
type Naming struct {
	Place    string               `yaml:"place"` // where they arrive, hashed
	External map[string]string    `yaml:"external_labels,omitempty"`
	Rules    []*relabel.Config    `yaml:"write_relabel_configs,omitempty"`
	Escaping model.EscapingScheme `yaml:"escaping,omitempty"`
	Natives  Natives              `yaml:"natives,omitempty"`
	Native1  bool                 `yaml:"send_native_histograms,omitempty"`
}

// NamingOf returns the Naming of a destination with these settings.
func NamingOf(c *Config, o *Options) Naming {
	n := Naming{
		Place: c.placeID(), Rules: c.WriteRelabelConfigs,
		Escaping: o.Escaping, Natives: o.Natives, Native1: c.SendNativeHistograms,
	}
	for _, l := range o.External {
		if n.External == nil {
			n.External = map[string]string{}
		}
		n.External[l.Name] = l.Value
	}
	return n
}

// Equal reports whether n and o name every series alike.
func (n Naming) Equal(o Naming) bool {
	a, err := yaml.Marshal(n)
	if err != nil {
		return false
	}
	b, err := yaml.Marshal(o)
	return err == nil && bytes.Equal(a, b)
}

// Check finds what was not written by a Naming.
func (n Naming) Check() error {
	for i, r := range n.Rules {
		if r == nil {
			return fmt.Errorf("relabel rule %d is empty", i+1)
		}
		if err := r.Validate(model.UTF8Validation); err != nil {
			return fmt.Errorf("relabel rule %d: %w", i+1, err)
		}
	}
	return nil
}

// former converts as the destination did under a Naming before.
type former struct {
	relabel *relabeler
	natives Natives
	native1 bool
}

func newFormer(n *Naming) former {
	var l []group.Label
	for name, value := range n.External {
		l = append(l, group.Label{Name: name, Value: value})
	}
	return former{newRelabeler(group.NewLabels(l), n.Rules, n.Escaping), n.Natives, n.Native1}
}

// options are those of now, with the forms of histograms of then. Nobody knows in
// which protocol they went out; a marker that nobody needs does no harm.
func (f *former) options(o convert.Options, p Protocol) convert.Options {
	o.SendNative = f.natives != NativesNever && (p == Protocol2 || f.native1)
	o.AlsoClassic = f.natives != NativesAlone
	return o
}

// aside says what an item carries beside, or in place of, the samples of its record.
type aside uint8

const (
	nothingAside aside = iota
	stateAside         // ends what the group was sent as before, and is not any more
	endedAside         // only ends what the record ended, under one of its names of before
)

// endFormer appends to live, which begins at from with what the group is sent as
// now, a marker for each series that it was sent as before.
func (s *stage) endFormer(live []convert.Series, l *loaded, p Protocol) []convert.Series {
	ended := s.ended[:0]
	o := s.d.convertOptions(p)
	formers := s.formers
	if l.item.aside == endedAside {
		formers = formers[l.item.former:][:1]
	}
	for i := range formers {
		f := &formers[i]
		n := len(ended)
		var skipped convert.Skipped
		if l.item.aside == stateAside {
			ended, skipped = s.conv.Append(ended, l.item.record, f.options(o, p))
			ended = l.markersOf(ended, n)
		} else {
			ended, skipped = s.conv.AppendEnded(ended, l.item.record, f.options(o, p))
		}
		ended = ended[:n+len(f.relabel.all(ended[n:], &l.drops))]
		l.skip(&skipped)
	}
	s.ended = ended
	n := len(live)
	live = s.conv.Markers(live, ended, live[l.from:])
	l.drops[markerNotNeeded] += uint64(len(ended) - (len(live) - n))
	s.d.metrics.renamed.Add(float64(len(live) - n))
	return live
}

// markersOf makes markers of series[from:]. Those with a time of their own have none
// (rule ST-2).
func (l *loaded) markersOf(series []convert.Series, from int) []convert.Series {
	kept := series[:from]
	for _, x := range series[from:] {
		if x.Time != l.item.record.Time {
			l.drops[markerNotNeeded]++
			continue
		}
		kept = append(kept, x.Marker())
	}
	return kept
}

// endedOnly converts only what a record ended, under one of its names of before.
func (s *stage) endedOnly(series []convert.Series, l *loaded, p Protocol) []convert.Series {
	o := s.d.convertOptions(p)
	var sent outcome // with the record itself
	live, _ := s.conv.Append(series, l.item.record, o)
	live = live[:l.from+len(s.relabel.all(live[l.from:], &sent))]
	n := len(live)
	live, _ = s.conv.AppendEnded(live, l.item.record, o)
	live = live[:n+len(s.relabel.all(live[n:], &sent))]
	n = len(live)
	live = s.endFormer(live, l, p)
	return append(live[:l.from], live[n:]...)
}

// skip counts what was not converted.
func (l *loaded) skip(skipped *convert.Skipped) {
	for i, n := range skipped {
		l.drops[reasonOfSkip(convert.Reason(i))] += uint64(n)
	}
}
