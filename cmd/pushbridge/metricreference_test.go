package main_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pushbridge/pushbridge/docs/docstest"
)

var (
	helpLine   = regexp.MustCompile(`(?m)^# HELP (\S+) (.*)$`)
	sampleLine = regexp.MustCompile(`(?m)^([a-z_]+)\{(.*)\} \S+$`)
	labelName  = regexp.MustCompile(`(?:^|",)([a-z_]+)="`)
)

// TestMetricReference holds docs/metrics.md to what a gateway with everything on shows:
// `make docs` writes it. What is reserved and is not shown would be missing in it.
func TestMetricReference(t *testing.T) {
	shown := shownMetrics(t, true, true, everythingOn(t)...)
	types, labels := map[string]string{}, labelsOf(shown)
	for _, m := range typeLine.FindAllStringSubmatch(shown, -1) {
		types[m[1]] = m[2]
	}
	sections := map[string][]string{}
	described := map[string]bool{}
	for _, m := range helpLine.FindAllStringSubmatch(shown, -1) {
		name := m[1]
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") || name == "push_test" {
			continue
		}
		described[name] = true
		title := sectionOf(name)
		sections[title] = append(sections[title], fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, types[name], labels[name], docstest.Cell(m[2])))
	}
	for name := range readReserved(t) {
		if !described[name] {
			t.Errorf("%s is reserved, and a gateway with everything on does not show it", name)
		}
	}
	var page strings.Builder
	fmt.Fprint(&page, "# Metrics\n\nMade by `make docs` from what a gateway shows that has everything on, without the `go_*` and `process_*` of every Go program.\n")
	fmt.Fprint(&page, "What to watch, and which alerts there are, stands in [operations.md](operations.md).\n")
	for _, title := range slices.Sorted(maps.Keys(sections)) {
		fmt.Fprintf(&page, "\n## %s\n\n| metric | type | labels | |\n|---|---|---|---|\n%s", title, strings.Join(sections[title], ""))
	}
	docstest.Page(t, "../../docs/metrics.md", page.String())
}

// sectionOf is the heading for a metric: who it is of.
func sectionOf(name string) string {
	first, rest, _ := strings.Cut(name, "_")
	switch first {
	case "pushbridge":
		second, _, _ := strings.Cut(rest, "_")
		return "pushbridge_" + second
	case "prometheus":
		return "prometheus_remote_storage, as Prometheus' remote write has them"
	}
	return "push, pushgateway, as Pushgateway has them"
}

// labelsOf lists the labels that the samples of each family have.
func labelsOf(shown string) map[string]string {
	found := map[string]map[string]bool{}
	for _, m := range sampleLine.FindAllStringSubmatch(shown, -1) {
		name := strings.TrimSuffix(ofFamily.ReplaceAllString(m[1], ""), "_")
		for _, family := range []string{m[1], name} {
			for _, l := range labelName.FindAllStringSubmatch(m[2], -1) {
				if l[1] == "le" || l[1] == "quantile" {
					continue
				}
				if found[family] == nil {
					found[family] = map[string]bool{}
				}
				found[family][l[1]] = true
			}
		}
	}
	out := map[string]string{}
	for name, all := range found {
		out[name] = "`" + strings.Join(slices.Sorted(maps.Keys(all)), "`, `") + "`"
	}
	return out
}
