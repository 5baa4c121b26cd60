package web

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/pushbridge/pushbridge/group"
)

// oneGroupView is the page of one group.
type oneGroupView struct {
	groupView
	Missing    bool
	Overdue    bool
	Aggregate  *Aggregate
	Deliveries []deliveryView
	LastWords  *refusalView // why the latest refused push was refused
	Pushes     []pushView
	Curl       string // a push of the same, but for the address
	CurlCut    bool
}

// deliveryView is what became of the latest push of a group at one destination.
type deliveryView struct {
	Delivery
	Link  string
	Level level
	When  stampView
	Lost  string // samples that it does not have, by reason
}

var groupLimits = limits{family: 10_000, lines: 10_000}

const (
	pushesShown = 25
	curlBytes   = 64 << 10
)

func (h *site) viewOneGroup(r *http.Request) (any, error) {
	now := h.o.Now()
	id, _ := base64.RawURLEncoding.DecodeString(r.URL.Query().Get("key")) // what is no key is no group's
	groups := h.o.Store.Groups()
	i := slices.IndexFunc(groups, func(g *group.Group) bool { return g.ID == string(id) })
	v := oneGroupView{Missing: i < 0}
	if r, ok := h.o.Refusals.Last(string(id)); ok {
		words := h.viewRefusal(&r, now)
		v.LastWords = &words
	}
	if i < 0 {
		return v, nil
	}
	g := groups[i]
	left := groupLimits.lines
	v.groupView = viewGroup(g, now, groupLimits, &left)
	v.Overdue, v.Aggregate = g.Overdue(now), aggregateOf(g, h.o.Store.Rules())
	if r, ok := h.o.Refused()[g.ID]; ok {
		v.Refused = refusedBy{true, moment(r.Time, now), r.Destination, r.Text, r.Samples, r.Suspect}
	}
	v.Deliveries = h.deliveries(g, now)
	v.Pushes = h.o.History.pushesOf(g.Labels, pushesShown, now)
	v.Curl, v.CurlCut = curl(g)
	return v, nil
}

// deliveries says what became of the latest push at each destination.
func (h *site) deliveries(g *group.Group, now time.Time) []deliveryView {
	var out []deliveryView
	for _, d := range h.o.Pushes.OfGroup(g) {
		v := deliveryView{
			Delivery: d, Link: link(h.o.ExternalPath, "destination", queryOf("name", d.Destination)),
			Level: deliveryLevel(d.State), When: momentOrNever(d.Time, now),
		}
		v.State = strings.ReplaceAll(d.State, "_", " ")
		var lost []string
		for _, reason := range slices.Sorted(maps.Keys(d.Dropped)) {
			text := strings.ReplaceAll(reason, "_", " ")
			if n := d.Dropped[reason]; n > 0 {
				text = plural(int(n), "sample") + " " + text
			}
			lost = append(lost, text)
		}
		v.Lost = strings.Join(lost, ", ")
		out = append(out, v)
	}
	return out
}

// deliveryLevel is that of a state that is not just on its way.
func deliveryLevel(state string) level {
	switch state {
	case "delivered", "before", "settled":
		return levelGood
	case "partly_delivered", "in_doubt", "held":
		return levelWarn
	case "dropped":
		return levelBad
	}
	return ""
}

// curl is a command that pushes what the group has, up to its address.
func curl(g *group.Group) (text string, cut bool) {
	var b strings.Builder
	for _, m := range g.Members {
		mf := m.DTO(g.Labels)
		for i, metric := range mf.Metric {
			metric.Label, metric.TimestampMs = m.MetricDTO(i, m.Part.Shape.AppendLabels(nil, &m.Metrics()[i])).Label, nil
		}
		if _, err := expfmt.MetricFamilyToText(&b, mf); err != nil || b.Len() > curlBytes {
			return "curl -X PUT --data-binary @metrics.prom ", true
		}
	}
	return b.String(), false
}

// limits bound what the page shows: per family, and in all.
type limits struct{ family, lines int }

// viewGroup describes g, and takes the lines it shows from left.
func viewGroup(g *group.Group, now time.Time, lim limits, left *int) groupView {
	v := groupView{
		Key:    groupKeyOf(g),
		Path:   groupPath(g.Labels),
		Text:   labelText(jobFirst(g.Labels)),
		Labels: jobFirst(g.Labels), Families: len(g.Members), Series: g.Samples(),
		Push: stamp(g.Push, now), Fail: stamp(g.Fail, now), Failed: !lastPushSuccessful(g),
	}
	if t, ok := g.Expires(); ok {
		v.Expires = moment(t, now)
	}
	for _, m := range g.Members {
		if *left <= 0 {
			v.Cut = true
			break
		}
		f := viewFamily(g, m, now, lim.family, left)
		v.Cut = v.Cut || f.Hidden > 0
		v.Shown = append(v.Shown, f)
	}
	return v
}
