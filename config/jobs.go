package config

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a container from scratch has no time zones

	"github.com/netresearch/go-cron"
	"github.com/prometheus/common/model"

	"github.com/pushbridge/pushbridge/group"
)

// jobSchema is one job that is expected.
type jobSchema struct {
	// The grouping labels that its pushes have, job among them.
	Labels map[string]string `yaml:"labels"`
	// How often it has to succeed. Either this or schedule.
	Every *durationText `yaml:"every"`
	// When it has to succeed, as in a crontab: minute, hour, day, month, weekday.
	Schedule string `yaml:"schedule"`
	// Time zone of the schedule, by its IANA name. UTC without one.
	TimeZone string `yaml:"time_zone"`
	// How late it may be before it is overdue. 5m without one.
	Grace *durationText `yaml:"grace"`
	// How long a run may take, by what started says.
	MaxRuntime *durationText `yaml:"max_runtime"`
	// Metric that says when it succeeded, or NAME == NUMBER that says that it did.
	// Without one every push is a success.
	Success string `yaml:"success"`
	// Metric that holds when a run began, as a Unix time.
	Started string `yaml:"started"`
	// Metric that holds when it ended.
	Ended string `yaml:"ended"`
}

// DefaultGrace is how late a job may be that does not say it.
const DefaultGrace = 5 * time.Minute

// jobs are those of the file, checked.
func (o *ownSchema) jobs(wrong *problems) []group.Job {
	var jobs []group.Job
	seen := map[string]int{}
	for i := range o.Jobs {
		j, err := o.Jobs[i].value.job()
		if err == nil && seen[j.Labels.ID()] > 0 {
			err = fmt.Errorf("has the labels of job %d, %s", seen[j.Labels.ID()], j.Labels)
		}
		if err != nil {
			wrong.add(o.Jobs[i].line, fmt.Errorf("pushbridge.jobs, job %d: %w", i+1, err))
			continue
		}
		seen[j.Labels.ID()] = i + 1
		jobs = append(jobs, j)
	}
	return jobs
}

func (s *jobSchema) job() (j group.Job, err error) {
	if j.Labels, err = jobLabels(s.Labels); err != nil {
		return j, fmt.Errorf("labels: %w", err)
	}
	if err := errors.Join(s.when(&j), s.durations(&j), s.success(&j), s.run(&j)); err != nil {
		return j, fmt.Errorf("%s: %w", j.Labels, err)
	}
	return j, nil
}

// jobLabels are labels that a push can have in its path.
func jobLabels(given map[string]string) (group.Labels, error) {
	var labels []group.Label
	for _, name := range slices.Sorted(maps.Keys(given)) {
		value := given[name]
		switch {
		case !model.UTF8Validation.IsValidLabelName(name) || strings.HasPrefix(name, model.ReservedLabelPrefix):
			return nil, fmt.Errorf("%q is not the name of a grouping label", name)
		case !model.LabelValue(value).IsValid():
			return nil, fmt.Errorf("%s: the value is not valid UTF-8", name)
		}
		labels = append(labels, group.Label{Name: name, Value: value})
	}
	l := group.NewLabels(labels)
	if l.Job() == "" {
		return nil, errors.New("job is missing: say which, as {job: nightly}")
	}
	return l, nil
}

// when sets how often, or when, the job has to succeed.
func (s *jobSchema) when(j *group.Job) error {
	switch {
	case s.Every == nil && s.Schedule == "":
		return errors.New(`every or schedule is missing: say when it is expected, as every: 24h or schedule: "30 2 * * *"`)
	case s.Every != nil && s.Schedule != "":
		return errors.New("every and schedule exclude each other")
	case s.Every == nil:
		return s.schedule(j)
	case s.TimeZone != "":
		return errors.New("time_zone is for a schedule, and there is none")
	}
	d, err := ParseDuration(string(*s.Every))
	if err != nil {
		return fmt.Errorf("every: %w", err)
	}
	if d < time.Second {
		return fmt.Errorf("every: must be at least 1s, is %s", d)
	}
	j.Every, j.When = d, "every "+model.Duration(d).String()
	return nil
}

func (s *jobSchema) schedule(j *group.Job) error {
	zone, err := time.LoadLocation(s.TimeZone) // UTC without one
	if err != nil {
		return fmt.Errorf("time_zone: %q is not known: give a name of the IANA database, as Europe/Berlin", s.TimeZone)
	}
	if strings.HasPrefix(s.Schedule, "@every") || strings.Contains(s.Schedule, "=") {
		return fmt.Errorf("schedule: %q: an interval goes under every, a time zone under time_zone", s.Schedule)
	}
	times, err := cron.ParseStandard(s.Schedule)
	if err != nil {
		return fmt.Errorf("schedule: %q: %w", s.Schedule, err)
	}
	j.Next = func(t time.Time) time.Time { return times.Next(t.In(zone)) }
	if j.Next(time.Now()).IsZero() {
		return fmt.Errorf("schedule: %q never comes", s.Schedule)
	}
	j.When = s.Schedule + " " + zone.String()
	return nil
}

func (s *jobSchema) durations(j *group.Job) error {
	j.Grace = DefaultGrace
	for _, f := range []struct {
		name string
		from *durationText
		to   *time.Duration
	}{{"grace", s.Grace, &j.Grace}, {"max_runtime", s.MaxRuntime, &j.MaxRuntime}} {
		if f.from == nil {
			continue
		}
		d, err := ParseDuration(string(*f.from))
		if err == nil && d < 0 {
			err = fmt.Errorf("must not be negative, is %s", d)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		*f.to = d
	}
	return nil
}

// comparison is what success may be beside the name of a metric.
func comparison() *regexp.Regexp { return regexp.MustCompile(`^\s*(\S+?)\s*==\s*(\S+)\s*$`) }

func (s *jobSchema) success(j *group.Job) error {
	j.Success = s.Success
	if m := comparison().FindStringSubmatch(s.Success); m != nil {
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return fmt.Errorf("success: %q is not a number", m[2])
		}
		j.Success, j.SuccessValue = m[1], &v
	}
	return metricNames(map[string]string{"success": j.Success})
}

// run sets what tells how long runs take.
func (s *jobSchema) run(j *group.Job) error {
	j.Started, j.Ended = s.Started, s.Ended
	if s.Started == "" && (s.Ended != "" || s.MaxRuntime != nil) {
		return errors.New("started is missing: max_runtime and ended need the name of a metric that holds when a run began")
	}
	return metricNames(map[string]string{"started": s.Started, "ended": s.Ended})
}

func metricNames(fields map[string]string) error {
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if name := fields[field]; name != "" && !model.LegacyValidation.IsValidMetricName(name) {
			return fmt.Errorf("%s: %q is not the name of a metric, or NAME == NUMBER", field, name)
		}
	}
	return nil
}

// describeJob prints a job as check-config shows it.
func describeJob(j *group.Job) string {
	text := fmt.Sprintf("%s %s grace=%s", j.Labels, j.When, j.Grace)
	if j.MaxRuntime > 0 {
		text += fmt.Sprintf(" max_runtime=%s", j.MaxRuntime)
	}
	if j.Success != "" {
		text += " success=" + j.Success
		if j.SuccessValue != nil {
			text += " == " + strconv.FormatFloat(*j.SuccessValue, 'g', -1, 64)
		}
	}
	return text
}
