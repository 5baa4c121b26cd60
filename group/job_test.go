package group

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestJobPushed has what pushes tell of a job. Times are in seconds.
func TestJobPushed(t *testing.T) {
	zero := 0.0
	simple := Job{}
	began := Job{Started: "start"}
	both := Job{Started: "start", Ended: "end"}
	code := Job{Success: "exit_code", SuccessValue: &zero, Started: "start"}
	stamp := Job{Success: "last_success"}
	for _, tt := range []struct {
		name   string
		job    Job
		pushes []string // each ten seconds after the one before, the first at 1000
		want   JobState
	}{
		{"any push is a success", simple, []string{"a=1", "a=2"}, JobState{Push: 1010, Success: 1010}},
		{"a push that says a run begins is none", began, []string{"start=995"}, JobState{Push: 1000, Start: 995}},
		{"the next one ends the run", began, []string{"start=995", "a=1"}, JobState{Push: 1010, Success: 1010, Start: 995, End: 1010}},
		{"with the same start too", began, []string{"start=995", "start=995 a=1"}, JobState{Push: 1010, Success: 1010, Start: 995, End: 1010}},
		{"what comes after a run does not make it longer", began, []string{"start=995", "a=1", "a=2"}, JobState{Push: 1020, Success: 1020, Start: 995, End: 1010}},
		{"an older start is no run", began, []string{"start=995", "a=1", "start=900"}, JobState{Push: 1020, Success: 1020, Start: 995, End: 1010}},
		{"a start far ahead is none", began, []string{"start=99999"}, JobState{Push: 1000, Success: 1000}},
		{"begun and ended in one push", both, []string{"start=900 end=990"}, JobState{Push: 1000, Success: 1000, Start: 900, End: 990}},
		{"an end of the run before", both, []string{"start=900 end=990", "start=1005 end=990"}, JobState{Push: 1010, Success: 1000, Start: 1005, End: 990}},
		{"goes on until it says it ended", both, []string{"start=995", "a=1"}, JobState{Push: 1010, Success: 1010, Start: 995}},
		{"failed", code, []string{"start=995", "exit_code=2"}, JobState{Push: 1010, Start: 995, End: 1010}},
		{"failed, then worked", code, []string{"start=995", "exit_code=2", "start=1015", "exit_code=0"}, JobState{Push: 1030, Success: 1030, Start: 1015, End: 1030}},
		{"the code of the run before", code, []string{"exit_code=0", "start=1008 exit_code=0"}, JobState{Push: 1010, Success: 1000, Start: 1008}},
		{"the metric is missing", code, []string{"a=1"}, JobState{Push: 1000}},
		{"the time of the success", stamp, []string{"last_success=950.5"}, JobState{Push: 1000, Success: 950}},
		{"a success that is no time", stamp, []string{"last_success=NaN", "last_success=-3", "last_success=1e300"}, JobState{Push: 1020}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := JobState{}
			for i, p := range tt.pushes {
				tt.job.Pushed(&got, plainMembers(t, p), int64(1000+10*i)*1e9)
			}
			for _, ns := range []*int64{&got.Push, &got.Success, &got.Start, &got.End} {
				*ns /= 1e9
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// plainMembers makes gauges of a=1 b=2.
func plainMembers(t *testing.T, text string) []Member {
	t.Helper()
	b := NewBuilder()
	for f := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(f, "=")
		b.Family(name, Gauge)
		b.Metric(FormSingle, nil, nil, math.Float64bits(number(t, value)))
	}
	return b.Part().Members()
}

// TestJobGroup takes what is known of a job through its group.
func TestJobGroup(t *testing.T) {
	for name, want := range map[string]JobState{
		"never":   {Known: 5e9},
		"running": {Known: 5e9, Push: 1795800000123456000, Success: 1795800000000001000, Start: 1795800000123456000},
		"ended":   {Known: 5e9, Push: 1795800000123456000, Success: 1795800000000001000, Start: 1795800000000000000, End: 1795800003600000000},
	} {
		t.Run(name, func(t *testing.T) {
			v := JobValues{JobState: want, Runtime: want.Runtime(time.Unix(0, 1795800009e9)).Seconds()}
			l := JobKey(NewLabels([]Label{{"job", "a"}}))
			r := &Record{Kind: KindPut, Labels: l, Time: 5000, Part: v.Part(true)}
			r.Members = r.Part.Members()
			var none *Group
			g := none.Next(r, &Shapes{})
			if diff := cmp.Diff(want, g.JobState()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !g.Labels.IsJob() || g.Shows() != 0 {
				t.Errorf("shows %v of %s", g.Shows(), g.Labels)
			}
			if diff := cmp.Diff([]Label{{"instance", ""}, {"job", "a"}}, g.Labels.AppendView(nil, nil, &Metric{})); diff != "" {
				t.Errorf("in a view (-want +got):\n%s", diff)
			}
		})
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
