package pgfile

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"github.com/pushbridge/pushbridge/group"
)

// The types below are, to encoding/gob, those that Pushgateway 1.x writes its
// persistence file with: what counts are the names of fields, and that a family
// encodes itself.
type (
	pgGroups map[string]pgGroup // by grouping key

	pgGroup struct {
		Labels  map[string]string
		Metrics map[string]pgTimedFamily
	}

	pgTimedFamily struct {
		Timestamp            time.Time
		GobbableMetricFamily *pgFamily
	}
)

// pgFamily is a family in the file: protobuf bytes. It is turned into protobuf
// when its turn comes, so that not all groups are there in that form at once.
type pgFamily struct {
	view func() *dto.MetricFamily // when writing
	read *dto.MetricFamily        // when reading
}

// GobEncode is for encoding/gob.
func (f *pgFamily) GobEncode() ([]byte, error) { return proto.Marshal(f.view()) }

// GobDecode is for encoding/gob.
func (f *pgFamily) GobDecode(b []byte) error {
	f.read = &dto.MetricFamily{}
	return proto.Unmarshal(b, f.read)
}

// Write writes groups as a persistence file of Pushgateway 1.x.
func Write(w io.Writer, groups []*group.Group) error {
	all := make(pgGroups, len(groups))
	for _, g := range groups {
		all[keyOf(g)] = groupOf(g)
	}
	if err := gob.NewEncoder(w).Encode(all); err != nil {
		return fmt.Errorf("write Pushgateway's file: %w", err)
	}
	return nil
}

// keyOf is the group's key in the file: the ID without the separator at its end.
func keyOf(g *group.Group) string { return strings.TrimSuffix(g.ID, "\xff") }

func groupOf(g *group.Group) pgGroup {
	out := pgGroup{Labels: map[string]string{}, Metrics: map[string]pgTimedFamily{}}
	for _, l := range g.Labels {
		out.Labels[l.Name] = l.Value
	}
	for _, m := range g.Members {
		out.Metrics[m.Of().Name] = pgTimedFamily{
			Timestamp:            time.Unix(0, m.Part.Pushed),
			GobbableMetricFamily: &pgFamily{view: func() *dto.MetricFamily { return m.DTO(g.Labels) }},
		}
	}
	addOwn := func(mf *dto.MetricFamily, ns int64) {
		out.Metrics[mf.GetName()] = pgTimedFamily{
			Timestamp:            time.Unix(0, ns),
			GobbableMetricFamily: &pgFamily{view: func() *dto.MetricFamily { return mf }},
		}
	}
	addOwn(ownFamily(g, group.PushTimeName, group.PushTimeHelp, g.Push), g.Push)
	if g.Shows()&group.OwnFailTime != 0 {
		addOwn(ownFamily(g, group.FailTimeName, group.FailTimeHelp, g.Fail), g.Fail)
	}
	return out
}

// ownFamily is one of the group's own families, as a view shows it.
func ownFamily(g *group.Group, name, help string, ns int64) *dto.MetricFamily {
	labels := g.Labels.AppendView(nil, nil, &group.Metric{})
	pairs := make([]*dto.LabelPair, len(labels))
	for i := range labels {
		pairs[i] = &dto.LabelPair{Name: &labels[i].Name, Value: &labels[i].Value}
	}
	return &dto.MetricFamily{
		Name: &name, Help: &help, Type: dto.MetricType_GAUGE.Enum(),
		Metric: []*dto.Metric{{Label: pairs, Gauge: &dto.Gauge{Value: new(float64(ns) / 1e9)}}},
	}
}

// Group is one group of a Pushgateway's persistence file.
type Group struct {
	Labels  group.Labels
	Push    int64          // last successful push in ns since the epoch, 0 for never
	Fail    int64          // last refused push, the same
	Changes []group.Change // what makes the group: a PUT, and a POST for each later time of push
	Skipped []error        // families that cannot be taken over
}

// Read reads a persistence file of Pushgateway 1.x. The groups are
// sorted by grouping key. It fails when the file as a whole cannot be read.
func Read(r io.Reader) ([]Group, error) {
	var all pgGroups
	if err := decodeGob(r, &all); err != nil {
		return nil, fmt.Errorf("read Pushgateway's file: %w", err)
	}
	out := make([]Group, 0, len(all))
	for _, g := range all {
		out = append(out, g.read())
	}
	slices.SortFunc(out, func(a, b Group) int { return strings.Compare(a.Labels.ID(), b.Labels.ID()) })
	return out, nil
}

// decodeGob decodes what may be anything. The gob package is not hardened
// against such input, and says so: a panic of its is an error here.
func decodeGob(r io.Reader, v any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decode: %v", p)
		}
	}()
	return gob.NewDecoder(r).Decode(v)
}

func (g *pgGroup) read() Group {
	var out Group
	for name, value := range g.Labels {
		out.Labels = append(out.Labels, group.Label{Name: name, Value: value})
	}
	out.Labels = group.NewLabels(out.Labels)
	byTime := map[int64][]*dto.MetricFamily{}
	for _, f := range g.Metrics {
		if f.GobbableMetricFamily == nil || f.GobbableMetricFamily.read == nil {
			continue
		}
		mf := f.GobbableMetricFamily.read
		switch ns, own := ownTime(mf, f.Timestamp); {
		case own && mf.GetName() == group.PushTimeName:
			out.Push = ns
		case own:
			out.Fail = ns
		case mf.GetName() != group.PushTimeName:
			strip(mf, out.Labels)
			byTime[f.Timestamp.UnixNano()] = append(byTime[f.Timestamp.UnixNano()], mf)
		}
	}
	out.addChanges(byTime)
	return out
}

// ownTime returns the time that a family of the group's own tells: as precisely
// as the family's timestamp when that is the same time. The failure time may be a
// family that a client has pushed instead; only the help tells.
func ownTime(mf *dto.MetricFamily, at time.Time) (ns int64, ok bool) {
	switch mf.GetName() {
	case group.PushTimeName:
	case group.FailTimeName:
		if mf.GetHelp() != group.FailTimeHelp {
			return 0, false
		}
	default:
		return 0, false
	}
	if len(mf.Metric) != 1 || mf.Metric[0].Gauge == nil {
		return 0, false
	}
	v := mf.Metric[0].Gauge.GetValue()
	if ns := at.UnixNano(); float64(ns)/1e9 == v {
		return ns, true
	}
	if !(math.Abs(v) < math.MaxInt64/1e9) {
		return 0, false
	}
	seconds, fraction := math.Modf(v) // so that the same float comes out again
	return int64(seconds)*1e9 + int64(math.Round(fraction*1e9)), true
}

// strip removes the labels that a view of the group adds.
func strip(mf *dto.MetricFamily, g group.Labels) {
	for _, m := range mf.Metric {
		m.Label = slices.DeleteFunc(m.Label, func(l *dto.LabelPair) bool {
			_, ok := g.Lookup(l.GetName())
			return ok || l.GetName() == group.InstanceName && l.GetValue() == ""
		})
	}
}

// addChanges makes the changes of a group: the families of each time of push
// together, oldest first, and the group's own times with the last of them.
func (g *Group) addChanges(byTime map[int64][]*dto.MetricFamily) {
	kind := group.KindPut
	times := slices.Sorted(maps.Keys(byTime))
	for i, at := range times {
		part, err := g.build(byTime[at])
		if err != nil {
			g.Skipped = append(g.Skipped, err)
		}
		if i == len(times)-1 && g.Push != 0 {
			at = g.Push
		}
		g.Changes = append(g.Changes, group.Change{Kind: kind, Labels: g.Labels, Part: part, Push: at, Fail: g.Fail})
		kind = group.KindPost
	}
	switch {
	case len(times) > 0:
	case g.Push != 0:
		g.Changes = []group.Change{{Kind: group.KindPut, Labels: g.Labels, Push: g.Push, Fail: g.Fail}}
	default:
		g.Changes = []group.Change{{Kind: group.KindFail, Labels: g.Labels, Fail: g.Fail}}
	}
}

// takenOver says what a file may hold: times of samples that were accepted once, too, as a
// gateway with --push.accept-timestamps writes them.
var takenOver = group.BuildOptions{AcceptTimestamps: true}

// build makes a part of families, without those that are refused.
func (g *Group) build(mfs []*dto.MetricFamily) (*group.Part, error) {
	slices.SortFunc(mfs, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	part, err := group.FromDTO(mfs, takenOver)
	if err == nil {
		return part, nil
	}
	var good []*dto.MetricFamily
	var bad []error
	for _, mf := range mfs {
		if _, err := group.FromDTO([]*dto.MetricFamily{mf}, takenOver); err != nil {
			bad = append(bad, err)
		} else {
			good = append(good, mf)
		}
	}
	part, err = group.FromDTO(good, takenOver)
	return part, errors.Join(append(bad, err)...)
}
