// Package mixin checks that alerts and dashboards are whole: what can be seen without
// running them. cmd/pushbridge holds the names in them to the binary, e2e runs them.
package mixin

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v2"
)

type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// alerts are those of alerts.yml.
func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string  `yaml:"name"`
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.UnmarshalStrict([]byte(read(t, "alerts.yml")), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Groups) != 1 || len(file.Groups[0].Rules) == 0 {
		t.Fatalf("groups: %+v", file.Groups)
	}
	return file.Groups[0].Rules
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every alert says how bad it is, what it means and where to read on, and that place
// is there; and no heading waits for an alert that is gone.
func TestAlertsAreExplained(t *testing.T) {
	const runbook = "https://github.com/pushbridge/pushbridge/blob/main/docs/operations.md#"
	var names, headings []string
	for _, a := range alerts(t) {
		names = append(names, a.Alert)
		if !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) || len(a.Labels) != 1 {
			t.Errorf("%s has the labels %v", a.Alert, a.Labels)
		}
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s has the annotations %v", a.Alert, a.Annotations)
		}
		if got, want := a.Annotations["runbook_url"], runbook+strings.ToLower(a.Alert); got != want {
			t.Errorf("%s has the runbook %s, want %s", a.Alert, got, want)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^### (Pushbridge\w+)$`).FindAllStringSubmatch(read(t, "../../docs/operations.md"), -1) {
		headings = append(headings, m[1])
	}
	if diff := cmp.Diff(names, headings); diff != "" {
		t.Errorf("alerts, and headings of docs/operations.md in their order (-alerts +headings):\n%s", diff)
	}
}

// Every alert is tested in both directions by what promtool runs.
func TestAlertsAreTested(t *testing.T) {
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				AlertName string `yaml:"alertname"`
				ExpAlerts []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "tests.yml")), &file); err != nil {
		t.Fatal(err)
	}
	firing, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, a := range test.AlertRuleTest {
			if len(a.ExpAlerts) > 0 {
				firing[a.AlertName] = true
			} else {
				quiet[a.AlertName] = true
			}
		}
	}
	for _, a := range alerts(t) {
		if !firing[a.Alert] || !quiet[a.Alert] {
			t.Errorf("%s: tested firing: %t, quiet: %t", a.Alert, firing[a.Alert], quiet[a.Alert])
		}
	}
}

// harmless are the reasons for which nobody needs to know: what was asked for, and what
// loses nothing.
var harmless = []string{"classic_not_sent", "dropped_series", "marker_not_needed"}

// What is dropped is lost, left out of itself each time, or harmless. A reason that
// comes to be is lost until somebody says otherwise.
func TestEveryReasonIsSomewhere(t *testing.T) {
	reasons := func(name, operator string) []string {
		found := regexp.MustCompile(`samples_dropped_total\{reason` + operator + `"([^"]+)"`).FindStringSubmatch(name)
		if found == nil {
			t.Fatalf("no reasons in %s", name)
		}
		list := strings.Split(found[1], "|")
		slices.Sort(list)
		return list
	}
	var loses, leavesOut string
	for _, a := range alerts(t) {
		switch a.Alert {
		case "PushbridgeLosesSamples":
			loses = a.Expr
		case "PushbridgeLeavesOutSamples":
			leavesOut = a.Expr
		}
	}
	want := slices.Sorted(slices.Values(append(reasons(leavesOut, "=~"), harmless...)))
	if diff := cmp.Diff(want, reasons(loses, "!~")); diff != "" {
		t.Errorf("PushbridgeLosesSamples leaves these out (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, reasons(read(t, "rules.yml"), "!~")); diff != "" {
		t.Errorf("the recording rule leaves these out (-want +got):\n%s", diff)
	}
}
