package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDependencies holds dependencies.md to go.mod: each module that is required directly
// has a row, with the licence that it carries.
func TestDependencies(t *testing.T) {
	b, err := os.ReadFile("dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	licences := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| .+ \\| (\\S+) \\|$").FindAllStringSubmatch(string(b), -1) {
		listed = append(listed, m[1])
		licences[m[1]] = m[2]
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{if not (or .Main .Indirect)}}{{.Path}} {{.Dir}}{{end}}", "all")
	list.Stderr = t.Output()
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	var required []string
	for line := range strings.Lines(string(out)) {
		path, dir, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue // an empty line stands for one that is not direct
		}
		required = append(required, path)
		if got := licenceIn(t, dir); got != licences[path] {
			t.Errorf("%s has the licence %s, dependencies.md says %q", path, got, licences[path])
		}
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(required)), listed); diff != "" {
		t.Errorf("go.mod requires, dependencies.md lists (-required +listed):\n%s", diff)
	}
}

// licenceIn tells a licence by a sentence that no other has.
func licenceIn(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "LICENSE*"))
	if err != nil || len(files) == 0 {
		return "nothing"
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []struct{ name, sentence string }{
		{"Apache-2.0", "Apache License"},
		{"MIT", "Permission is hereby granted, free of charge"},
		{"BSD-3-Clause", "Neither the name of"},
		{"BSD-2-Clause", "Redistribution and use in source and binary forms"},
	} {
		if strings.Contains(strings.Join(strings.Fields(string(b)), " "), l.sentence) {
			return l.name
		}
	}
	return "something else"
}

// TestAWSIsBehindATag: nothing of Amazon's is in a binary that was not built for it, by
// whatever way.
func TestAWSIsBehindATag(t *testing.T) {
	for tags, want := range map[string]bool{"": false, "sigv4": true} {
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags="+tags, "../cmd/pushbridge")
		list.Stderr = t.Output()
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(out), "github.com/aws/"); got != want {
			t.Errorf("tags %q: packages of AWS' SDK: %t, want %t", tags, got, want)
		}
	}
}
