package web

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/group"
	"github.com/pushbridge/pushbridge/state"
)

// A page stays small enough for any browser, however many groups there are.
const groupsPerPage = 500

var (
	listLimits  = limits{family: 50, lines: 5_000}
	groupLimits = limits{family: 10_000, lines: 10_000}
)

// contentPolicy lets the page load its own two files and talk to its own
// server, and nothing else.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"

// Status serves the page. It belongs at / (that path alone) and /status.
func (h *Handler) Status() http.Handler {
	return GetOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var page bytes.Buffer
		if err := h.assets.page.Execute(&page, h.page(r.URL.Query())); err != nil {
			h.o.Logger.Error("status page not rendered", "err", err)
			http.Error(w, "The page could not be rendered: "+err.Error(), http.StatusInternalServerError)
			return
		}
		head := w.Header()
		head.Set("Content-Type", "text/html; charset=utf-8")
		head.Set("Content-Security-Policy", contentPolicy)
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Referrer-Policy", "same-origin")
		head.Set("Cache-Control", "no-store")
		if _, err := w.Write(page.Bytes()); err != nil {
			h.o.Logger.Debug("status page cut short", "err", err)
		}
	}))
}

// pageView is everything that the template shows.
type pageView struct {
	Base     string // what links to other paths begin with, see Options.ExternalPath
	Assets   string // version of the static files
	Version  string
	Started  stampView
	NotReady string
	Conflict int // inconsistencies for which /metrics is refused
	Hidden   []state.HiddenFamily
	AdminAPI bool

	groupList

	Destinations []destinationView
	Flags, Build []pairView
}

// groupList is which groups the page shows.
type groupList struct {
	Total, Failed  int // of all groups
	Matching       int
	Query          string
	FailedOnly     bool
	Groups         []groupView
	Single         bool // one group is looked at
	Missing        bool // and it has gone
	Page, Pages    int
	From, To       int
	Previous, Next string // links, empty at the ends
}

type pairView struct{ Name, Value string }

// destinationView is one destination on the page.
type destinationView struct {
	Destination
	Pending, Lag           string
	Dropped                string // and in doubt, with reasons
	LastSuccess, LastError stampView
	Error                  string
}

// page gathers what a request asks for: ?q= filters, ?failed=1 shows only groups
// whose last push was refused, ?page= turns pages, ?group= shows one in full.
func (h *Handler) page(query url.Values) pageView {
	now := h.o.Now()
	v := pageView{
		Base: h.o.ExternalPath, Assets: h.assets.version, Version: h.o.Build["version"], AdminAPI: h.o.AdminAPI,
		Started: moment(h.o.Started, now), Conflict: h.o.Store.LiveConflicts(), Hidden: h.o.Store.Hidden(),
		groupList: groupList{Query: strings.TrimSpace(query.Get("q")), FailedOnly: query.Get("failed") != ""},
		Flags:     pairs(h.o.Flags), Build: pairs(h.o.Build),
	}
	if err := h.o.Ready(); err != nil {
		v.NotReady = err.Error()
	}
	for _, d := range h.o.Destinations() {
		v.Destinations = append(v.Destinations, viewDestination(d, now))
	}
	groups := h.o.Store.Groups()
	v.count(groups)
	if key := query.Get("group"); key != "" {
		v.showOne(groups, key, h.o.Refused(), now)
	} else {
		v.showList(groups, query, now)
	}
	return v
}

func (v *groupList) count(groups []*group.Group) {
	v.Total = len(groups)
	for _, g := range groups {
		if !lastPushSuccessful(g) {
			v.Failed++
		}
	}
}

// showOne shows the group whose key was taken from a link, as far as it goes.
func (v *groupList) showOne(groups []*group.Group, key string, refused map[string]Refused, now time.Time) {
	v.Single, v.Missing = true, true
	id, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil {
		return
	}
	i := slices.IndexFunc(groups, func(g *group.Group) bool { return g.ID == string(id) })
	if i < 0 {
		return
	}
	left := groupLimits.lines
	v.Missing = false
	v.Matching, v.From, v.To = 1, 1, 1
	one := viewGroup(groups[i], now, groupLimits, &left)
	if r, ok := refused[groups[i].ID]; ok {
		one.Refused = refusedView{true, moment(r.Time, now), r.Destination, r.Text, r.Samples, r.Suspect}
	}
	v.Groups = []groupView{one}
}

// showList shows one page of the groups that match.
func (v *groupList) showList(groups []*group.Group, query url.Values, now time.Time) {
	groups = sortByJob(v.filter(groups))
	v.Matching = len(groups)
	v.Pages = max(1, (len(groups)+groupsPerPage-1)/groupsPerPage)
	n, _ := strconv.Atoi(query.Get("page")) // what is no number is the first page
	v.Page = min(max(n, 1), v.Pages)
	first := (v.Page - 1) * groupsPerPage
	shown := groups[first:min(first+groupsPerPage, len(groups))]
	v.From, v.To = first+min(1, len(shown)), first+len(shown)
	left := listLimits.lines
	for _, g := range shown {
		v.Groups = append(v.Groups, viewGroup(g, now, listLimits, &left))
	}
	if v.Page > 1 {
		v.Previous = v.link(v.Page - 1)
	}
	if v.Page < v.Pages {
		v.Next = v.link(v.Page + 1)
	}
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

// filter returns the groups that have each word of the query in the grouping key
// or in the name of a family.
func (v *groupList) filter(groups []*group.Group) []*group.Group {
	words := strings.Fields(strings.ToLower(v.Query))
	out := make([]*group.Group, 0, len(groups))
	for _, g := range groups {
		if v.FailedOnly && lastPushSuccessful(g) || !hasWords(g, words) {
			continue
		}
		out = append(out, g)
	}
	return out
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

// link returns the address of another page of the same list.
func (v *groupList) link(page int) string {
	q := url.Values{"page": {strconv.Itoa(page)}}
	if v.Query != "" {
		q.Set("q", v.Query)
	}
	if v.FailedOnly {
		q.Set("failed", "1")
	}
	return "?" + q.Encode()
}

func viewDestination(d Destination, now time.Time) destinationView {
	v := destinationView{Destination: d, Pending: fmt.Sprint(d.Books.Pending), Lag: span(d.Lag()), Error: d.LastError}
	var lost []string
	for _, why := range slices.Sorted(maps.Keys(d.Books.Dropped)) {
		lost = append(lost, fmt.Sprintf("%d %s", d.Books.Dropped[why], why))
	}
	if d.Books.InDoubt > 0 {
		lost = append(lost, fmt.Sprintf("%d in doubt", d.Books.InDoubt))
	}
	v.Dropped = strings.Join(lost, ", ")
	v.LastSuccess = stampView{Relative: "never"}
	if !d.LastSuccess.IsZero() {
		v.LastSuccess = moment(d.LastSuccess, now)
	}
	if !d.LastErrorTime.IsZero() {
		v.LastError = moment(d.LastErrorTime, now)
	}
	return v
}

// pairs sorts a map for the page.
func pairs(m map[string]string) []pairView {
	out := make([]pairView, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, pairView{k, m[k]})
	}
	return out
}
