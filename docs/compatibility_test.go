// Package docs checks that the documentation names tests that exist.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestCompatibilityRows fails for a row of compatibility.md that names no test,
// or one that does not exist.
func TestCompatibilityRows(t *testing.T) {
	b, err := os.ReadFile("compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for number, line := range strings.Split(string(b), "\n") {
		tests, ok := testCell(line)
		if !ok {
			continue
		}
		rows++
		if len(tests) == 0 {
			t.Errorf("line %d names no test: %s", number+1, line)
		}
		for _, test := range tests {
			if problem := missing(t, test); problem != "" {
				t.Errorf("line %d: %s: %s", number+1, test, problem)
			}
		}
	}
	if rows < 80 {
		t.Errorf("only %d rows were found", rows)
	}
}

// TestNamedTests fails for a test that any page names and that does not exist.
func TestNamedTests(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range namedTest.FindAllStringSubmatch(string(b), -1) {
			if problem := missing(t, m[1]); problem != "" {
				t.Errorf("%s: %s: %s", page, m[1], problem)
			}
		}
	}
}

var namedTest = regexp.MustCompile("`([a-z0-9/]+_test\\.go:[^`]+)`")

var quoted = regexp.MustCompile("`([^`]+)`")

// testCell returns what the last cell of a row names. Heads and rules of tables
// are no rows.
func testCell(line string) (tests []string, ok bool) {
	line, ok = strings.CutPrefix(line, "|")
	if !ok {
		return nil, false
	}
	cells := strings.Split(strings.TrimSuffix(line, "|"), "|")
	last := strings.TrimSpace(cells[len(cells)-1])
	if last == "Test" || strings.Trim(last, "-") == "" {
		return nil, last == "" && len(cells) > 1
	}
	for _, m := range quoted.FindAllStringSubmatch(last, -1) {
		tests = append(tests, m[1])
	}
	return tests, true
}

// missing says what is wrong with FILE, FILE:TestName or FILE:TestName/row, and
// is empty when it exists. A row must be spelled out in the file.
func missing(t *testing.T, test string) string {
	file, test, isGo := strings.Cut(test, ":")
	path := filepath.Join("..", filepath.FromSlash(file))
	if !isGo {
		if _, err := os.Stat(path); err != nil || filepath.Ext(file) != ".txtar" {
			return "no such script"
		}
		return ""
	}
	name, row, _ := strings.Cut(test, "/")
	f := testFile(t, path)
	switch {
	case f == nil:
		return "no such file"
	case !f.funcs[name]:
		return "no such test in the file"
	case row != "" && !f.rows[row]:
		return "no such row in the file"
	}
	return ""
}

// tested is what a test file has.
type tested struct {
	funcs map[string]bool // top-level functions
	rows  map[string]bool // string literals, written as names of subtests are
}

var files = map[string]*tested{}

// testFile reads a test file, once; nil when there is none.
func testFile(t *testing.T, path string) *tested {
	t.Helper()
	if f, ok := files[path]; ok {
		return f
	}
	files[path] = nil
	parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil || !strings.HasSuffix(path, "_test.go") {
		return nil
	}
	f := &tested{funcs: map[string]bool{}, rows: map[string]bool{}}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			f.funcs[n.Name.Name] = n.Recv == nil
		case *ast.BasicLit:
			if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
				f.rows[strings.ReplaceAll(s, " ", "_")] = true
			}
		}
		return true
	})
	files[path] = f
	return f
}

func TestMissing(t *testing.T) {
	const self = "docs/compatibility_test.go:"
	for test, want := range map[string]string{
		self + "TestMissing":                           "",
		self + "TestMissing/a_row_of_words":            "",
		self + "TestMissing/" + strings.Repeat("x", 3): "no such row in the file",
		self + "TestOther":                             "no such test in the file",
		"docs/other_test.go:TestMissing":               "no such file",
		"docs/compatibility.md":                        "no such script",
		"docs/other.txtar":                             "no such script",
	} {
		if got := missing(t, test); got != want {
			t.Errorf("%s: got %q, want %q", test, got, want)
		}
	}
	_ = "a row of words"
	for line, want := range map[string]int{
		"| a | b |":                0,
		"| a | |":                  0,
		"| a | `b` |":              1,
		"| a | `b:T/c`<br>`d:T` |": 2,
		"| `a` | Test |":           -1,
		"|---|---|":                -1,
		"text":                     -1,
	} {
		tests, ok := testCell(line)
		if got := len(tests); ok != (want >= 0) || ok && got != want {
			t.Errorf("%s: %d tests, %v", line, got, ok)
		}
	}
}
