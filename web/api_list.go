package web

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// GroupList is what /api/v1/groups answers.
type GroupList struct {
	Total    int            `json:"total"`    // groups that there are
	Matching int            `json:"matching"` // groups that were asked for
	Offset   int            `json:"offset"`   // how many of those come before the first one here
	Groups   []GroupSummary `json:"groups"`
}

// GroupSummary is a group without its metrics, which /api/v1/metrics has.
type GroupSummary struct {
	Key        string            `json:"key"` // names the group to the page: ?group=
	Labels     map[string]string `json:"labels"`
	Path       string            `json:"path"` // to push to it and to delete it, below the route prefix
	Families   int               `json:"families"`
	Series     int               `json:"series"`
	LastPush   time.Time         `json:"last_push,omitzero"`
	LastFail   time.Time         `json:"last_fail,omitzero"`
	Successful bool              `json:"last_push_successful"`
	Expires    time.Time         `json:"expires,omitzero"`
	Overdue    bool              `json:"overdue"`
	Deliveries []Delivery        `json:"deliveries"` // of the latest change

	LastRefusal *Refusal   `json:"last_refusal,omitempty"` // of a push
	Aggregate   *Aggregate `json:"aggregate,omitempty"`    // of a group in which pushes are added up
}

// Aggregate says how a group came about in which pushes are added up.
type Aggregate struct {
	Pushes uint64 `json:"pushes"`         // since it began or was replaced
	Rule   string `json:"rule,omitempty"` // as check-config prints it; empty: none matches the group itself
}

// aggregateOf returns what there is to say of g, nil when its pushes are not added up.
func aggregateOf(g *group.Group, rules *group.Rules) *Aggregate {
	if g.Pushes == 0 {
		return nil
	}
	a := &Aggregate{Pushes: g.Pushes}
	if how, rule := rules.Aggregation(g.Labels); how != nil {
		a.Rule = rule.Selects() + " aggregate " + how.String()
	}
	return a
}

// APIGroups lists groups. It belongs at /api/v1/groups, for GET.
func (h *Handler) APIGroups() http.Handler { return apiGet(h.serveGroups) }

// APIDestinations lists the destinations. It belongs at /api/v1/destinations.
func (h *Handler) APIDestinations() http.Handler { return apiGet(h.serveDestinations) }

func (h *Handler) serveGroups(w http.ResponseWriter, r *http.Request) {
	now := h.o.Now()
	s, err := selectionOf(r.URL.Query(), now)
	if err != nil {
		h.answerError(w, http.StatusBadRequest, "bad_data", err)
		return
	}
	groups := h.o.Store.Groups()
	list := GroupList{Total: len(groups), Offset: s.offset, Groups: []GroupSummary{}}
	var shown []*group.Group
	list.Matching, shown = s.from(groups)
	for _, g := range shown {
		one := summaryOf(g, now)
		one.Aggregate = aggregateOf(g, h.o.Store.Rules())
		if r, ok := h.o.Refusals.Last(g.ID); ok {
			one.LastRefusal = &r
		}
		if one.Deliveries = h.o.Pushes.OfGroup(g); one.Deliveries == nil {
			one.Deliveries = []Delivery{}
		}
		list.Groups = append(list.Groups, one)
	}
	h.answer(w, list)
}

func summaryOf(g *group.Group, now time.Time) GroupSummary {
	s := GroupSummary{
		Key: groupKeyOf(g), Labels: make(map[string]string, len(g.Labels)), Path: groupPath(g.Labels),
		Families: len(g.Members), Series: g.Samples(),
		LastPush: timeOf(g.Push), LastFail: timeOf(g.Fail), Successful: lastPushSuccessful(g), Overdue: g.Overdue(now),
	}
	for _, l := range g.Labels {
		s.Labels[l.Name] = l.Value
	}
	if t, ok := g.Expires(); ok {
		s.Expires = t.UTC()
	}
	return s
}

// groupKeyOf is how links and the API name a group.
func groupKeyOf(g *group.Group) string { return KeyOf(g.ID) }

// timeOf is a moment in ns since the epoch; 0 is none.
func timeOf(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

func (h *Handler) serveDestinations(w http.ResponseWriter, _ *http.Request) {
	list := h.o.Destinations()
	if list == nil {
		list = []Destination{}
	}
	h.answer(w, list)
}

// answer writes data in the envelope of the API.
func (h *Handler) answer(w http.ResponseWriter, data any) {
	h.answerWith(w, http.StatusOK, apiAnswer{Status: "success", Data: data})
}

// answerError writes an error in the envelope of the API.
func (h *Handler) answerError(w http.ResponseWriter, status int, kind string, err error) {
	h.answerWith(w, status, apiAnswer{Status: "error", ErrorType: kind, Error: err.Error()})
}

func (h *Handler) answerWith(w http.ResponseWriter, status int, a apiAnswer) {
	b, err := json.Marshal(a)
	if err != nil { // a time beyond the year 9999
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(status)
	if _, err := w.Write(b); err != nil {
		h.o.Logger.Debug("api answer cut short", "err", err)
	}
}
