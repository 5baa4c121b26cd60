package group

import (
	"math"
	"slices"
	"time"
)

// Job is one that is expected: the configuration says when it has to succeed. The
// pushes of every group whose grouping labels are at least its labels are its own.
type Job struct {
	Labels Labels

	// It has to succeed once in Every, or after each time that Next returns, which
	// is the first after the given one. One of the two is set.
	Every time.Duration
	Next  func(time.Time) time.Time

	When       string        // Every or Next, as the configuration says it
	Grace      time.Duration // how late it may be
	MaxRuntime time.Duration // how long a run may take; 0 for ever

	// Names of metrics that tell more than that something was pushed. Started and
	// Ended hold Unix times in seconds. Empty: there is none.
	Success        string
	SuccessValue   *float64 // the value of Success that is a success; nil: it holds the time of the last one
	Started, Ended string
}

// JobState is what pushes have told of a job. Times are in ns since the epoch, 0 for
// never.
type JobState struct {
	Known   int64 // since when it is expected
	Push    int64 // the last push that was accepted
	Success int64
	Start   int64 // of the last run
	End     int64 // of the last run that ended
}

// Running reports whether a run has begun and not ended.
func (s *JobState) Running() bool { return s.Start > s.End }

// Runtime returns how long the last run took, or has taken by now.
func (s *JobState) Runtime(now time.Time) time.Duration {
	switch {
	case s.Running():
		return max(0, now.Sub(time.Unix(0, s.Start)))
	case s.Start == 0:
		return 0
	}
	return time.Duration(s.End - s.Start)
}

// Pushed notes a push that was accepted at a time, in ns, with these families.
func (j *Job) Pushed(s *JobState, members []Member, at int64) {
	s.Push = max(s.Push, at)
	begins, ends := j.run(s, members, at)
	if s.Running() && ends {
		s.End = max(at, s.Start)
		if v, ok := unixTime(members, j.Ended); ok {
			s.End = max(v, s.Start)
		}
	}
	if begins && !ends {
		return // what else is in it was there before the run
	}
	if t, ok := j.success(members, at); ok {
		s.Success = max(s.Success, t)
	}
}

// run finds whether a push says that a run began, and that one ended.
func (j *Job) run(s *JobState, members []Member, at int64) (begins, ends bool) {
	start, ok := unixTime(members, j.Started)
	if begins = ok && start > s.Start && start <= at+int64(MaxAhead); begins {
		s.Start = start
	}
	if j.Ended == "" {
		return begins, !begins
	}
	end, ok := unixTime(members, j.Ended)
	return begins, ok && end >= s.Start
}

// success returns when a push says that the job succeeded.
func (j *Job) success(members []Member, at int64) (int64, bool) {
	if j.Success == "" {
		return at, true
	}
	if j.SuccessValue == nil {
		t, ok := unixTime(members, j.Success)
		return t, ok && t <= at+int64(MaxAhead)
	}
	v, ok := valueOf(members, j.Success)
	return at, ok && v == *j.SuccessValue
}

// unixTime returns the value of a metric, which is a time in seconds, in ns. A float of
// our time holds no more than microseconds.
func unixTime(members []Member, name string) (int64, bool) {
	v, ok := valueOf(members, name)
	return int64(math.Round(v*1e6)) * 1e3, ok && v > 0 && v < math.MaxInt64/1e9
}

// valueOf returns the value of the first metric of a family that has plain values.
func valueOf(members []Member, name string) (float64, bool) {
	i, ok := findMember(members, name)
	if !ok {
		return 0, false
	}
	metrics := members[i].Metrics()
	if len(metrics) == 0 || metrics[0].Form != FormSingle {
		return 0, false
	}
	return math.Float64frombits(members[i].Part.ValuesOf(&metrics[0])[0]), true
}

// clockSkew is how early a push may be that answers to a time of the schedule: the
// clock of who runs the job may be ahead.
const clockSkew = time.Minute

// Due returns the latest moment at which the job can succeed and is not overdue. A job
// that never succeeded is due as if it had when it became known.
func (j *Job) Due(s *JobState) time.Time {
	if j.Next == nil {
		return time.Unix(0, max(s.Success, s.Known)).Add(j.Every).Add(j.Grace)
	}
	if s.Success == 0 {
		return j.Next(time.Unix(0, s.Known)).Add(j.Grace)
	}
	last := time.Unix(0, s.Success).Add(min(clockSkew, j.Grace))
	next := j.Next(last)
	// A wall clock that is put back shows a time twice, for which one run is enough.
	if before := j.Next(last.Add(-twice)); before.Before(last) && sameWall(before, next) {
		next = j.Next(next)
	}
	return next.Add(j.Grace)
}

// twice is how far clocks are put back at most, and a little more.
const twice = 2 * time.Hour

func sameWall(a, b time.Time) bool {
	const wall = "2006-01-02 15:04:05"
	return a.Format(wall) == b.Format(wall)
}

// Hangs reports whether a run takes longer than it may.
func (j *Job) Hangs(s *JobState, now time.Time) bool {
	return j.MaxRuntime > 0 && s.Running() && s.Runtime(now) > j.MaxRuntime
}

// Matches reports whether a push to the group with labels l is one of the job.
func (j *Job) Matches(l Labels) bool {
	return !slices.ContainsFunc(j.Labels, func(own Label) bool {
		v, ok := l.Lookup(own.Name)
		return !ok || v != own.Value
	})
}
