package main_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v2"
)

// recipe is one code block of docs/recipes.md.
type recipe struct {
	section, language, text string
	before                  string // the line of text before it
}

func readRecipes(t *testing.T) (recipes []recipe) {
	t.Helper()
	b, err := os.ReadFile("../../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	var section, before string
	var block *recipe
	for line := range strings.Lines(string(b)) {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && block == nil:
			block = &recipe{section: section, language: fence, before: before}
		case isFence:
			recipes, block = append(recipes, *block), nil
		case block != nil:
			block.text += line
		case strings.HasPrefix(line, "## "):
			section = strings.TrimSpace(line[3:])
		case strings.TrimSpace(line) != "":
			before = strings.TrimSpace(line)
		}
	}
	return recipes
}

// shell is what a shell gets to run of a recipe, with environment.
type shell struct {
	script string
	env    []string
}

// shellOf says what the tool that a recipe is for hands to a shell.
func shellOf(t *testing.T, r recipe) (s shell) {
	t.Helper()
	switch r.section {
	case "cron":
		for line := range strings.Lines(r.text) {
			if fields := strings.SplitN(strings.TrimSpace(line), " ", 6); len(fields) == 6 {
				s.script = fields[5]
			} else {
				s.env = append(s.env, strings.TrimSpace(line))
			}
		}
	case "systemd":
		for line := range strings.Lines(r.text) {
			if env, ok := strings.CutPrefix(line, "Environment="); ok {
				s.env = append(s.env, strings.TrimSpace(env))
			}
			if command, ok := strings.CutPrefix(line, "ExecStart="); ok {
				s.script = strings.ReplaceAll(command, "%H", "host")
			}
		}
	case "Kubernetes CronJob":
		container := at(t, decode(t, r), "spec", "jobTemplate", "spec", "template", "spec", "containers", 0)
		for _, e := range at(t, container, "env").([]any) {
			s.env = append(s.env, fmt.Sprintf("%s=%s", at(t, e, "name"), at(t, e, "value")))
		}
		for _, word := range at(t, container, "command").([]any) {
			s.script += fmt.Sprintf("'%s' ", word)
		}
	case "GitHub Actions":
		job := at(t, decode(t, r), "jobs", "nightly")
		s = shell{at(t, job, "steps", 0, "run").(string), append(environment(at(t, job, "env")), "GITHUB_REPOSITORY=o/r")}
	case "GitLab CI":
		job := at(t, decode(t, r), "nightly")
		s = shell{at(t, job, "script", 0).(string), append(environment(at(t, job, "variables")), "CI_PROJECT_PATH=o/r")}
	case "Jenkins":
		for _, m := range regexp.MustCompile(`(?m)^ *([A-Z_]+) = '(.*)'$`).FindAllStringSubmatch(r.text, -1) {
			s.env = append(s.env, m[1]+"="+m[2])
		}
		s.env = append(s.env, "JOB_NAME=folder/nightly")
		s.script = regexp.MustCompile(`(?m)^ *sh '(.*)'$`).FindStringSubmatch(r.text)[1]
	case "Airflow":
		m := regexp.MustCompile(`env=\{"([A-Z_]+)": "(.*)"\}`).FindStringSubmatch(r.text)
		s.env = []string{m[1] + "=" + m[2]}
		command := regexp.MustCompile(`bash_command="(.*)",`).FindStringSubmatch(r.text)[1]
		s.script = strings.ReplaceAll(command, "{{ task.task_id }}", "nightly")
	case "Without the binary":
		s.script = r.text
	default:
		t.Fatalf("nobody knows how to run the recipe for %s", r.section)
	}
	return s
}

func decode(t *testing.T, r recipe) (document any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(r.text), &document); err != nil {
		t.Fatal(err)
	}
	return document
}

// at follows names and numbers into a document.
func at(t *testing.T, node any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch n := node.(type) {
		case map[any]any:
			node = n[step]
		case []any:
			node = n[step.(int)]
		}
		if node == nil {
			t.Fatalf("there is no %v", path)
		}
	}
	return node
}

func environment(node any) (env []string) {
	for name, value := range node.(map[any]any) {
		env = append(env, fmt.Sprintf("%s=%v", name, value))
	}
	return env
}

// TestRecipes runs every recipe of docs/recipes.md against a gateway.
func TestRecipes(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, serverBinary(t), dir, "--storage.path=")
	url := s.ready(t)
	job := filepath.Join(dir, "nightly")
	if err := os.WriteFile(job, []byte("#!/bin/sh\necho nightly_rows 7 >\"$PUSHBRIDGE_METRICS\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer(
		"http://pushbridge.example:9091", url, "/usr/local/bin/nightly", job, "/usr/local/bin/pushbridge", serverBinary(t),
		"/var/spool/pushbridge", filepath.Join(dir, "spool"), "/var/lib/nightly", dir,
	)
	labels := map[string]string{
		"cron": `instance="[^"]+",job="nightly"`, "systemd": `instance="host",job="nightly"`,
		"Kubernetes CronJob": `instance="",job="nightly"`, "GitHub Actions": `instance="",job="nightly",repository="o/r"`,
		"GitLab CI": `instance="",job="nightly",project="o/r"`, "Jenkins": `instance="",jenkins_job="folder/nightly",job="nightly"`,
		"Airflow": `instance="",job="nightly",task="nightly"`, "Without the binary": `instance="",job="nightly"`,
	}
	ran := map[string]bool{}
	for _, r := range readRecipes(t) {
		script := shellOf(t, r)
		if script.script == "" {
			continue // a timer
		}
		if _, err := exec.LookPath("curl"); err != nil && r.section == "Without the binary" {
			continue
		}
		t.Run(r.section, func(t *testing.T) {
			ran[r.section] = true
			if a := put(t, http.DefaultClient, url+"/metrics/job/nightly", ""); a.status != http.StatusOK {
				t.Fatalf("%+v", a)
			}
			runShell(t, here, script, true)
			shown := string(fetch(t, url+"/metrics"))
			if !regexp.MustCompile(`(?m)^nightly_rows\{` + labels[r.section] + `\} 7$`).MatchString(shown) {
				t.Error("the metric of the job did not arrive")
			}
			exitCode := regexp.MustCompile(`(?m)^batch_job_exit_code\{` + labels[r.section] + `\} 0$`)
			if r.section != "Without the binary" && !exitCode.MatchString(shown) {
				t.Error("the end of the job did not arrive")
			}
		})
	}
	if _, err := exec.LookPath("curl"); err != nil {
		delete(labels, "Without the binary")
	}
	if len(ran) != len(labels) {
		t.Errorf("ran %d of %d recipes", len(ran), len(labels))
	}
	t.Run("failures show", func(t *testing.T) { testRecipesFail(t, here, job) })
}

// testRecipesFail has every recipe end with an error when the job fails, or the push of the
// one without the binary is refused.
func testRecipesFail(t *testing.T, here *strings.Replacer, job string) {
	if err := os.WriteFile(job, []byte("#!/bin/sh\nexit 9\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, r := range readRecipes(t) {
		if script := shellOf(t, r); script.script != "" {
			script.script = strings.ReplaceAll(script.script, " 7 |", " x |")
			runShell(t, here, script, false)
		}
	}
}

func runShell(t *testing.T, here *strings.Replacer, s shell, succeeds bool) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil && strings.Contains(s.script, "curl") {
		return // nobody here can tell
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", here.Replace(s.script))
	cmd.Env = os.Environ()
	for _, e := range s.env {
		cmd.Env = append(cmd.Env, here.Replace(e))
	}
	out, err := cmd.CombinedOutput()
	if (err == nil) != succeeds {
		t.Errorf("%s: %v\n%s", s.script, err, out)
	}
}

// TestRecipeUnits has systemd itself look at the units, where it is installed.
func TestRecipeUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	dir := t.TempDir()
	here := strings.NewReplacer("/usr/local/bin/pushbridge", serverBinary(t))
	var units []string
	for _, r := range readRecipes(t) {
		if r.section != "systemd" {
			continue
		}
		unit := filepath.Join(dir, strings.Trim(r.before, "`:"))
		if err := os.WriteFile(unit, []byte(here.Replace(r.text)), 0o600); err != nil {
			t.Fatal(err)
		}
		units = append(units, unit)
	}
	if !slices.ContainsFunc(units, func(u string) bool { return strings.HasSuffix(u, ".timer") }) || len(units) != 2 {
		t.Fatalf("got %q", units)
	}
	if err != nil {
		return // nobody here can tell
	}
	out, err := exec.CommandContext(t.Context(), analyze, append([]string{"verify"}, units...)...).CombinedOutput()
	if err != nil || strings.Contains(string(out), dir) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestReadmePush has the README's first push end with an error when it is refused.
func TestReadmePush(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^echo .*curl .*$`).FindString(string(b))
	s := startServer(t, serverBinary(t), t.TempDir(), "--storage.path=")
	here := strings.NewReplacer("http://localhost:9091", s.ready(t))
	runShell(t, here, shell{script: line}, true)
	runShell(t, here, shell{script: strings.ReplaceAll(line, " 1'", " x'")}, false)
}
