package web

import (
	"net/http"
	"net/url"
)

// overviewView is the first page: what is wrong, and how everything is going.
type overviewView struct {
	Health       health
	Groups       int
	Series       string
	Traffic      []sparkline
	Destinations []destinationView
	Jobs         []jobView
	MoreJobs     int
	Refused      []refusalView
	Empty        bool
}

const overviewRows = 6

// viewOverview also knows where what it used to show has gone.
func (h *site) viewOverview(r *http.Request) (any, error) {
	query := r.URL.Query()
	switch {
	case query.Has("group"):
		return nil, &redirectError{link("", "group", url.Values{"key": {query.Get("group")}})}
	case query.Has("q") || query.Has("failed") || query.Has("page"):
		return nil, &redirectError{link("", "groups", query)}
	}
	now := h.o.Now()
	v := overviewView{Health: h.health.now(h)}
	series := 0
	groups := h.o.Store.Groups()
	for _, g := range groups {
		series += g.Samples()
	}
	v.Groups, v.Series, v.Empty = len(groups), grouped(int64(series)), len(groups) == 0
	points := h.o.History.trafficSeen()
	v.Traffic = []sparkline{
		spark("pushes a second", perSecond(points, func(p *trafficPoint) uint64 { return p.pushes }), short, true),
		spark("pushed samples a second", perSecond(points, func(p *trafficPoint) uint64 { return p.samples }), short, true),
		spark("refused requests a second", perSecond(points, func(p *trafficPoint) uint64 { return p.refused }), short, false),
	}
	v.Destinations = h.destinationViews(now)
	jobs := h.jobViews(h.o.Jobs(), now)
	v.Jobs = jobs[:min(overviewRows, len(jobs))]
	v.MoreJobs = len(jobs) - len(v.Jobs)
	refused := h.o.Refusals.Latest()
	for i := range refused[:min(overviewRows-1, len(refused))] {
		v.Refused = append(v.Refused, h.viewRefusal(&refused[i], now))
	}
	return v, nil
}

func queryOf(name, value string) url.Values { return url.Values{name: {value}} }
