package main

import (
	"github.com/pushbridge/pushbridge/ingest"
	"github.com/pushbridge/pushbridge/web"
)

// refusals describes the requests that were refused for the page and the API.
func refusals(h *ingest.Handler) []web.Refusal {
	list := h.Refusals()
	out := make([]web.Refusal, len(list))
	for i := range list {
		out[i] = viewRefusal(&list[i])
	}
	return out
}

func viewRefusal(r *ingest.Refusal) web.Refusal {
	v := web.Refusal{
		Time: r.Time.UTC(), Client: r.Client, Method: r.Method, Path: r.Path,
		Job: r.Job, Status: r.Status, Reason: r.Reason, Text: r.Text,
	}
	if r.GroupID != "" {
		v.Key = web.KeyOf(r.GroupID)
	}
	return v
}

func lastRefusal(h *ingest.Handler, id string) (web.Refusal, bool) {
	r, ok := h.LastRefusal(id)
	return viewRefusal(&r), ok
}
