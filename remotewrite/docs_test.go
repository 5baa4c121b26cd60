package remotewrite

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRulesNameTheirTests fails for a rule in docs/remote-write.md without a test,
// for a test that does not exist, and for a rule that is missing.
func TestRulesNameTheirTests(t *testing.T) {
	text, err := os.ReadFile("../docs/remote-write.md")
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for family, last := range map[string]int{"H": 7, "L": 6, "S": 5, "ST": 5, "M1": 3, "M2": 6, "N": 5, "R": 9, "F": 10, "E": 4, "C": 5, "B": 3, "Y": 2} {
		for i := 1; i <= last; i++ {
			missing[fmt.Sprintf("%s-%d", family, i)] = true
		}
	}
	for line := range strings.Lines(string(text)) {
		rule, tests, ok := ruleRow(line)
		if !ok {
			continue
		}
		if len(tests) == 0 {
			t.Errorf("%s has no test", rule)
		}
		for _, test := range tests {
			if problem := findTest(test); problem != "" {
				t.Errorf("%s: %s: %s", rule, test, problem)
			}
		}
		for _, r := range rulesIn(rule) {
			delete(missing, r)
		}
	}
	for rule := range missing {
		t.Errorf("%s is not in the table", rule)
	}
}

var backquoted = regexp.MustCompile("`([^`]+(?:_test\\.go:[^`]+|\\.txtar))`")

// ruleRow takes apart a row of three cells, the last one of which names tests.
func ruleRow(line string) (rule string, tests []string, ok bool) {
	cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
	if !strings.HasPrefix(line, "| ") || len(cells) != 3 || strings.TrimSpace(cells[2]) == "Test" {
		return "", nil, false
	}
	for _, m := range backquoted.FindAllStringSubmatch(cells[2], -1) {
		tests = append(tests, m[1])
	}
	return strings.TrimSpace(cells[0]), tests, true
}

// rulesIn returns the rules that "F-1 to F-5" or "E-1, E-2" names.
func rulesIn(cell string) []string {
	var out []string
	for part := range strings.SplitSeq(cell, ", ") {
		from, to, ok := strings.Cut(part, " to ")
		if !ok {
			out = append(out, part)
			continue
		}
		var family string
		var a, b int
		i := strings.LastIndex(from, "-")
		family = from[:i]
		_, _ = fmt.Sscan(from[i+1:], &a)
		_, _ = fmt.Sscan(to[i+1:], &b)
		for n := a; n <= b; n++ {
			out = append(out, fmt.Sprintf("%s-%d", family, n))
		}
	}
	return out
}

// findTest says what is wrong with FILE:Test, FILE:Test/row or the name of a script. A row
// must be spelled out in the file, with blanks for underscores.
func findTest(name string) string {
	file, test, _ := strings.Cut(name, ":")
	test, row, _ := strings.Cut(test, "/")
	src, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(file)))
	if err != nil {
		return "no such file"
	}
	if strings.HasSuffix(file, ".txtar") {
		return ""
	}
	if !strings.Contains(string(src), "\nfunc "+test+"(") {
		return "no such test"
	}
	if row != "" && !strings.Contains(string(src), `"`+strings.ReplaceAll(row, "_", " ")+`"`) {
		return "no such row"
	}
	return ""
}

func TestFindTest(t *testing.T) {
	for name, want := range map[string]string{
		"remotewrite/docs_test.go:TestFindTest":     "",
		"remotewrite/docs_test.go:TestFindTest/a_b": "",
		"remotewrite/docs_test.go:TestFindTest/x_y": "no such row",
		"remotewrite/docs_test.go:TestFind":         "no such test",
		"remotewrite/none_test.go:TestFindTest":     "no such file",
		"cmd/pushbridge/testdata/script/push.txtar": "",
		"cmd/pushbridge/testdata/script/no.txtar":   "no such file",
	} {
		if got := findTest(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	_ = "a b"
}
