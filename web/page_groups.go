package web

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// A page stays small enough for any browser, however many groups there are.
const groupsPerPage = 100

// groupsView is which groups the list shows.
type groupsView struct {
	Query           string
	Failed, Overdue bool
	Wrong           string // what is wrong with the query
	Filtered        bool
	AdminAPI        bool

	Total, AllFailed, AllOverdue int // of all groups
	Matching                     int
	Rows                         []groupRow
	Sort                         string
	Sorts                        []sortLink
	Preview                      string // the API's list of what matches
	paging
}

// groupRow is one group in the list.
type groupRow struct {
	Link, Path, Text string
	Labels           []group.Label
	Families, Series int
	Push, Fail       stampView
	Expires          stampView
	Failed, Overdue  bool
	Deliveries       []deliveryView // of the latest push, those that did not go well first
	MoreDeliveries   int
}

// deliveriesShown bounds the destinations in a row.
const deliveriesShown = 3

// sortLink is an order that the list can have.
type sortLink struct {
	Title, Link string
	Current     bool
}

// sorts are the orders that the page offers.
var sorts = []struct{ title, value string }{
	{"name", "name"},
	{"latest push first", "-last_push"},
	{"oldest push first", "last_push"},
	{"most series first", "-series"},
	{"overdue first", "overdue"},
}

func (h *site) viewGroups(r *http.Request) (any, error) {
	query, now := r.URL.Query(), h.o.Now()
	v := groupsView{
		Query: strings.TrimSpace(query.Get("q")), Failed: query.Get("failed") != "", Overdue: query.Get("overdue") != "",
		Sort: cmp.Or(query.Get("sort"), "name"), AdminAPI: h.o.AdminAPI,
	}
	v.Filtered = v.Query != "" || v.Failed || v.Overdue
	groups := h.o.Store.Groups()
	v.count(groups, now)
	asked := v.query()
	v.sorts(h.o.ExternalPath, asked)
	s, err := selectionOf(asked, now)
	if err != nil {
		v.Wrong, v.Pages = strings.TrimPrefix(err.Error(), "q: "), 1
		return v, nil
	}
	s.limit = len(groups)
	var matching []*group.Group
	v.Matching, matching = s.from(groups)
	asked.Set("page", query.Get("page"))
	v.paging = pagingOf(link(h.o.ExternalPath, "groups", nil), asked, v.Matching, groupsPerPage)
	for _, g := range matching[max(0, v.From-1):v.To] {
		v.Rows = append(v.Rows, h.viewRow(g, now))
	}
	return v, nil
}

func (v *groupsView) count(groups []*group.Group, now time.Time) {
	v.Total = len(groups)
	for _, g := range groups {
		if !lastPushSuccessful(g) {
			v.AllFailed++
		}
		if g.Overdue(now) {
			v.AllOverdue++
		}
	}
}

// query is what the page shows, as an address says it.
func (v *groupsView) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"q": v.Query, "failed": one(v.Failed), "overdue": one(v.Overdue), "sort": v.Sort} {
		if value != "" && value != "name" {
			q.Set(name, value)
		}
	}
	return q
}

func one(b bool) string {
	if b {
		return "1"
	}
	return ""
}

// sorts links to the same groups in other orders. The preview of a deletion asks the API
// for those that this page counts.
func (v *groupsView) sorts(base string, asked url.Values) {
	for _, s := range sorts {
		q := maps.Clone(asked)
		q.Set("sort", s.value)
		if s.value == "name" {
			q.Del("sort")
		}
		v.Sorts = append(v.Sorts, sortLink{s.title, link(base, "groups", q), s.value == v.Sort})
	}
	q := url.Values{"limit": {"1000"}}
	for _, k := range []string{"q", "failed", "overdue"} {
		if asked.Has(k) {
			q[k] = asked[k]
		}
	}
	v.Preview = "api/v1/groups?" + q.Encode()
}

func (h *site) viewRow(g *group.Group, now time.Time) groupRow {
	labels := jobFirst(g.Labels)
	r := groupRow{
		Link: link(h.o.ExternalPath, "group", queryOf("key", groupKeyOf(g))), Path: groupPath(g.Labels), Text: labelText(labels),
		Labels: labels, Families: len(g.Members), Series: g.Samples(),
		Push: stamp(g.Push, now), Fail: stamp(g.Fail, now), Failed: !lastPushSuccessful(g), Overdue: g.Overdue(now),
	}
	if t, ok := g.Expires(); ok {
		r.Expires = moment(t, now)
	}
	all := h.deliveries(g, now)
	slices.SortStableFunc(all, func(a, b deliveryView) int { return b.Level.rank() - a.Level.rank() })
	r.Deliveries = all[:min(deliveriesShown, len(all))]
	r.MoreDeliveries = len(all) - len(r.Deliveries)
	return r
}

// sortByJob looks up each job once: looking it up in every comparison would be
// most of the work for a page.
func sortByJob(groups []*group.Group) []*group.Group {
	type keyed struct {
		job string
		g   *group.Group
	}
	keys := make([]keyed, len(groups))
	for i, g := range groups {
		keys[i] = keyed{g.Labels.Job(), g}
	}
	slices.SortFunc(keys, func(a, b keyed) int {
		return cmp.Or(strings.Compare(a.job, b.job), strings.Compare(a.g.ID, b.g.ID))
	})
	for i, k := range keys {
		groups[i] = k.g
	}
	return groups
}

func hasWords(g *group.Group, words []string) bool {
	if len(words) == 0 {
		return true
	}
	key := strings.ToLower(labelText(jobFirst(g.Labels)))
	for _, w := range words {
		if !strings.Contains(key, w) && !slices.ContainsFunc(g.Members, func(m group.Member) bool {
			return strings.Contains(strings.ToLower(m.Of().Name), w)
		}) {
			return false
		}
	}
	return true
}
