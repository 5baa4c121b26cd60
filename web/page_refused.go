package web

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// refusedView is the page of requests that were refused.
type refusedView struct {
	Query    string
	Total    int
	Matching int
	Rows     []refusalView
	paging
}

type refusalView struct {
	Refusal
	When  stampView
	Group string // its page, empty where there is no group
}

// paging is where a page of a long list stands.
type paging struct {
	Page, Pages    int
	From, To       int
	Previous, Next string // links, empty at the ends
}

const refusedPerPage = 100

func (h *site) viewRefused(r *http.Request) (any, error) {
	query, now := r.URL.Query(), h.o.Now()
	v := refusedView{Query: strings.TrimSpace(query.Get("q"))}
	all := h.o.Refusals.Latest()
	v.Total = len(all)
	words := strings.Fields(strings.ToLower(v.Query))
	var matching []*Refusal
	for i := range all {
		if all[i].has(words) {
			matching = append(matching, &all[i])
		}
	}
	v.Matching = len(matching)
	v.paging = pagingOf(link(h.o.ExternalPath, "refused", nil), query, len(matching), refusedPerPage)
	for _, one := range matching[max(0, v.From-1):v.To] {
		v.Rows = append(v.Rows, h.viewRefusal(one, now))
	}
	return v, nil
}

// has reports whether each word is somewhere in what is known of r.
func (r *Refusal) has(words []string) bool {
	if len(words) == 0 {
		return true
	}
	text := strings.ToLower(fmt.Sprintf("%s %s %s job=%q %d %s %s", r.Client, r.Method, r.Path, r.Job, r.Status, r.Reason, r.Text))
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

func (h *site) viewRefusal(r *Refusal, now time.Time) refusalView {
	v := refusalView{Refusal: *r, When: moment(r.Time, now)}
	if r.Key != "" {
		v.Group = link(h.o.ExternalPath, "group", queryOf("key", r.Key))
	}
	return v
}

// pagingOf reads ?page= of a list with so many rows.
func pagingOf(name string, query url.Values, rows, perPage int) paging {
	p := paging{Pages: max(1, (rows+perPage-1)/perPage)}
	n, _ := strconv.Atoi(query.Get("page")) // what is no number is the first page
	p.Page = min(max(n, 1), p.Pages)
	first := (p.Page - 1) * perPage
	p.To = min(first+perPage, rows)
	p.From = first + min(1, p.To-first)
	to := func(page int) string {
		q := maps.Clone(query)
		q.Set("page", strconv.Itoa(page))
		return link("", name, q)
	}
	if p.Page > 1 {
		p.Previous = to(p.Page - 1)
	}
	if p.Page < p.Pages {
		p.Next = to(p.Page + 1)
	}
	return p
}
