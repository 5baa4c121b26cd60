package web

import (
	"maps"
	"net/http"
	"slices"
)

// statusView is the page of what the process is.
type statusView struct {
	Started      stampView
	InMemory     bool
	Build, Flags []pairView
	Replicas     *replicasView
}

type pairView struct{ Name, Value string }

// viewStatus also knows where what it used to show has gone.
func (h *site) viewStatus(r *http.Request) (any, error) {
	if q := r.URL.Query(); q.Has("group") || q.Has("q") || q.Has("failed") {
		return h.viewOverview(r)
	}
	return statusView{
		Started: moment(h.o.Process.Started, h.o.Now()), InMemory: h.o.Process.InMemory,
		Build: pairs(h.o.Process.Build), Flags: pairs(h.o.Process.Flags), Replicas: h.viewReplicas(),
	}, nil
}

// pairs sorts a map for the page.
func pairs(m map[string]string) []pairView {
	out := make([]pairView, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, pairView{k, m[k]})
	}
	return out
}
