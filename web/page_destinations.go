package web

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// destinationView is one destination on a page.
type destinationView struct {
	Destination
	Level                     level
	Link                      string
	Pending, Behind, Finished string
	Dropped                   string // and in doubt, with reasons
	Success, Failure, Began   stampView
	Rate                      sparkline
}

// oneDestinationView is the page of one.
type oneDestinationView struct {
	destinationView
	Missing  bool
	Asked    string
	History  []sparkline
	Reasons  []pairView
	Errors   []eventView
	States   []eventView
	Settings string
	CanPause bool

	PausePath string // of the API, to pause it or to resume it

	Kept, LettersLink string // of the dropped samples
}

type eventView struct {
	When  stampView
	First stampView
	Text  string
	Count int
}

func (h *site) viewDestinations(*http.Request) (any, error) {
	return h.destinationViews(h.o.Now()), nil
}

func (h *site) destinationViews(now time.Time) []destinationView {
	all := h.o.Destinations()
	out := make([]destinationView, len(all))
	for i := range all {
		out[i] = h.viewDestination(&all[i], now)
	}
	return out
}

func (h *site) viewDestination(d *Destination, now time.Time) destinationView {
	v := destinationView{
		Destination: *d, Level: destinationLevel(d), Link: link(h.o.ExternalPath, "destination", queryOf("name", d.Name)),
		Pending: grouped(int64(d.Books.Pending)), Behind: span(d.Lag()), Finished: grouped(int64(d.Books.Delivered)),
		Success: momentOrNever(d.LastSuccess, now), Failure: momentOrNever(d.LastErrorTime, now), Began: momentOrNever(d.Since, now),
	}
	var dropped []string
	for _, reason := range slices.Sorted(maps.Keys(d.Books.Dropped)) {
		if n := d.Books.Dropped[reason]; n > 0 {
			dropped = append(dropped, fmt.Sprintf("%s %s", grouped(int64(n)), reason))
		}
	}
	if d.Books.InDoubt > 0 {
		dropped = append(dropped, grouped(int64(d.Books.InDoubt))+" in doubt")
	}
	v.Dropped = strings.Join(dropped, ", ")
	points, _, _ := h.o.History.of(d.Name)
	v.Rate = deliveredSpark(points)
	return v
}

func deliveredSpark(points []destinationPoint) sparkline {
	return spark("delivered samples a second", perSecond(points, func(p *destinationPoint) uint64 { return p.delivered }), short, true)
}

func (h *site) viewOneDestination(r *http.Request) (any, error) {
	name, now := r.URL.Query().Get("name"), h.o.Now()
	v := oneDestinationView{Missing: true, Asked: name, CanPause: h.o.AdminAPI}
	all := h.o.Destinations()
	i := slices.IndexFunc(all, func(d Destination) bool { return d.Name == name })
	if i < 0 {
		return v, nil
	}
	v.Missing, v.destinationView = false, h.viewDestination(&all[i], now)
	v.PausePath = "api/v1/destinations/" + url.PathEscape(name) + "/pause"
	if v.Paused {
		v.PausePath = strings.TrimSuffix(v.PausePath, "pause") + "resume"
	}
	v.Kept = plural(int(v.DeadLetters.Samples), "sample")
	v.LettersLink = link(h.o.ExternalPath, "dead-letters", queryOf("destination", name))
	points, errors, states := h.o.History.of(name)
	v.History = []sparkline{
		deliveredSpark(points),
		spark("dropped samples a second", perSecond(points, func(p *destinationPoint) uint64 { return p.dropped }), short, false),
		spark("samples that wait", each(points, func(p *destinationPoint) float64 { return float64(p.pending) }), short, false),
		spark("behind", each(points, func(p *destinationPoint) float64 { return float64(p.lag) }), spanOf, false),
		spark("time of a request", each(points, (*destinationPoint).requestTime), requestTime, true),
	}
	for _, reason := range slices.Sorted(maps.Keys(all[i].Books.Dropped)) {
		if n := all[i].Books.Dropped[reason]; n > 0 {
			v.Reasons = append(v.Reasons, pairView{reason, grouped(int64(n))})
		}
	}
	v.Errors, v.States = viewEvents(errors, now), viewEvents(states, now)
	v.Settings = h.o.Settings(name)
	return v, nil
}

// requestTime is the mean of the requests of a step.
func (p *destinationPoint) requestTime() float64 {
	if p.requests == 0 {
		return 0
	}
	return float64(p.request) / float64(p.requests)
}

func requestTime(v float64) string {
	if text := readableSeconds(v); text != "" {
		return text
	}
	return short(v) + " s"
}

func spanOf(v float64) string { return span(seconds64(v)) }

// viewEvents has the latest first.
func viewEvents(events []event, now time.Time) []eventView {
	out := make([]eventView, 0, len(events))
	for _, e := range slices.Backward(events) {
		out = append(out, eventView{moment(e.Time, now), moment(e.First, now), strings.ReplaceAll(e.Text, "_", " "), e.Count})
	}
	return out
}
