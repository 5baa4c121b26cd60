package web

import (
	"bufio"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/state"
)

// sortedGroups returns the groups as of now, by grouping key. Pushgateway's
// order changes from answer to answer.
func sortedGroups(s *state.Store) []*group.Group {
	groups := s.Groups()
	slices.SortFunc(groups, func(a, b *group.Group) int { return strings.Compare(a.ID, b.ID) })
	return groups
}

// groupsJSON writes groups as /api/v1/metrics shows them, the keys of each
// object by name. It goes straight from shapes to bytes: a million series need
// no more memory than one.
type groupsJSON struct {
	w      *bufio.Writer // remembers its first error
	b      []byte        // what comes next
	labels []group.Label // scratch
	bounds boundsJSON

	refused map[string]Refused // by group.Group.ID
	keys    []groupKey         // scratch
}

// flushAt is how many bytes are collected before they are written.
const flushAt = 32 << 10

func writeGroupsJSON(w io.Writer, groups []*group.Group, refused map[string]Refused) error {
	j := &groupsJSON{refused: refused, w: bufio.NewWriterSize(w, flushAt), b: make([]byte, 0, flushAt)}
	j.text(`{"status":"success","data":[`)
	for i, g := range groups {
		if i > 0 {
			j.text(",")
		}
		if err := j.group(g); err != nil {
			return err
		}
	}
	j.text("]}")
	if err := j.flush(); err != nil {
		return err
	}
	return j.w.Flush()
}

func (j *groupsJSON) text(s string) { j.b = append(j.b, s...) }

func (j *groupsJSON) flush() error {
	_, err := j.w.Write(j.b)
	j.b = j.b[:0]
	return err
}

// groupKey is a key of a group's object that is no pushed family.
type groupKey struct {
	name  string
	write func(*groupsJSON, *group.Group)
}

// groupKeys are sorted by name. A pushed family of such a name takes the place,
// as it does in Pushgateway.
var groupKeys = []groupKey{
	{"expires", (*groupsJSON).expires},
	{"labels", func(j *groupsJSON, g *group.Group) { j.object(g.Labels) }},
	{"last_push_successful", func(j *groupsJSON, g *group.Group) { j.b = strconv.AppendBool(j.b, lastPushSuccessful(g)) }},
	{"last_refused", (*groupsJSON).lastRefused},
	{group.FailTimeName, func(j *groupsJSON, g *group.Group) { j.stamp(g, group.FailTimeHelp, g.Fail, g.Push) }},
	{group.PushTimeName, func(j *groupsJSON, g *group.Group) { j.stamp(g, group.PushTimeHelp, g.Push, g.Fail) }},
}

func (j *groupsJSON) group(g *group.Group) error {
	before := "{"
	key := func(name string) {
		j.text(before)
		j.string(name)
		j.text(":")
		before = ","
	}
	keys := j.keysOf(g)
	for _, m := range g.Members {
		name := m.Of().Name
		for ; len(keys) > 0 && keys[0].name <= name; keys = keys[1:] {
			if keys[0].name < name {
				key(keys[0].name)
				keys[0].write(j, g)
			}
		}
		key(name)
		if err := j.family(g, m); err != nil {
			return err
		}
	}
	for _, k := range keys {
		key(k.name)
		k.write(j, g)
	}
	j.text("}")
	return j.flushIfLong()
}

// keysOf returns the keys that g has. Those that are our own it has only when
// there is something to say: otherwise it is exactly what Pushgateway shows.
func (j *groupsJSON) keysOf(g *group.Group) []groupKey {
	j.keys = j.keys[:0]
	_, expires := g.Expires()
	_, refused := j.refused[g.ID]
	for _, k := range groupKeys {
		if k.name == "expires" && !expires || k.name == "last_refused" && !refused {
			continue
		}
		j.keys = append(j.keys, k)
	}
	return j.keys
}

// lastRefused is our own key: what a receiver did not take of this group.
func (j *groupsJSON) lastRefused(g *group.Group) {
	r := j.refused[g.ID]
	j.text(`{"destination":`)
	j.string(r.Destination)
	j.text(`,"message":`)
	j.string(r.Text)
	j.text(`,"samples":`)
	j.b = strconv.AppendUint(j.b, r.Samples, 10)
	if r.Suspect {
		j.text(`,"suspect":true`)
	}
	j.text(`,"time":`)
	j.time(r.Time)
	j.text("}")
}

// object writes labels, sorted by name, as one object.
func (j *groupsJSON) object(labels []group.Label) {
	j.text("{")
	for i, l := range labels {
		if i > 0 {
			j.text(",")
		}
		j.string(l.Name)
		j.text(":")
		j.string(l.Value)
	}
	j.text("}")
}

// expires is our own key, and stands only with groups that were given a time to
// live.
func (j *groupsJSON) expires(g *group.Group) {
	t, _ := g.Expires()
	j.time(t)
}

// lastPushSuccessful compares what the two push time families show: a group may
// have pushed a failure time of its own.
func lastPushSuccessful(g *group.Group) bool {
	m, ok := g.Member(group.FailTimeName)
	if !ok {
		return g.LastPushSuccessful()
	}
	fail := 0.0
	if metrics := m.Metrics(); m.Of().Type == group.Gauge && len(metrics) > 0 {
		fail = math.Float64frombits(m.Part.ValuesOf(&metrics[0])[0])
	}
	return fail <= seconds(g.Push)
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// stamp writes one of the families that tell when a group was pushed. A family
// that has not happened yet bears the time of the other.
func (j *groupsJSON) stamp(g *group.Group, help string, ns, other int64) {
	at := ns
	if at == 0 {
		at = other
	}
	j.header(at, group.Gauge, help)
	j.text(`{"labels":`)
	j.labels = append(j.labels[:0], g.Labels...)
	if i, ok := slices.BinarySearchFunc(j.labels, group.InstanceName, compareName); !ok {
		j.labels = slices.Insert(j.labels, i, group.Label{Name: group.InstanceName})
	}
	j.object(j.labels)
	j.text(`,"value":`)
	j.float(seconds(ns))
	j.text("}]}")
}

func compareName(l group.Label, name string) int { return strings.Compare(l.Name, name) }

// header begins a family, up to its first metric.
func (j *groupsJSON) header(ns int64, t group.Type, help string) {
	j.text(`{"time_stamp":`)
	j.time(time.Unix(0, ns))
	j.text(`,"type":"`)
	j.text(t.DTO().String())
	j.text(`"`)
	if help != "" {
		j.text(`,"help":`)
		j.string(help)
	}
	j.text(`,"metrics":[`)
}

func (j *groupsJSON) time(t time.Time) {
	j.text(`"`)
	j.b = t.AppendFormat(j.b, time.RFC3339Nano)
	j.text(`"`)
}
