package config

import (
	"testing"
	"time"

	"go.yaml.in/yaml/v2"

	"github.com/pushbridge/pushbridge/group"
)

// TestJobDue asks when a job that succeeded, or became known, at one moment is overdue:
// clocks are put forward on 29 March and back on 25 October.
func TestJobDue(t *testing.T) {
	const known, succeeded = true, false
	for _, tt := range []struct {
		name, job string
		since     bool
		at, want  string
	}{
		{"interval", "{every: 24h}", succeeded, "2026-03-28T12:00:00Z", "2026-03-29T12:05:00Z"},
		{"interval over a night with 23 hours", "{every: 24h, grace: 0s}", succeeded, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"},
		{"interval, never", "{every: 1h, grace: 10m}", known, "2026-03-28T12:00:00Z", "2026-03-28T13:10:00Z"},
		{"once in ages", "{every: 292y, grace: 292y}", succeeded, "2026-03-28T12:00:00Z", "2609-11-07T12:00:00Z"},
		{"UTC without a time zone", `{schedule: "30 2 * * *"}`, succeeded, "2026-07-01T02:31:00Z", "2026-07-02T02:35:00Z"},
		{"in summer", berlin("30 2 * * *"), succeeded, "2026-07-01T02:31:00+02:00", "2026-07-02T02:35:00+02:00"},
		{"never came", berlin("30 2 * * *"), known, "2026-07-01T02:29:50+02:00", "2026-07-01T02:35:00+02:00"},
		{"a clock ahead", berlin("30 2 * * *"), succeeded, "2026-07-01T02:29:50+02:00", "2026-07-02T02:35:00+02:00"},
		{"early is not in time", berlin("30 2 * * *"), succeeded, "2026-07-01T02:25:00+02:00", "2026-07-01T02:35:00+02:00"},
		{"the time that does not exist is made up for", berlin("30 2 * * *"), succeeded, "2026-03-28T02:31:00+01:00", "2026-03-29T03:35:00+02:00"},
		{"after that night", berlin("30 2 * * *"), succeeded, "2026-03-29T03:31:00+02:00", "2026-03-30T02:35:00+02:00"},
		{"before the night with 25 hours", berlin("30 2 * * *"), succeeded, "2026-10-24T02:31:00+02:00", "2026-10-25T02:35:00+02:00"},
		{"the time that comes twice asks once", berlin("30 2 * * *"), succeeded, "2026-10-25T02:40:00+02:00", "2026-10-26T02:35:00+01:00"},
		{"an hourly job runs in both hours", berlin("30 * * * *"), succeeded, "2026-10-25T02:31:00+02:00", "2026-10-25T02:35:00+01:00"},
		{"sunday is 0 and 7", berlin("0 4 * * 7"), succeeded, "2026-07-01T12:00:00+02:00", "2026-07-05T04:05:00+02:00"},
		{"a name", berlin("@weekly"), succeeded, "2026-07-01T12:00:00+02:00", "2026-07-05T00:05:00+02:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s jobSchema
			if err := yaml.UnmarshalStrict([]byte(tt.job), &s); err != nil {
				t.Fatal(err)
			}
			s.Labels = map[string]string{"job": "a"}
			j, err := s.job()
			if err != nil {
				t.Fatal(err)
			}
			at := parseTime(t, tt.at)
			state := group.JobState{Known: at.UnixNano()}
			if tt.since == succeeded {
				state = group.JobState{Known: at.AddDate(-1, 0, 0).UnixNano(), Success: at.UnixNano()}
			}
			if got, want := j.Due(&state), parseTime(t, tt.want); !got.Equal(want) {
				t.Errorf("due %s, want %s", got.Format(time.RFC3339), want.Format(time.RFC3339))
			}
		})
	}
}

func berlin(schedule string) string {
	return `{time_zone: Europe/Berlin, schedule: "` + schedule + `"}`
}

func parseTime(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestJobsRefused has what no job can be.
func TestJobsRefused(t *testing.T) {
	for _, tt := range []struct{ job, want string }{
		{`{every: 1h}`, `job 1: labels: job is missing: say which, as {job: nightly}`},
		{`{labels: {job: a, __x: b}, every: 1h}`, `job 1: labels: "__x" is not the name of a grouping label`},
		{`{labels: {job: a}, every: 0s}`, `job 1: {job="a"}: every: must be at least 1s, is 0s`},
		{`{labels: {job: a}, every: 1h, schedule: "* * * * *"}`, `job 1: {job="a"}: every and schedule exclude each other`},
		{`{labels: {job: a}, every: 1h, time_zone: UTC}`, `job 1: {job="a"}: time_zone is for a schedule, and there is none`},
		{`{labels: {job: a}, schedule: "TZ=UTC 1 1 * * *"}`, `job 1: {job="a"}: schedule: "TZ=UTC 1 1 * * *": an interval goes under every, a time zone under time_zone`},
		{`{labels: {job: a}, schedule: "@every 1h"}`, `job 1: {job="a"}: schedule: "@every 1h": an interval goes under every, a time zone under time_zone`},
		{`{labels: {job: a}, every: 1h, success: "x == ok"}`, `job 1: {job="a"}: success: "ok" is not a number`},
		{`{labels: {job: a}, every: 1h, success: "x > 1"}`, `job 1: {job="a"}: success: "x > 1" is not the name of a metric, or NAME == NUMBER`},
		{`{labels: {job: a}, every: 1h, grace: -1s}`, `job 1: {job="a"}: grace: must not be negative, is -1s`},
	} {
		var o ownSchema
		if err := yaml.UnmarshalStrict([]byte("jobs: ["+tt.job+"]"), &o); err != nil {
			t.Fatal(err)
		}
		var wrong problems
		o.jobs(&wrong)
		if err := wrong.err(); err == nil || err.Error() != "line 1: pushbridge.jobs, "+tt.want {
			t.Errorf("%s\ngot  %v\nwant line 1: pushbridge.jobs, %s", tt.job, err, tt.want)
		}
	}
}
