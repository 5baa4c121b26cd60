package web

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// jobsView is the page of expected jobs.
type jobsView struct {
	Query       string
	Wrong       string // what is wrong with the query
	Total       int
	Jobs        []jobView
	ByRule      int // groups that a rule expects and that are overdue
	ByRuleQuery string
}

// jobView is one expected job.
type jobView struct {
	Labels                       []group.Label
	When                         string
	Level                        level
	State                        string // in a word or two
	Due                          stampView
	LastPush, LastSuccess, Start stampView
	Runtime, MaxRuntime          string
	Groups                       string // the page with its groups
}

func (h *site) viewJobs(r *http.Request) (any, error) {
	v := jobsView{Query: strings.TrimSpace(r.URL.Query().Get("q"))}
	now := h.o.Now()
	jobs := h.o.Jobs()
	v.Total = len(jobs)
	f, err := parseFilter(v.Query)
	if err != nil {
		v.Wrong = strings.TrimPrefix(err.Error(), "q: ")
		return v, nil
	}
	for _, j := range h.jobViews(jobs, now) {
		if f.hasLabels(j.Labels) {
			v.Jobs = append(v.Jobs, j)
		}
	}
	for _, g := range h.o.Store.Groups() {
		if g.Overdue(now) {
			v.ByRule++
		}
	}
	return v, nil
}

// jobViews describes jobs, those that are overdue first.
func (h *site) jobViews(jobs []Job, now time.Time) []jobView {
	jobs = slices.Clone(jobs)
	slices.SortStableFunc(jobs, func(a, b Job) int {
		switch {
		case a.Overdue != b.Overdue && a.Overdue:
			return -1
		case a.Overdue != b.Overdue:
			return 1
		}
		return cmp.Or(a.Due.Compare(b.Due), strings.Compare(a.text(), b.text()))
	})
	out := make([]jobView, len(jobs))
	for i := range jobs {
		out[i] = h.viewJob(&jobs[i], now)
	}
	return out
}

func (h *site) viewJob(j *Job, now time.Time) jobView {
	v := jobView{
		Labels: j.sorted(), When: j.When, Level: levelGood, State: "in time", Due: moment(j.Due, now),
		LastPush: momentOrNever(j.LastPush, now), LastSuccess: momentOrNever(j.LastSuccess, now), Start: momentOrNever(j.LastStart, now),
	}
	if !j.LastStart.IsZero() {
		v.Runtime = span(seconds64(j.Runtime))
	}
	if j.MaxRuntime > 0 {
		v.MaxRuntime = span(seconds64(j.MaxRuntime))
	}
	switch {
	case j.Hangs:
		v.Level, v.State = levelBad, "hangs"
	case j.Overdue:
		v.Level, v.State = levelBad, "overdue"
	case j.Running:
		v.State = "running"
	case j.LastSuccess.IsZero():
		v.Level, v.State = levelNote, "not yet due"
	case j.LastPush.After(j.LastSuccess.Add(time.Second)) && j.LastSuccess.Before(j.LastStart):
		v.Level, v.State = levelWarn, "last run failed"
	}
	v.Groups = link(h.o.ExternalPath, "groups", queryOf("q", matcherText(v.Labels)))
	return v
}

func momentOrNever(t, now time.Time) stampView {
	if t.IsZero() {
		return stampView{Relative: "never"}
	}
	return moment(t, now)
}

func seconds64(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// sorted returns the labels with the job in front.
func (j *Job) sorted() []group.Label {
	var l []group.Label
	for _, name := range slices.Sorted(maps.Keys(j.Labels)) {
		l = append(l, group.Label{Name: name, Value: j.Labels[name]})
	}
	return jobFirst(group.NewLabels(l))
}

// text names the job in a sentence.
func (j *Job) text() string {
	l := j.sorted()
	if len(l) == 1 {
		return l[0].Value
	}
	return matcherText(l)
}

// matcherText prints labels as a filter takes them.
func matcherText(l []group.Label) string { return group.Labels(l).String() }
