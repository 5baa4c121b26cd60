package job

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The metrics of a run. Their names are explained in docs/jobs.md.
const (
	metricStart       = "batch_job_start_time_seconds"
	metricEnd         = "batch_job_end_time_seconds"
	metricDuration    = "batch_job_duration_seconds"
	metricExitCode    = "batch_job_exit_code"
	metricLastSuccess = "batch_job_last_success_time_seconds"
	metricCPU         = "batch_job_cpu_seconds"
	metricMaxRSS      = "batch_job_max_resident_memory_bytes"
)

// startText is what a run looks like that has just begun.
func startText(at time.Time) []byte {
	var b strings.Builder
	family(&b, metricStart, "When the newest run of the job began, in unixtime.", "", unixTime(at))
	return []byte(b.String())
}

// endText is what a run looks like that has ended.
func endText(r Result) []byte {
	var b strings.Builder
	b.Write(startText(r.Started))
	family(&b, metricEnd, "When the newest run of the job that has ended did so, in unixtime.", "", unixTime(r.Ended))
	family(&b, metricDuration, "How long that run took.", "", seconds(r.Ended.Sub(r.Started)))
	family(&b, metricExitCode, "Its exit code: 0 is a success, 128 and more a signal that it died of.", "", strconv.Itoa(r.Code))
	if r.Code == 0 {
		family(&b, metricLastSuccess, "When the newest run of the job that succeeded ended, in unixtime.", "", unixTime(r.Ended))
	}
	if r.Err == nil {
		family(&b, metricCPU, "CPU time of that run and of the processes that it waited for.",
			`{mode="system"}`, seconds(r.System), `{mode="user"}`, seconds(r.User))
		if r.MaxRSS > 0 {
			family(&b, metricMaxRSS, "The most memory that one process of that run had at a time.", "", strconv.FormatInt(r.MaxRSS, 10))
		}
	}
	return []byte(b.String())
}

// family writes a gauge: labels and value, one after the other.
func family(b *strings.Builder, name, help string, series ...string) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %[1]s gauge\n", name, help)
	for i := 0; i < len(series); i += 2 {
		fmt.Fprintf(b, "%s%s %s\n", name, series[i], series[i+1])
	}
}

func unixTime(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1e3, 'f', 3, 64)
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'g', -1, 64) }
