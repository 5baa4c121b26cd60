package group

import (
	"crypto/sha256"
	"slices"
	"strings"
)

// Aggregation says how what is pushed to a group is added up there, where otherwise it
// takes the place of what was pushed before. It does not change once made.
type Aggregation struct {
	Drop   []string // labels that neither the group nor its series have
	Gauges GaugeRule
}

// GaugeRule says what becomes of a gauge that is pushed again.
type GaugeRule uint8

// The rules for gauges: the newest value, or all of them added up, the largest or the
// smallest of them.
const (
	GaugeLast GaugeRule = iota
	GaugeSum
	GaugeMax
	GaugeMin
)

// gaugeRules are spelt as in the configuration.
var gaugeRules = [...]string{GaugeLast: "last", GaugeSum: "sum", GaugeMax: "max", GaugeMin: "min"}

// ParseGaugeRule reads what String has written.
func ParseGaugeRule(text string) (rule GaugeRule, ok bool) {
	i := slices.Index(gaugeRules[:], text)
	return GaugeRule(max(0, i)), i >= 0
}

func (r GaugeRule) String() string { return gaugeRules[r] }

// Drops reports whether the aggregate has no label of that name.
func (a *Aggregation) Drops(name string) bool { return slices.Contains(a.Drop, name) }

// Key returns the grouping key of the group in which pushes to l are added up.
func (a *Aggregation) Key(l Labels) Labels {
	return slices.DeleteFunc(slices.Clone(l), func(p Label) bool { return a.Drops(p.Name) })
}

// PushKey names one push, whichever attempt it comes by. The zero value names none.
type PushKey [16]byte

// NewPushKey returns the key of the push to l that its client calls id.
func NewPushKey(l Labels, id string) PushKey {
	sum := sha256.Sum256([]byte(l.ID() + "\xff" + id))
	return PushKey(sum[:len(PushKey{})])
}

// Merge says of the record of a push that was added up what its part does not say. The
// part has the sums, so that whoever folds the record in needs no rule.
type Merge struct {
	Pushes uint64  // since the group began or was replaced; 0: the group is not aggregated
	Some   bool    // the part has some series of its families: the group's others stay
	Key    PushKey // of the push
}

func (m Merge) flags() uint64 {
	f := uint64(0)
	if m.Pushes != 0 {
		f |= hasPushes
	}
	if m.Some {
		f |= isSome
	}
	if m.Key != (PushKey{}) {
		f |= hasKey
	}
	return f
}

// String prints a as check-config shows it.
func (a *Aggregation) String() string {
	text := "gauges=" + a.Gauges.String()
	if len(a.Drop) > 0 {
		text = "drop=" + strings.Join(a.Drop, ",") + " " + text
	}
	return text
}
