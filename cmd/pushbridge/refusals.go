package main

import (
	"github.com/pushbridge/pushbridge/ingest"
	"github.com/pushbridge/pushbridge/web"
)

// refusals describes the requests that were refused for the pages and the API.
type refusals struct{ push *ingest.Handler }

// Latest implements web.Refusals.
func (r refusals) Latest() []web.Refusal {
	list := r.push.Refusals()
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

// Last implements web.Refusals.
func (r refusals) Last(groupID string) (web.Refusal, bool) {
	one, ok := r.push.LastRefusal(groupID)
	return viewRefusal(&one), ok
}
