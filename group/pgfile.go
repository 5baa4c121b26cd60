package group

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
)

// Help texts of the group's own families, as Pushgateway words them: dashboards
// and tools compare whole views.
const (
	PushTimeHelp = "Last Unix time when changing this group in the Pushgateway succeeded."
	FailTimeHelp = "Last Unix time when changing this group in the Pushgateway failed."
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

// WritePushgatewayFile writes groups as a persistence file of Pushgateway 1.x.
func WritePushgatewayFile(w io.Writer, groups []*Group) error {
	all := make(pgGroups, len(groups))
	for _, g := range groups {
		all[g.pushgatewayKey()] = g.pushgateway()
	}
	if err := gob.NewEncoder(w).Encode(all); err != nil {
		return fmt.Errorf("write Pushgateway's file: %w", err)
	}
	return nil
}

// pushgatewayKey is the group's key in the file: the ID without the separator at
// its end.
func (g *Group) pushgatewayKey() string { return strings.TrimSuffix(g.ID, "\xff") }

func (g *Group) pushgateway() pgGroup {
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
	for _, o := range g.OwnDTO() {
		out.Metrics[o.GetName()] = pgTimedFamily{
			Timestamp:            time.Unix(0, g.ownTime(o.GetName())),
			GobbableMetricFamily: &pgFamily{view: func() *dto.MetricFamily { return o }},
		}
	}
	return out
}

func (g *Group) ownTime(name string) int64 {
	if name == PushTimeName {
		return g.Push
	}
	return g.Fail
}

// OwnDTO returns the group's own families as protobuf, as a view shows them.
func (g *Group) OwnDTO() []*dto.MetricFamily {
	mfs := []*dto.MetricFamily{g.ownFamily(PushTimeName, PushTimeHelp, g.Push)}
	if g.Shows()&OwnFailTime != 0 {
		mfs = append(mfs, g.ownFamily(FailTimeName, FailTimeHelp, g.Fail))
	}
	return mfs
}

func (g *Group) ownFamily(name, help string, ns int64) *dto.MetricFamily {
	labels := g.Labels.AppendView(nil, nil, &Metric{})
	return &dto.MetricFamily{
		Name: &name, Help: &help, Type: dto.MetricType_GAUGE.Enum(),
		Metric: []*dto.Metric{{Label: labelsDTO(labels), Gauge: &dto.Gauge{Value: new(float64(ns) / 1e9)}}},
	}
}

// PushgatewayGroup is one group of a Pushgateway's persistence file.
type PushgatewayGroup struct {
	Labels  Labels
	Push    int64    // last successful push in ns since the epoch, 0 for never
	Fail    int64    // last refused push, the same
	Changes []Change // what makes the group: a PUT, and a POST for each later time of push
	Skipped []error  // families that cannot be taken over
}

// ReadPushgatewayFile reads a persistence file of Pushgateway 1.x. The groups are
// sorted by grouping key. It fails when the file as a whole cannot be read.
func ReadPushgatewayFile(r io.Reader) ([]PushgatewayGroup, error) {
	var all pgGroups
	if err := decodeGob(r, &all); err != nil {
		return nil, fmt.Errorf("read Pushgateway's file: %w", err)
	}
	out := make([]PushgatewayGroup, 0, len(all))
	for _, g := range all {
		out = append(out, g.read())
	}
	slices.SortFunc(out, func(a, b PushgatewayGroup) int { return strings.Compare(a.Labels.ID(), b.Labels.ID()) })
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

func (g *pgGroup) read() PushgatewayGroup {
	var out PushgatewayGroup
	for name, value := range g.Labels {
		out.Labels = append(out.Labels, Label{name, value})
	}
	out.Labels = NewLabels(out.Labels)
	byTime := map[int64][]*dto.MetricFamily{}
	for _, f := range g.Metrics {
		if f.GobbableMetricFamily == nil || f.GobbableMetricFamily.read == nil {
			continue
		}
		mf := f.GobbableMetricFamily.read
		switch ns, own := ownTime(mf, f.Timestamp); {
		case own && mf.GetName() == PushTimeName:
			out.Push = ns
		case own:
			out.Fail = ns
		case mf.GetName() != PushTimeName:
			out.Labels.strip(mf)
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
	case PushTimeName:
	case FailTimeName:
		if mf.GetHelp() != FailTimeHelp {
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
func (g Labels) strip(mf *dto.MetricFamily) {
	for _, m := range mf.Metric {
		m.Label = slices.DeleteFunc(m.Label, func(l *dto.LabelPair) bool {
			_, ok := g.Lookup(l.GetName())
			return ok || l.GetName() == InstanceName && l.GetValue() == ""
		})
	}
}

// addChanges makes the changes of a group: the families of each time of push
// together, oldest first, and the group's own times with the last of them.
func (g *PushgatewayGroup) addChanges(byTime map[int64][]*dto.MetricFamily) {
	kind := KindPut
	times := slices.Sorted(maps.Keys(byTime))
	for i, at := range times {
		part, err := g.build(byTime[at])
		if err != nil {
			g.Skipped = append(g.Skipped, err)
		}
		if i == len(times)-1 && g.Push != 0 {
			at = g.Push
		}
		g.Changes = append(g.Changes, Change{Kind: kind, Labels: g.Labels, Part: part, Push: at, Fail: g.Fail})
		kind = KindPost
	}
	switch {
	case len(times) > 0:
	case g.Push != 0:
		g.Changes = []Change{{Kind: KindPut, Labels: g.Labels, Push: g.Push, Fail: g.Fail}}
	default:
		g.Changes = []Change{{Kind: KindFail, Labels: g.Labels, Fail: g.Fail, Err: errors.New("as Pushgateway had it")}}
	}
}

// build makes a part of families, without those that are refused.
func (g *PushgatewayGroup) build(mfs []*dto.MetricFamily) (*Part, error) {
	slices.SortFunc(mfs, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	part, err := FromDTO(mfs, BuildOptions{})
	if err == nil {
		return part, nil
	}
	var good []*dto.MetricFamily
	var bad []error
	for _, mf := range mfs {
		if _, err := FromDTO([]*dto.MetricFamily{mf}, BuildOptions{}); err != nil {
			bad = append(bad, err)
		} else {
			good = append(good, mf)
		}
	}
	part, err = FromDTO(good, BuildOptions{})
	return part, errors.Join(append(bad, err)...)
}
