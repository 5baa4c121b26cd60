// Package docstest holds pages that are made from the code to what the code says now.
package docstest

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var write = flag.Bool("docs", false, "write the pages that are made from the code")

// Page compares a page with what it should say, or writes it under -docs: `make docs`.
func Page(t *testing.T, file, want string) {
	t.Helper()
	if *write {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the code says now, see its line %d: make docs writes it anew", file, firstDifference(string(got), want))
	}
}

func firstDifference(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return 1 + strings.Count(a[:n], "\n")
}

// Cell keeps text from being taken for more than text in a table of Markdown.
func Cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "_", `\_`, "\n", " ").Replace(text)
}
