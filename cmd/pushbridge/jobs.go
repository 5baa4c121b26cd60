package main

import (
	"time"

	"github.com/pushbridge/pushbridge/web"
)

// jobs describes the expected jobs for the page and the API.
func (s *server) jobs() []web.Job {
	var out []web.Job
	for _, j := range s.gateway.Jobs() {
		labels := make(map[string]string, len(j.Labels))
		for _, l := range j.Labels {
			labels[l.Name] = l.Value
		}
		out = append(out, web.Job{
			Labels: labels, When: j.When, Grace: j.Grace.Seconds(), MaxRuntime: j.MaxRuntime.Seconds(),
			LastPush: moment(j.State.Push), LastSuccess: moment(j.State.Success), LastStart: moment(j.State.Start),
			Running: j.State.Running(), Runtime: j.State.Runtime(s.now()).Seconds(),
			Due: j.Due.UTC(), Overdue: j.Overdue, Hangs: j.Hangs,
		})
	}
	return out
}

// moment is a time in ns since the epoch; 0 is none.
func moment(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
