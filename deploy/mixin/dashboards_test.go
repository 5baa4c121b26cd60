package mixin

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the dashboards")

// TestDashboards holds the JSON files to what this file says. make golden rewrites them.
func TestDashboards(t *testing.T) {
	for _, d := range []dashboard{overview(), destination(), jobs()} {
		t.Run(d.name, func(t *testing.T) {
			want := d.json(t)
			file := filepath.Join("dashboards", d.name+".json")
			if *update {
				if err := os.WriteFile(file, want, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s is not what the source makes (-want +got), run make golden:\n%s", file, diff)
			}
		})
	}
}

// own selects the gateway's metrics, of the instances that were chosen.
const own = `{job=~"$job",instance=~"$instance"}`

func overview() dashboard {
	return dashboard{
		name: "overview", title: "pushbridge / Overview",
		variables: []variable{instances[0], instances[1]},
		panels: []panel{
			stat("Pushes are taken", "none", `min(pushbridge_queue_available`+own+`)`).
				means("1 while pushes are taken. 0: they are answered 503, and /-/ready says why."),
			stat("Destinations in trouble", "none", `sum(pushbridge_remotewrite_destination_state{job=~"$job",instance=~"$instance",state=~"failing|refusing|losing"})`).
				means("Failing, refusing or losing: the dashboard Destination says which."),
			stat("Groups", "none", `sum(pushbridge_group_groups`+own+`)`),
			stat("Series", "none", `sum(pushbridge_group_series`+own+`)`),
			stat("Queue used", "percentunit", `max(job_instance:pushbridge_queue_used:ratio`+own+`)`).
				means("Of --storage.max-bytes, or of what the disk leaves. At 100 % the destination that lags most loses its oldest samples."),
			stat("Damaged ranges", "none", `sum(pushbridge_queue_damaged_ranges_total`+own+`)`).
				means("pushbridge queue inspect DIR lists them."),

			graph("Requests", "reqps",
				q(`sum by (handler, method, code) (rate(pushgateway_http_requests_total`+own+`[$__rate_interval]))`, "{{handler}} {{method}} {{code}}")),
			graph("Samples taken", "cps",
				q(`sum by (instance) (rate(pushbridge_ingest_samples_total`+own+`[$__rate_interval]))`, "{{instance}}")),
			graph("Refused requests", "reqps",
				q(`sum by (reason) (rate(pushbridge_ingest_refused_total`+own+`[$__rate_interval]))`, "{{reason}}")).
				means("The page and /api/v1/refused have the latest with client, job and reason."),
			graph("Time until a push is answered", "s",
				q(`max by (method, quantile) (pushgateway_http_push_duration_seconds`+own+`)`, "{{method}} p{{quantile}}"),
				q(`histogram_quantile(0.99, sum by (le) (rate(pushbridge_queue_fsync_duration_seconds_bucket`+own+`[$__rate_interval])))`, "fsync p0.99")).
				means("Every push waits for an fsync, shared with others."),

			graph("Samples that wait", "short",
				q(`sum by (instance, destination) (pushbridge_remotewrite_samples_pending`+own+`)`, "{{instance}} {{destination}}")),
			graph("Lag", "s",
				q(`max by (instance, destination) (job_instance_destination:pushbridge_remotewrite_lag:seconds`+own+`)`, "{{instance}} {{destination}}")),
			graph("Samples delivered", "cps",
				q(`sum by (instance, destination) (job_instance_destination:pushbridge_remotewrite_samples_delivered:rate5m`+own+`)`, "{{instance}} {{destination}}")),
			graph("Samples lost", "cps",
				q(`sum by (instance, destination) (job_instance_destination:pushbridge_remotewrite_samples_lost:rate5m`+own+`)`, "{{instance}} {{destination}}")).
				means("Given up for a reason that nobody asked for, as the alert PushbridgeLosesSamples counts."),

			graph("Queue on disk", "bytes",
				q(`sum by (instance) (pushbridge_queue_segment_bytes`+own+` + pushbridge_queue_snapshot_bytes`+own+`)`, "{{instance}} used"),
				q(`sum by (instance) (pushbridge_queue_limit_bytes`+own+`)`, "{{instance}} bound")),
			graph("Memory", "bytes",
				q(`sum by (instance) (process_resident_memory_bytes`+own+`)`, "{{instance}} resident"),
				q(`sum by (instance) (pushbridge_ingest_inflight_bytes`+own+`)`, "{{instance}} pushes in flight"),
				q(`sum by (instance) (pushbridge_queue_ring_bytes`+own+`)`, "{{instance}} newest records"),
				q(`sum by (instance) (pushbridge_ingest_shape_cache_bytes`+own+`)`, "{{instance}} known bodies")),
			graph("CPU", "none",
				q(`sum by (instance) (rate(process_cpu_seconds_total`+own+`[$__rate_interval]))`, "{{instance}}")).
				means("Cores in use."),
			graph("Pushes that need no parsing", "percentunit",
				q(`sum by (instance) (rate(pushbridge_ingest_shape_cache_hits_total`+own+`[$__rate_interval])) / `+
					`(sum by (instance) (rate(pushbridge_ingest_shape_cache_hits_total`+own+`[$__rate_interval])) + `+
					`sum by (instance) (rate(pushbridge_ingest_shape_cache_misses_total`+own+`[$__rate_interval])))`, "{{instance}}")),
		},
	}
}

// to selects what is counted for the chosen destinations, toPrometheus the same under the
// labels that Prometheus' own remote write has.
const (
	to           = `{job=~"$job",instance=~"$instance",destination=~"$destination"}`
	toPrometheus = `{job=~"$job",instance=~"$instance",remote_name=~"$destination"}`
)

func destination() dashboard {
	return dashboard{
		name: "destination", title: "pushbridge / Destination",
		variables: append(instances, variable{"destination", `label_values(pushbridge_remotewrite_samples_pending{job=~"$job",instance=~"$instance"}, destination)`}),
		panels: []panel{
			timeline("State", q(`pushbridge_remotewrite_destination_state`+to+` == 1`, "{{instance}} {{destination}} {{state}}")).
				means("Each destination is in one state at a time. failing: does not answer. refusing: turns everything away, samples are held. losing: samples were given up."),
			stat("Accepted", "short", `sum(pushbridge_remotewrite_samples_accepted_total`+to+`)`).
				means("Since the process began, as the next four. Accepted = delivered + dropped + in doubt + pending."),
			stat("Delivered", "short", `sum(pushbridge_remotewrite_samples_delivered_total`+to+`)`),
			stat("Dropped", "short", `sum(pushbridge_remotewrite_samples_dropped_total`+to+`)`),
			stat("In doubt", "short", `sum(pushbridge_remotewrite_samples_in_doubt_total`+to+`)`),
			stat("Pending", "short", `sum(pushbridge_remotewrite_samples_pending`+to+`)`),
			stat("Stuck batches", "none", `sum(pushbridge_remotewrite_stuck_batches`+to+`)`).
				means("Get nothing but server errors, while others succeed."),

			graph("Samples that wait", "short", q(`pushbridge_remotewrite_samples_pending`+to, "{{instance}} {{destination}}")),
			graph("Lag", "s", q(`job_instance_destination:pushbridge_remotewrite_lag:seconds`+to, "{{instance}} {{destination}}")),
			graph("Delivered", "cps", q(`rate(pushbridge_remotewrite_samples_delivered_total`+to+`[$__rate_interval])`, "{{instance}} {{destination}}")),
			graph("Dropped, by reason", "cps",
				q(`sum by (destination, reason) (rate(pushbridge_remotewrite_samples_dropped_total`+to+`[$__rate_interval]))`, "{{destination}} {{reason}}")),
			graph("In doubt", "cps", q(`rate(pushbridge_remotewrite_samples_in_doubt_total`+to+`[$__rate_interval])`, "{{instance}} {{destination}}")).
				means("Refused when they were repeated after a lost answer: stored, most likely."),
			graph("Tried again", "cps", q(`rate(prometheus_remote_storage_samples_retried_total`+toPrometheus+`[$__rate_interval])`, "{{instance}} {{remote_name}}")),
			graph("Duration of requests", "s",
				q(`histogram_quantile(0.5, sum by (le, remote_name) (rate(prometheus_remote_storage_sent_batch_duration_seconds_bucket`+toPrometheus+`[$__rate_interval])))`, "{{remote_name}} p0.5"),
				q(`histogram_quantile(0.99, sum by (le, remote_name) (rate(prometheus_remote_storage_sent_batch_duration_seconds_bucket`+toPrometheus+`[$__rate_interval])))`, "{{remote_name}} p0.99")),
			graph("Requests", "reqps",
				q(`sum by (remote_name) (rate(prometheus_remote_storage_sent_batch_duration_seconds_count`+toPrometheus+`[$__rate_interval]))`, "{{remote_name}}")),
			graph("Bytes sent", "Bps", q(`rate(prometheus_remote_storage_bytes_total`+toPrometheus+`[$__rate_interval])`, "{{instance}} {{remote_name}}")),
			graph("Refreshes", "cps",
				q(`sum by (destination, outcome) (rate(pushbridge_remotewrite_refresh_samples_total`+to+`[$__rate_interval]))`, "{{destination}} {{outcome}}")).
				means("Samples of groups that nobody pushed to, sent so that they stay visible; not in the books."),
			graph("Shards", "none",
				q(`prometheus_remote_storage_shards`+toPrometheus, "{{instance}} {{remote_name}}")),
			graph("Protocol version", "none",
				q(`pushbridge_remotewrite_protocol_version`+to, "{{instance}} {{destination}}")),
		},
	}
}

// jobs asks for what pushbridge sends about jobs, with the labels of the job: at a
// destination, or where the gateway is scraped with honor_labels.
func jobs() dashboard {
	const job = `{job=~"$job"}`
	return dashboard{
		name: "jobs", title: "pushbridge / Jobs",
		variables: []variable{{"job", `label_values(push_time_seconds, job)`}},
		panels: []panel{
			stat("Expected jobs that are overdue", "none", `sum(pushbridge_job_overdue`+job+`)`),
			stat("Groups that are overdue", "none", `sum(pushbridge_group_overdue`+job+`)`).means("Of those for which a rule says expect_every."),
			stat("Jobs that run", "none", `sum(pushbridge_job_running`+job+`)`).means("Of those that say when they start."),
			stat("Groups whose latest push was refused", "none", `sum(push_failure_time_seconds`+job+` > bool push_time_seconds`+job+`)`),
			table("Time since the last success", q(`time() - (pushbridge_job_last_success_timestamp_seconds`+job+` > 0)`, "")).
				means("Jobs that never succeeded are not in it: they are overdue."),
			table("Time since the last push", q(`time() - push_time_seconds`+job, "")),
			timeline("Overdue jobs", q(`pushbridge_job_overdue`+job, "{{job}} {{instance}}")),
			timeline("Overdue groups", q(`pushbridge_group_overdue`+job, "{{job}} {{instance}}")),
			graph("Time since the last success", "s", q(`time() - (pushbridge_job_last_success_timestamp_seconds`+job+` > 0)`, "{{job}} {{instance}}")),
			graph("Runtime", "s", q(`pushbridge_job_runtime_seconds`+job, "{{job}} {{instance}}")).
				means("Of the last run, or so far."),
			graph("Time since the last push", "s", q(`time() - (pushbridge_job_last_push_timestamp_seconds`+job+` > 0)`, "{{job}} {{instance}}")),
			graph("Time since the last start", "s", q(`time() - (pushbridge_job_last_start_timestamp_seconds`+job+` > 0)`, "{{job}} {{instance}}")),
		},
	}
}

// instances are the variables of what is scraped from the gateway itself.
var instances = []variable{
	{"job", `label_values(pushbridge_build_info, job)`},
	{"instance", `label_values(pushbridge_build_info{job=~"$job"}, instance)`},
}

type dashboard struct {
	name, title string
	variables   []variable
	panels      []panel
}

// variable is chosen at the top of a dashboard.
type variable struct{ name, query string }

type panel struct {
	kind, title, text, unit string
	width, height           int
	queries                 []query
}

type query struct{ expr, legend string }

func q(expr, legend string) query { return query{expr, legend} }

func stat(title, unit, expr string) panel {
	return panel{kind: "stat", title: title, unit: unit, width: 4, height: 4, queries: []query{{expr: expr}}}
}

func graph(title, unit string, queries ...query) panel {
	return panel{kind: "timeseries", title: title, unit: unit, width: 12, height: 8, queries: queries}
}

func timeline(title string, queries ...query) panel {
	return panel{kind: "state-timeline", title: title, unit: "none", width: 24, height: 8, queries: queries}
}

func table(title string, queries ...query) panel {
	return panel{kind: "table", title: title, unit: "s", width: 12, height: 8, queries: queries}
}

// means says what is not clear from the title.
func (p panel) means(text string) panel {
	p.text = text
	return p
}

// object is a JSON object, which encoding/json writes with sorted keys.
type object = map[string]any

var datasource = object{"type": "prometheus", "uid": "${datasource}"}

// json is the dashboard as Grafana imports it.
func (d dashboard) json(t *testing.T) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(object{
		"uid": "pushbridge-" + d.name, "title": d.title, "tags": []string{"pushbridge"},
		"schemaVersion": 39, "editable": true, "refresh": "30s",
		"time":       object{"from": "now-6h", "to": "now"},
		"links":      []object{{"type": "dashboards", "title": "pushbridge", "tags": []string{"pushbridge"}, "keepTime": true, "includeVars": true}},
		"templating": object{"list": d.templating()},
		"panels":     d.laidOut(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (d dashboard) templating() []object {
	list := []object{{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}}
	for _, v := range d.variables {
		list = append(list, object{
			"name": v.name, "type": "query", "datasource": datasource, "refresh": 2, "sort": 1,
			"query": object{"query": v.query, "refId": v.name}, "definition": v.query,
			"includeAll": true, "multi": true, "allValue": ".*",
			"current": object{"text": "All", "value": "$__all"},
		})
	}
	return list
}

// laidOut places the panels as text is set: from left to right, line by line.
func (d dashboard) laidOut() []object {
	var all []object
	x, y, line := 0, 0, 0
	for i, p := range d.panels {
		if x+p.width > 24 {
			x, y, line = 0, y+line, 0
		}
		o := p.object()
		o["id"] = i + 1
		o["gridPos"] = object{"x": x, "y": y, "w": p.width, "h": p.height}
		all = append(all, o)
		x, line = x+p.width, max(line, p.height)
	}
	return all
}

func (p panel) object() object {
	var targets []object
	for i, q := range p.queries {
		target := object{"refId": string(rune('A' + i)), "datasource": datasource, "expr": q.expr}
		if q.legend != "" {
			target["legendFormat"] = q.legend
		}
		if p.kind == "table" {
			target["format"], target["instant"] = "table", true
		}
		targets = append(targets, target)
	}
	o := object{
		"type": p.kind, "title": p.title, "datasource": datasource, "targets": targets,
		"fieldConfig": object{"defaults": object{"unit": p.unit, "min": 0}, "overrides": []object{}},
	}
	if p.text != "" {
		o["description"] = p.text
	}
	return o
}
