package gateway

import (
	"slices"
	"sync"
	"time"

	"github.com/pushbridge/pushbridge/group"
)

// jobs keeps what is known of the jobs that the configuration expects. It lies in the
// state as a group of each, which no client can touch; what pushes say goes there
// within a second, and so does that one is overdue.
type jobs struct {
	mu      sync.Mutex
	current []*job
	byJob   map[string][]*job // by the value of the job label
	changed bool              // there may be groups of jobs that are expected no more
}

// job is one that is expected.
type job struct {
	group.Job
	key     group.Labels
	state   group.JobState
	said    group.JobValues // what its group says, or will
	saidAt  time.Time       // zero: nothing, or it was lost
	due     time.Time       // of the state, see dueFor
	dueFor  int64           // the success that due was worked out for
	hasTold bool            // due is worked out
}

// JobStatus is one expected job, and how it is doing.
type JobStatus struct {
	*group.Job
	State   group.JobState
	Due     time.Time // it is overdue then, unless it succeeds
	Overdue bool
	Hangs   bool
}

// tellRunning is how often the runtime of a run that goes on is said anew.
const tellRunning = 15 * time.Second

// SetJobs makes these jobs the expected ones.
func (g *Gateway) SetJobs(expected []group.Job) {
	now := g.now()
	all := g.state.All()
	g.jobs.mu.Lock()
	defer g.jobs.mu.Unlock()
	before := g.jobs.current
	g.jobs.current, g.jobs.byJob, g.jobs.changed = nil, map[string][]*job{}, true
	for _, e := range expected {
		j := &job{Job: e, key: group.JobKey(e.Labels)}
		if i := slices.IndexFunc(before, func(o *job) bool { return slices.Equal(o.key, j.key) }); i >= 0 {
			j.state = before[i].state
		} else {
			j.recall(all, now)
		}
		name := e.Labels.Job()
		g.jobs.current = append(g.jobs.current, j)
		g.jobs.byJob[name] = append(g.jobs.byJob[name], j)
	}
}

// recall reads back what is known of a job: what its group says, and the pushes of
// which that did not hear any more.
func (j *job) recall(all []*group.Group, now time.Time) {
	j.state.Known = now.UnixNano()
	id := j.key.ID()
	for _, g := range all {
		if g.ID == id {
			j.state = g.JobState()
		}
	}
	heard := j.state.Push / 1e3 // it says microseconds
	for _, g := range all {
		if !g.Labels.IsJob() && g.Push/1e3 > heard && j.Matches(g.Labels) {
			j.Pushed(&j.state, g.Members, g.Push)
		}
	}
}

// observe hears of each record that is kept, in order.
func (s *jobs) observe(r *group.Record) {
	if r.Kind != group.KindPut && r.Kind != group.KindPost {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.byJob[r.Labels.Job()] {
		if !r.Labels.IsJob() && r.Push > j.state.Push && j.Matches(r.Labels) {
			j.Pushed(&j.state, r.Members, r.Push)
		}
	}
}

// tellJobs brings the groups of jobs in line with what is known, and ends those of
// jobs that are expected no more.
func (g *Gateway) tellJobs() {
	if g.Ready() != nil {
		return
	}
	now := g.now()
	g.endJobs(now)
	for _, n := range g.jobs.news(now) {
		g.tell(n, now)
	}
}

// news is what is to be said of a job.
type news struct {
	*job
	values group.JobValues
}

// news returns what is to be said anew, and takes it for said.
func (s *jobs) news(now time.Time) []news {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []news
	for _, j := range s.current {
		if v := j.values(now); j.changed(&v, now) {
			j.said, j.saidAt = v, now
			out = append(out, news{j, v})
		}
	}
	return out
}

// values are what is to be said of j.
func (j *job) values(now time.Time) group.JobValues {
	if base := max(j.state.Success, j.state.Known); !j.hasTold || base != j.dueFor {
		j.due, j.dueFor, j.hasTold = j.Due(&j.state), base, true
	}
	return group.JobValues{
		JobState: j.state,
		Overdue:  now.After(j.due) || j.Hangs(&j.state, now),
		Runtime:  j.state.Runtime(now).Seconds(),
	}
}

func (j *job) changed(v *group.JobValues, now time.Time) bool {
	if j.saidAt.IsZero() || v.JobState != j.said.JobState || v.Overdue != j.said.Overdue {
		return true
	}
	return v.Running() && now.Sub(j.saidAt) >= tellRunning
}

// tell says n. Nobody waits for it: what is lost is said again.
func (g *Gateway) tell(n news, now time.Time) {
	c := group.Change{Kind: group.KindPut, Labels: n.key, Job: true, Part: n.values.Part(n.Started != "")}
	err := g.state.Apply(c, now, func(r *group.Record) {
		g.enqueue(r, func(_ uint64, err error) {
			if err != nil {
				g.jobs.lost(n.job)
			}
		})
	})
	if err != nil {
		g.logger.Error("what is known of an expected job is not shown", "job", n.Labels.String(), "err", err)
	}
}

// lost makes j be told again.
func (s *jobs) lost(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j.saidAt = time.Time{}
}

// endJobs ends the groups of jobs that are expected no more, after the jobs changed.
func (g *Gateway) endJobs(now time.Time) {
	expected, changed := g.jobs.keys()
	if !changed {
		return
	}
	var gone []group.Labels
	for _, old := range g.state.All() {
		if old.Labels.IsJob() && !expected[old.ID] {
			gone = append(gone, old.Labels)
		}
	}
	if len(gone) > 0 {
		n := g.state.DeleteAll(gone, now, g.pass)
		g.logger.Info("jobs are expected no more", "jobs", n)
	}
}

// keys returns the IDs of the groups of all jobs when those have changed since the
// last call.
func (s *jobs) keys() (ids map[string]bool, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.changed {
		return nil, false
	}
	s.changed, ids = false, map[string]bool{}
	for _, j := range s.current {
		ids[j.key.ID()] = true
	}
	return ids, true
}

// Jobs returns the expected jobs in the order of the configuration, and how each is
// doing.
func (g *Gateway) Jobs() []JobStatus {
	now := g.now()
	g.jobs.mu.Lock()
	defer g.jobs.mu.Unlock()
	out := make([]JobStatus, len(g.jobs.current))
	for i, j := range g.jobs.current {
		v := j.values(now)
		out[i] = JobStatus{Job: &j.Job, State: j.state, Due: j.due, Overdue: v.Overdue, Hangs: j.Hangs(&j.state, now)}
	}
	return out
}
