package group

import "math"

// jobMark is a grouping label that no client can push under. A group that has it is
// the gateway's own, and holds what is said of the expected job with the other labels:
// so that is kept, sent again and ended like anything that was pushed. Its value is
// empty, so it is not there at delivery; views leave it out.
const jobMark = "__expected_job__"

// JobKey returns the grouping key under which the gateway keeps what is known of the
// job with labels l.
func JobKey(l Labels) Labels {
	return NewLabels(append([]Label{{Name: jobMark}}, l...))
}

// IsJob reports whether l is the key of what is known of an expected job.
func (l Labels) IsJob() bool {
	_, ok := l.Lookup(jobMark)
	return ok
}

// IsMark reports whether l only says that its group is of an expected job.
func (l Label) IsMark() bool { return l.Name == jobMark }

// Public appends l as views show it.
func (l Labels) Public(dst []Label) []Label {
	for _, p := range l {
		if !p.IsMark() {
			dst = append(dst, p)
		}
	}
	return dst
}

// The families that are said of an expected job. The last three need a metric that
// tells when a run began.
const (
	JobOverdueName = "pushbridge_job_overdue"
	JobPushName    = "pushbridge_job_last_push_timestamp_seconds"
	JobSuccessName = "pushbridge_job_last_success_timestamp_seconds"
	JobStartName   = "pushbridge_job_last_start_timestamp_seconds"
	JobRunningName = "pushbridge_job_running"
	JobRuntimeName = "pushbridge_job_runtime_seconds"
)

// jobHelp is the help of a family that is said of a job, and empty for any other.
func jobHelp(name string) string {
	switch name {
	case JobOverdueName:
		return "Whether the expected job has not succeeded in time, or takes longer than it may."
	case JobPushName:
		return "When the expected job was last pushed to, in Unix time; 0 for never."
	case JobSuccessName:
		return "When the expected job last succeeded, in Unix time; 0 for never."
	case JobStartName:
		return "When the last run of the expected job began, in Unix time; 0 for never."
	case JobRunningName:
		return "Whether a run of the expected job has begun and not ended."
	case JobRuntimeName:
		return "How long the last run of the expected job took, or has taken so far."
	}
	return ""
}

// isOwn reports whether nobody can push a family of that name.
func isOwn(name string) bool {
	return name == OverdueName || jobHelp(name) != ""
}

// JobValues are what is said of a job at one moment.
type JobValues struct {
	JobState
	Overdue bool
	Runtime float64 // in seconds
}

// Part returns the families of v, those of runs only when they are known.
func (v *JobValues) Part(runs bool) *Part {
	b := builders.Get().(*Builder)
	defer builders.Put(b)
	add := func(name string, value float64) {
		b.Family(name, Gauge)
		b.Help(jobHelp(name))
		b.Metric(FormSingle, nil, nil, math.Float64bits(value))
	}
	add(JobPushName, float64(v.Push)/1e9)
	if runs {
		add(JobStartName, float64(v.Start)/1e9)
	}
	add(JobSuccessName, float64(v.Success)/1e9)
	add(JobOverdueName, truth(v.Overdue))
	if runs {
		add(JobRunningName, truth(v.Running()))
		add(JobRuntimeName, v.Runtime)
	}
	return b.Part()
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// JobState returns what g, the group of a job, says.
func (g *Group) JobState() JobState {
	get := func(name string) float64 { v, _ := valueOf(g.Members, name); return v }
	ns := func(name string) int64 { return int64(math.Round(get(name)*1e6)) * 1e3 }
	s := JobState{Known: g.Born * 1e6, Push: ns(JobPushName), Success: ns(JobSuccessName), Start: ns(JobStartName)}
	if get(JobRunningName) == 0 && s.Start > 0 {
		s.End = s.Start + int64(get(JobRuntimeName)*1e9)
	}
	return s
}
