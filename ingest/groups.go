package ingest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pushbridge/pushbridge/group"
)

// GroupsPath is where ServeGroups belongs, below the route prefix.
const GroupsPath = "/api/v1/groups"

const groupsMethods = "DELETE, GET, OPTIONS"

// ServeGroups answers /api/v1/groups but for GET, when the admin API is on: DELETE ends
// the groups that a match[] of the query selects, all at one time, and dry_run=1
// only lists them. Unlike the rest of the API it allows no other origin: a page
// on the web must not delete anything.
func (h *Handler) ServeGroups(w http.ResponseWriter, r *http.Request) {
	switch {
	case !h.adminAPI && r.Method == http.MethodDelete:
		http.NotFound(w, r)
	case !h.adminAPI:
		otherMethod(w, r, "GET, OPTIONS")
	case r.Method == http.MethodDelete:
		h.matched.ServeHTTP(w, r)
	default:
		otherMethod(w, r, groupsMethods)
	}
}

// deleteMatched is one deletion by matchers.
func (h *Handler) deleteMatched(w http.ResponseWriter, r *http.Request) {
	selectors, dryRun, err := groupsQuery(r)
	if err != nil {
		h.refuseJSON(w, r, err)
		return
	}
	keys := h.matching(selectors)
	if dryRun {
		h.answerJSON(w, http.StatusOK, listed(keys))
		return
	}
	n, err := h.gateway.DeleteAll(carriedOut(r), keys, h.now())
	if err != nil {
		h.refuseJSON(w, r, err)
		return
	}
	h.logger.Info("groups deleted by matchers", "match", group.Brief(strings.Join(r.URL.Query()["match[]"], " ")), "groups", n)
	h.answerJSON(w, http.StatusAccepted, map[string]int{"deleted": n})
}

// groupsQuery reads what a request selects, and whether it only asks.
func groupsQuery(r *http.Request) (selectors []group.Matchers, dryRun bool, err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil { // what is left of it could be everything but dry_run
		return nil, false, queryErrorf("the query cannot be read: %w", err)
	}
	for _, text := range query["match[]"] {
		m, err := group.ParseMatchers(text)
		if err != nil {
			return nil, false, queryErrorf("match[]: %w", err)
		}
		selectors = append(selectors, m)
	}
	if len(selectors) == 0 {
		return nil, false, queryErrorf(`match[] is missing: say which groups, as match[]={job="a"}`)
	}
	if v := query.Get("dry_run"); v != "" {
		if dryRun, err = strconv.ParseBool(v); err != nil {
			return nil, false, queryErrorf("dry_run must be 0 or 1, is %q", group.Brief(v))
		}
	}
	return selectors, dryRun, nil
}

func queryErrorf(format string, args ...any) error {
	return &MalformedError{Part: "query", Err: fmt.Errorf(format, args...)}
}

// matching returns the keys of the groups that any of selectors selects.
func (h *Handler) matching(selectors []group.Matchers) []group.Labels {
	var keys []group.Labels
	for _, g := range h.gateway.State().Groups() {
		if slices.ContainsFunc(selectors, func(m group.Matchers) bool { return m.Match(g.Labels) }) {
			keys = append(keys, g.Labels)
		}
	}
	return keys
}

// listed is what a dry run shows: the grouping labels of each group, sorted.
func listed(keys []group.Labels) []map[string]string {
	slices.SortFunc(keys, func(a, b group.Labels) int { return strings.Compare(a.ID(), b.ID()) })
	out := make([]map[string]string, len(keys))
	for i, l := range keys {
		out[i] = make(map[string]string, len(l))
		for _, p := range l {
			out[i][p.Name] = p.Value
		}
	}
	return out
}

// apiAnswer is the envelope of the API.
type apiAnswer struct {
	Status    string `json:"status"`
	Data      any    `json:"data,omitempty"`
	ErrorType string `json:"errorType,omitempty"`
	Error     string `json:"error,omitempty"`
}

func (h *Handler) answerJSON(w http.ResponseWriter, status int, data any) {
	writeJSON(w, status, apiAnswer{Status: "success", Data: data})
}

func (h *Handler) refuseJSON(w http.ResponseWriter, r *http.Request, err error) {
	status := h.noteRefusal(w, r, nil, err)
	kind := "bad_data"
	if status >= http.StatusInternalServerError {
		kind = "unavailable"
	}
	writeJSON(w, status, apiAnswer{Status: "error", ErrorType: kind, Error: told(err)})
}

func writeJSON(w http.ResponseWriter, status int, a apiAnswer) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache, no-store, must-revalidate")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // the client has gone, and that is all
}
